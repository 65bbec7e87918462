"""The two keys of a workspace: `release` signs bundles, `rollout` signs orders. One rule: a key is never overwritten.

A key file is 64 hex digits, the raw Ed25519 seed, readable by its owner alone. Keep `release` off the machine that
rolls out where you can: whoever has `rollout` alone can only choose among released bundles.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_runtime.contract.bundle import pack, unpack
from edge_runtime.contract.order import Signature, key_id
from edge_runtime.errors import UsageError

ROLES = ("release", "rollout")
Signer = Callable[[bytes], Signature]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The private keys of a workspace."""

    release: Ed25519PrivateKey
    rollout: Ed25519PrivateKey


def _path(folder: Path, role: str) -> Path:
    return folder / f"{role}.key"


def create(folder: Path) -> Keys:
    """Make both keys in *folder* and return them.

    Raises:
        UsageError: one is there already.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for role in ROLES:
        if _path(folder, role).exists():
            raise UsageError(
                f"key {_path(folder, role)} exists and is not overwritten",
                hint="devices trust it; move it away yourself if you mean to replace it",
            )
    for role in ROLES:
        private = Ed25519PrivateKey.generate()
        fd = os.open(_path(folder, role), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(private.private_bytes_raw().hex() + "\n")
            file.flush()
            os.fsync(fd)
    return load(folder)


def load(folder: Path) -> Keys:
    """Return the keys in *folder*.

    Raises:
        UsageError: one is missing or is no key.
    """
    return Keys(**{role: _load(_path(folder, role)) for role in ROLES})


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text()))
    except FileNotFoundError as error:
        raise UsageError(f"key {path}: not there", hint="make it with `cloud-trainer keys create`") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"key {path}: want 64 hex digits ({error})", hint="restore it from your copy") from error


def public_hex(private: Ed25519PrivateKey) -> str:
    """Return the public key as 64 hex digits, as it stands in `[trust]` of device.toml."""
    return private.public_key().public_bytes_raw().hex()


def public_keys(keys: Keys) -> dict[str, list[str]]:
    """Return the `[trust]` table of device.toml."""
    return {"release_keys": [public_hex(keys.release)], "rollout_keys": [public_hex(keys.rollout)]}


def signer(private: Ed25519PrivateKey) -> Signer:
    """Return the function that signs bytes with *private*."""
    name = key_id(private.public_key().public_bytes_raw())
    return lambda payload: Signature(key_id=name, sig=private.sign(payload).hex())


def sign_bundle(data: bytes, signers: Sequence[Signer]) -> bytes:
    """Return the bundle *data* with the signatures of *signers* in place of those it had; its digest stays."""
    bundle = unpack(data, max_bytes=len(data))
    return pack(bundle.manifest, bundle.members, [sign(bundle.manifest_bytes) for sign in signers])
