"""A rollout order: which bundle each stream of a device shall run; and the signed envelope it travels in.

See FORMAT.md sections "order" and "signed". One rule: signatures are over the payload bytes as received; a
verifier never encodes anew. Checking a signature is the job of `edge_runtime.update`, not of this module.
"""

from __future__ import annotations

import base64
import binascii

from edge_runtime.contract.checks import (
    count,
    digest,
    hexed,
    ident,
    integer,
    none_left,
    take,
    text,
    unique,
    wrong,
)
from edge_runtime.contract.document import read_json, write_json
from edge_runtime.contract.manifest import MAX_MEMBER_BYTES
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field, sha256

MAX_STREAMS: Final = 16
MAX_SIGNATURES: Final = 16
MAX_PAYLOAD_BYTES: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStream:
    """What one stream shall run.

    Attributes:
        bundle: Digest of the bundle.
        url: Where its file is, 1..2048 characters.
        length: Of the file, 1..2^33-1 [bytes].
    """

    bundle: str
    url: str
    length: int

    def __post_init__(self) -> None:
        digest(self.bundle, "order.streams.bundle")
        text(self.url, "order.streams.url", high=2048)
        integer(self.length, "order.streams.length", low=1, high=MAX_MEMBER_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The wanted state of one device.

    Attributes:
        site: Id.
        device: Id; an order for another device is not obeyed.
        version: 1 or more; a device never obeys a lower one than before.
        rollout: Id of the rollout that gave it.
        streams: Stream id -> bundle; 0..16. A stream that is not named stays as it is.
        extra: Fields of a newer minor version.
    """

    site: str
    device: str
    version: int
    rollout: str
    streams: dict[str, OrderStream]
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ident(self.site, "order.site")
        ident(self.device, "order.device")
        integer(self.version, "order.version", low=1)
        ident(self.rollout, "order.rollout")
        count(len(self.streams), "order.streams", high=MAX_STREAMS)
        for name in self.streams:
            ident(name, "order.streams")

    def to_bytes(self) -> bytes:
        """Canonical JSON: the payload to sign."""
        streams = {
            name: {"bundle": stream.bundle, "url": stream.url, "length": stream.length}
            for name, stream in self.streams.items()
        }
        fields = {
            "site": self.site,
            "device": self.device,
            "version": self.version,
            "rollout": self.rollout,
            "streams": streams,
        }
        return write_json("order", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Order:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_json(data, "order")
        streams = take(fields, "streams", dict, what="order", high=MAX_STREAMS)
        return cls(
            site=take(fields, "site", str, what="order"),
            device=take(fields, "device", str, what="order"),
            version=take(fields, "version", int, what="order"),
            rollout=take(fields, "rollout", str, what="order"),
            streams={name: _stream(name, value) for name, value in streams.items()},
            extra=fields,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One Ed25519 signature.

    Attributes:
        key_id: `key_id()` of the public key, 16 hex digits.
        sig: 64 bytes as 128 hex digits.
    """

    key_id: str
    sig: str

    def __post_init__(self) -> None:
        hexed(self.key_id, "signatures.key_id", 16)
        hexed(self.sig, "signatures.sig", 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Bytes with signatures over exactly them.

    Attributes:
        payload: A document of its own, 1..65536 bytes.
        signatures: 0..16, one a key.
        extra: Fields of a newer minor version; nothing signs them.
    """

    payload: bytes
    signatures: tuple[Signature, ...]
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        count(len(self.payload), "signed.payload", low=1, high=MAX_PAYLOAD_BYTES)
        check_signatures(self.signatures)

    def to_bytes(self) -> bytes:
        """Canonical JSON, the payload in base64 (RFC 4648 section 4)."""
        fields = {
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": signature_items(self.signatures),
        }
        return write_json("signed", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Signed:
        """Decode and check every field; believes no signature.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_json(data, "signed")
        spelled = take(fields, "payload", str, what="signed")
        try:
            payload = base64.b64decode(spelled, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ContractError(f"signed.payload: not base64 ({error})") from error
        if base64.b64encode(payload).decode() != spelled:
            raise ContractError("signed.payload: base64 has stray bits at its end")
        return cls(payload=payload, signatures=take_signatures(fields, what="signed"), extra=fields)


def key_id(public: bytes) -> str:
    """The name of an Ed25519 public key: the first 16 hex digits of the SHA-256 of its 32 raw bytes."""
    if len(public) != 32:
        raise wrong("public key", "32 raw bytes", len(public))
    return sha256(public).hexdigest()[:16]


def check_signatures(signatures: tuple[Signature, ...]) -> None:
    """At most 16, and no key twice (one key must not count as two)."""
    count(len(signatures), "signatures", high=MAX_SIGNATURES)
    unique([signature.key_id for signature in signatures], "signatures.key_id")


def signature_items(signatures: tuple[Signature, ...]) -> list[dict[str, str]]:
    """The wire form of a list of signatures."""
    return [{"key_id": signature.key_id, "sig": signature.sig} for signature in signatures]


def take_signatures(fields: dict[str, Any], *, what: str) -> tuple[Signature, ...]:
    """Take `signatures` out of a document.

    Raises:
        ContractError: Missing, too many, or one is malformed.
    """
    found = []
    for value in take(fields, "signatures", list, what=what, high=MAX_SIGNATURES):
        if not isinstance(value, dict):
            raise wrong(f"{what}.signatures", "object", value)
        key, sig = take(value, "key_id", str, what=f"{what}.signatures"), take(value, "sig", str, what=what)
        none_left(value, f"{what}.signatures")
        found.append(Signature(key_id=key, sig=sig))
    return tuple(found)


def _stream(name: str, value: object) -> OrderStream:
    what = f"order.streams.{name}"
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    stream = OrderStream(
        bundle=take(value, "bundle", str, what=what),
        url=take(value, "url", str, what=what),
        length=take(value, "length", int, what=what),
    )
    none_left(value, what)
    return stream
