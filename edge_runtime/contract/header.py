"""Whose numbers these are: in every batch, so that lineage is a join. See FORMAT.md section "header"."""

from __future__ import annotations

from functools import lru_cache

from edge_runtime.contract import cbor
from edge_runtime.contract.checks import U64, digest, ident, integer, raw_digest, take
from edge_runtime.lean import Any, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The origin of a batch.

    Attributes:
        device: Id of the device.
        stream: Id of the stream on it.
        epoch: Random number of this life of the spool, 0..2^64-1; new when its state was lost. Never a clock.
        bundle: Digest of the bundle that decided.
        program: Digest of its feature program.
    """

    device: str
    stream: str
    epoch: int
    bundle: str
    program: str

    def __post_init__(self) -> None:
        ident(self.device, "header.device")
        ident(self.stream, "header.stream")
        integer(self.epoch, "header.epoch", high=U64)
        digest(self.bundle, "header.bundle")
        digest(self.program, "header.program")


@lru_cache(maxsize=64)
def header_items(header: Header) -> dict[str, Any]:
    """The wire fields of `header`, encoded; one object for equal headers, not to be changed."""
    fields = {
        "device": header.device,
        "stream": header.stream,
        "epoch": header.epoch,
        "bundle": bytes.fromhex(header.bundle),
        "program": bytes.fromhex(header.program),
    }
    return {name: cbor.Encoded(cbor.dumps(value)) for name, value in fields.items()}


def take_header(fields: dict[str, Any], *, what: str) -> Header:
    """Take the header's five fields out of a CBOR document.

    Raises:
        ContractError: One is missing or wrong.
    """
    return Header(
        device=take(fields, "device", str, what=what),
        stream=take(fields, "stream", str, what=what),
        epoch=take(fields, "epoch", int, what=what),
        bundle=raw_digest(fields, "bundle", what=what),
        program=raw_digest(fields, "program", what=what),
    )
