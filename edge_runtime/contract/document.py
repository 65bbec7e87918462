"""What every document has: `format`, `kind`, room for a newer minor. See FORMAT.md section "envelope".

One rule: another major version is refused before any other field is looked at; a newer minor survives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_runtime.contract import canonical
from edge_runtime.contract.checks import wrong
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final

FORMAT: Final = "0.1"
"""What this build writes. Major 0 may change with new golden files; at 1.0 the formats freeze for ever."""
_MAJOR = FORMAT.partition(".")[0]
_FORMAT = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")


def read_json(data: bytes, kind: str) -> dict[str, Any]:
    """Fields of the canonical JSON document `kind`, without `kind`; `format` stays if it is not this build's.

    Raises:
        ContractError: Not JSON, another major or kind, or not the canonical spelling (RFC 8785).
    """
    value, is_canonical = canonical.loads_spelt(data, what=kind)
    fields = opened(value, kind)
    given = {"kind": kind, "format": FORMAT} | fields
    if not is_canonical and canonical.dumps(given) != bytes(data):
        raise ContractError(f"{kind}: bytes are not canonical JSON (RFC 8785)")
    return fields


def write_json(kind: str, fields: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
    """The canonical JSON document `kind` with these fields."""
    return canonical.dumps(_close(kind, fields, extra))


def read_cbor(data: bytes, kind: str) -> dict[str, Any]:
    """Fields of the CBOR document `kind`, as `read_json`.

    Raises:
        ContractError: Not the subset, another major or kind.
    """
    from edge_runtime.contract import cbor

    return opened(cbor.loads(data, what=kind), kind)


def write_cbor(kind: str, fields: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
    """The CBOR document `kind` with these fields."""
    from edge_runtime.contract import cbor

    return cbor.dumps(_close(kind, fields, extra))


def opened(value: object, kind: str) -> dict[str, Any]:
    """Fields of the document `kind` that `value` is, taken out of their envelope, as `read_json`.

    Raises:
        ContractError: Another major or kind, or no document.
    """
    if not isinstance(value, dict):
        raise wrong(kind, "object", value)
    version = value.pop("format", None)
    if not isinstance(version, str) or not _FORMAT.fullmatch(version):
        raise wrong(f"{kind}.format", '"major.minor"', version)
    if version.partition(".")[0] != _MAJOR:
        raise ContractError(
            f"{kind}: format {version}: this build reads {_MAJOR}.x", hint="update edgeloop on this device"
        )
    found = value.pop("kind", None)
    if found != kind:
        raise wrong(f"{kind}.kind", repr(kind), found)
    if version != FORMAT:
        value["format"] = version
    return value


def _close(kind: str, fields: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    clash = extra and extra.keys() & (fields.keys() | {"kind"})
    if clash:
        raise ContractError(f"{kind}.extra: {min(clash)!r} is a field of format {FORMAT}")
    return {"format": FORMAT, "kind": kind, **fields, **extra}
