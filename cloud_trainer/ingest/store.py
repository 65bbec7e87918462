"""Appending to the telemetry tables. One rule: a commit that met a compaction is made again; nothing is half there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cloud_trainer.ingest import schema
from edge_runtime.errors import TransportError

if TYPE_CHECKING:
    from cloud_trainer.tables import Tables

ATTEMPTS = 8
_HALF_LISTED = "found gap"  # what delta-rs says of a log that it listed while another writer put a commit there


def append(tables: Tables, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Append columns (see `schema.columns`) to the stored tables, one Delta commit each.

    Raises:
        TransportError: Other writers won `ATTEMPTS` times in a row.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    for name, columns in rows.items():
        filled = schema.arrow(name, columns)
        for _ in range(ATTEMPTS):
            try:
                tables.append(schema.raw(name), filled)
            except CommitFailedError:
                continue
            except DeltaError as why:
                if _HALF_LISTED not in str(why):
                    raise
                continue
            break
        else:
            raise TransportError(f"{schema.raw(name)}: lost to another writer {ATTEMPTS} times", hint="try again")
