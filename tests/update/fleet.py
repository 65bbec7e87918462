"""A device that runs a factory bundle, the keys that rule it, and orders for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_trainer.rollout import keys, order
from edge_runtime.contract.bundle import unpack
from edge_runtime.contract.order import OrderStream, Signature
from edge_runtime.update import Trust, Updater, slots
from edge_runtime.update.slots import State
from tests.update.bundles import packed_bundle

Sign = Callable[[bytes], Signature]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Who signs."""

    release: Sign
    rollout: Sign
    stranger: Sign
    trust: Trust

    def bundle(self, version: int, **more: Any) -> bytes:
        """A released bundle."""
        return packed_bundle(version, signer=self.release, **more)

    def order(
        self,
        data: bytes,
        url: str,
        *,
        version: int = 1,
        device: str = "fan",
        stream: str = "main",
        digest: str = "",
        length: int = 0,
        sign: Sign | None = None,
    ) -> bytes:
        """An order for the bundle *data*."""
        wanted = OrderStream(bundle=digest or unpack(data).digest, url=url, length=length or len(data))
        made = order.make_order("plant", device, version=version, rollout="r-1", streams={stream: wanted})
        return order.sign_order(made, sign or self.rollout).to_bytes()


def make_cloud(folder: Path) -> Cloud:
    """New keys."""
    made, other = keys.create(folder / "ours"), keys.create(folder / "theirs")
    public = keys.public_keys(made)
    return Cloud(
        release=keys.signer(made.release),
        rollout=keys.signer(made.rollout),
        stranger=keys.signer(other.rollout),
        trust=Trust(release_keys=tuple(public["release_keys"]), rollout_keys=tuple(public["rollout_keys"])),
    )


def make_updater(state: Path, cloud: Cloud, **more: Any) -> Updater:
    """The updater of device plant/fan, stream main."""
    return Updater(state, "main", cloud.trust, site="plant", device="fan", max_bytes=1 << 20, **more)


def give_factory(updater: Updater, data: bytes) -> State:
    """Install *data* as if `factory` had checked it."""
    digest = unpack(data).digest
    updater.disk.write("bundles/x.part", data)
    slots.stage(updater.disk, "bundles/x.part", digest)
    return slots.install(updater.disk, digest, order_version=0)
