"""What a dataset version holds, and its digest. One rule: the digest sees the content, never the files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.contract import canonical
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge_runtime.contract.program import Channel, Field

    FieldColumn = npt.NDArray[np.float64] | list[str | None]


class Span(NamedTuple):
    """Frames start..end-1 carry `label`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Frames of one continuous capture.

    Attributes:
        name: Unique in its dataset version: the file's name without its ending.
        group: What must not be in training and test at once.
        frames: Raw values, float32 [n_frames, n_channels], C order.
        spans: Labelled frames, ascending, neighbours of one label merged; frames in none have no label.
        times: When each frame was taken [µs UTC], int64; None where nobody said.
        fields: Name -> one value a frame: float64, NaN where missing, or text, None where missing.
        places: Of records that were dealt into groups: where each stood among all of them, int64, ascending; one number
            is left out between two files. None: its frames followed one another.
    """

    name: str
    group: str
    frames: npt.NDArray[np.float32]
    spans: tuple[Span, ...]
    fields: Mapping[str, FieldColumn] = field(default_factory=dict)
    times: npt.NDArray[np.int64] | None = None
    places: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRows:
    """Feature vectors that devices sampled, and the labels they were given since.

    Attributes:
        program_digest: The feature program that made them.
        features: float32 [n, n_features].
        labels: One a row.
        ids: (device, epoch, seq) of each row.
        groups: One a row.
    """

    program_digest: str
    features: npt.NDArray[np.float32]
    labels: Sequence[str]
    ids: Sequence[tuple[str, int, int]]
    groups: Sequence[str]


def merge_spans(labels: Iterable[tuple[int, int, str]]) -> tuple[Span, ...]:
    """Ascending spans, where neighbours of one label are one."""
    merged: list[Span] = []
    for start, end, label in labels:
        if merged and merged[-1].end == start and merged[-1].label == label:
            merged[-1] = Span(merged[-1].start, end, label)
        else:
            merged.append(Span(start, end, label))
    return tuple(merged)


def joined(parts: Sequence[Any]) -> Any:
    """One column of the columns of several recordings: float64, or a list of texts."""
    import numpy as np

    return [value for part in parts for value in part] if isinstance(parts[0], list) else np.concatenate(parts)


def digest_frames(
    recordings: Sequence[Recording],
    channels: Sequence[Channel],
    rate_hz: float,
    fields: Sequence[Field] = (),
    *,
    targets: Sequence[str] = (),
) -> str:
    """SHA-256 [hex] of schema and recordings, these in the order of their names."""
    sha = hashlib.sha256()
    schema: dict[str, object] = {"rate_hz": rate_hz}
    schema["channels"] = [[c.name, c.unit, c.scale, c.offset] for c in channels]
    if fields:
        schema["fields"] = [[each.name, each.kind] for each in fields]
    if targets:
        schema["targets"] = list(targets)
    if any(recording.times is not None for recording in recordings):
        schema["times"] = "us"
    if any(recording.places is not None for recording in recordings):
        schema["places"] = "dealt"
    _feed(sha, schema)
    for recording in sorted(recordings, key=lambda r: r.name):
        head = [
            recording.name,
            recording.group,
            len(recording.frames),
            [list(span) for span in recording.spans],
        ]
        _feed(sha, head)
        sha.update(recording.frames.astype("<f4", copy=False).tobytes())
        if recording.times is not None:
            sha.update(recording.times.astype("<i8", copy=False).tobytes())
        if recording.places is not None:
            sha.update(recording.places.astype("<i8", copy=False).tobytes())
        for each in fields:
            values: Any = recording.fields[each.name]
            if each.kind == "text":
                _feed(sha, values)
            else:
                sha.update(values.astype("<f8", copy=False).tobytes())
    return sha.hexdigest()


def digest_records(rows: RecordRows, parents: Sequence[str]) -> str:
    """SHA-256 [hex] of the rows in the order of their ids, and of the parents' digests."""
    sha = hashlib.sha256()
    _feed(sha, {"program": rows.program_digest, "parents": sorted(parents)})
    for i in sorted(range(len(rows.ids)), key=lambda i: rows.ids[i]):
        device, epoch, seq = rows.ids[i]
        _feed(sha, [device, f"{epoch:016x}", seq, rows.groups[i], rows.labels[i]])
        sha.update(rows.features[i].astype("<f4", copy=False).tobytes())
    return sha.hexdigest()


def _feed(sha: Any, value: object) -> None:
    data = canonical.dumps(value)
    sha.update(len(data).to_bytes(8, "little"))
    sha.update(data)


def check_records(rows: RecordRows) -> None:
    """Refuse rows that cannot be stored or trained on.

    Raises:
        ContractError: No row, unequal lengths, an empty label, an id twice, or a value that is not finite.
    """
    import numpy as np

    n = len(rows.features)
    if n == 0:
        raise ContractError("records: no row", hint="sample and label at least one")
    for what in ("labels", "ids", "groups"):
        if len(getattr(rows, what)) != n:
            raise ContractError(f"records.{what}: {len(getattr(rows, what))} entries for {n} rows")
    seen: set[tuple[str, int, int]] = set()
    for i, identity in enumerate(rows.ids):
        if identity in seen:
            raise ContractError(
                f"records: {identity} stands twice",
                hint="read records through the view of `cloud_trainer.ingest`",
            )
        seen.add(identity)
        if not rows.labels[i]:
            raise ContractError(f"records: {identity} has an empty label", hint="label it, or leave it out")
    bad = np.argwhere(~np.isfinite(rows.features))
    if len(bad):
        row, column = bad[0].tolist()
        raise ContractError(
            f"records: {rows.ids[row]}: feature {column} is {rows.features[row, column]}", hint="leave it out"
        )
