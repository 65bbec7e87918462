"""What a stream starts with: the bundle of its slots, its shadow, its checkpoint. From the disk, before any thread.

One rule: what was shipped with the device is refused where it does not fit; what a rollout brought falls back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edge_runtime.contract import cbor
from edge_runtime.daemon.config import Config, StreamConfig
from edge_runtime.daemon.decide import Loaded, Runner, load
from edge_runtime.engines import load_bundle, needed_to_run
from edge_runtime.errors import ContractError, EdgeloopError, TrustError, UsageError
from edge_runtime.lean import TYPE_CHECKING, TypeAlias, dataclass, replace
from edge_runtime.update import Trust, Updater, slots

if TYPE_CHECKING:
    from edge_runtime.daemon.shadow import Shadow

    Say: TypeAlias = Callable[[str, str, Mapping[str, str | int]], None]
    """Stream, event, fields."""

CHILD_DATA_BYTES = 64 << 20  # the least data memory an update child gets, so that it can tell what is wrong


@dataclass(slots=True, kw_only=True)
class Slot:
    """One stream as the daemon keeps it."""

    config: StreamConfig
    updater: Updater
    loaded: Loaded
    runner: Runner | None = None
    trial_from: int = -1  # window at which the running trial began; -1: no trial
    trial_digest: str = ""
    rollout: str = ""  # that ordered the trial
    shadow: Shadow | None = None
    trouble: str = ""  # of its update, told once


def open_slot(config: Config, stream: StreamConfig, *, say: Say, log: Callable[..., None]) -> Slot:
    """A stream with the bundle that its slots say is to run; the first start installs the one that it names.

    Where the disk lost every bundle that the slots name, it begins with the named one again.

    Raises:
        EdgeloopError: There is none to begin with, or it is refused.
    """
    updater = _updater(config, config.state_dir, stream.name)
    if slots.load(updater.disk).phase is slots.Phase.EMPTY:
        if not stream.bundle:
            raise UsageError(
                f"stream {stream.name}: no bundle is installed and none is named",
                hint="add bundle = \"file.elb\" to its [[stream]]",
            )  # fmt: skip
        updater.factory(Path(stream.bundle)).raise_if_refused()
    try:
        return _start(stream, updater, say)
    except (ContractError, TrustError) as error:
        if not stream.bundle:
            raise
        log("restore", stream=stream.name, bundle=stream.bundle, reason=str(error))
        updater.factory(Path(stream.bundle)).raise_if_refused()
        return _start(stream, updater, say)


def _updater(config: Config, folder: Path, stream: str) -> Updater:
    trust = config.trust
    return Updater(
        folder,
        stream,
        Trust(release_keys=trust.release_keys, rollout_keys=trust.rollout_keys),
        site=config.device.site,
        device=config.device.id,
        max_bytes=config.budget.bundle_bytes,
        memory_bytes=max(CHILD_DATA_BYTES, config.budget.memory_bytes),
        latency_us=config.budget.latency_us,
    )


def _start(stream: StreamConfig, updater: Updater, say: Say) -> Slot:
    """Load what the slots say is to run; a trial that cannot even be loaded falls back at once."""
    started = slots.start(updater.disk, keep=needed_to_run)
    try:
        loaded = load(started.bundle)
    except EdgeloopError:
        if not started.is_trial:
            raise
        slots.fall_back(updater.disk)
        started = replace(
            slots.start(updater.disk, keep=needed_to_run), fell_back=started.digest, rollout=started.rollout
        )
        loaded = load(started.bundle)
    slot = Slot(config=stream, updater=updater, loaded=loaded, rollout=started.rollout)
    if started.is_trial:
        slot.trial_digest = started.digest
    if started.fell_back:
        say(stream.name, "fell-back", {"bundle": started.fell_back, "to": started.digest, "rollout": started.rollout})
    return slot


def add_shadow(config: Config, slot: Slot, *, say: Say) -> None:
    """Check a stream's shadow as a factory bundle is checked, in slots of its own; it is never one of the stream's.

    One that does not fit is refused while the device runs what it was shipped with, and left out after a rollout.

    Raises:
        EdgeloopError: It is refused.
    """
    name = slot.config.name
    if not slot.config.shadow:
        return
    from edge_runtime.daemon.shadow import open_shadow

    try:
        shadow = open_shadow(Path(slot.config.shadow), _updater(config, config.state_dir / "shadow", name))
        shadow.refuse_misfit(slot.loaded.bundle)
    except EdgeloopError as why:
        if not slot.rollout:
            raise
        say(name, "fault", {"part": "shadow", "error": type(why).__name__, "message": str(why)})
    else:
        slot.shadow = shadow


def read_checkpoint(slot: Slot, data: bytes | None) -> tuple[bytes, Loaded | None] | None:
    """The saved state of a stream with the bundle that made it, None where that is gone or broken."""
    if data is None:
        return None
    fields = cbor.loads(data, what="checkpoint")
    digest = fields.get("bundle") if isinstance(fields, dict) else None
    if digest == slot.loaded.digest:
        return data, slot.loaded
    stored = slot.updater.disk.read(slots.bundle_name(str(digest)))
    try:
        return data, None if stored is None else load(load_bundle(stored, keep=needed_to_run))
    except EdgeloopError:
        return data, None
