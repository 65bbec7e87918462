"""Whose signature counts. One rule: `cryptography` is imported inside `verify`, so only in the update child."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.contract.order import Signature, key_id
from edge_runtime.errors import TrustError, UsageError
from edge_runtime.lean import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Ed25519 public keys, 64 hex digits each: who may release bundles, who may order one of them to run.

    Raises:
        UsageError: a key is not 64 hex digits.
    """

    release_keys: tuple[str, ...] = ()
    rollout_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for role in ("release_keys", "rollout_keys"):
            for key in getattr(self, role):
                if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
                    raise UsageError(
                        f"trust.{role}: want 64 hex digits, got {key!r}",
                        hint="copy the line that `cloud-trainer keys create` printed",
                    )


def verify(payload: bytes, signatures: Sequence[Signature], keys: Sequence[str], *, what: str) -> str:
    """Return the id of the first of *keys* whose signature of *payload* holds.

    Raises:
        TrustError: there is none.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    trusted = {key_id(bytes.fromhex(key)): bytes.fromhex(key) for key in keys}
    for signature in signatures:
        public = trusted.get(signature.key_id)
        if public is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature.sig), payload)
        except (InvalidSignature, ValueError):
            continue
        return signature.key_id
    signed = ", ".join(s.key_id for s in signatures) or "nobody"
    raise TrustError(
        f"{what}: no valid signature of a trusted key; signed by {signed}, trusted are {', '.join(trusted) or 'none'}",
        hint="sign it with a key named in [trust] of device.toml",
    )
