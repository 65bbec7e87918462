"""Dataset versions in the store. One rule: a version is written once, after everything in it was checked.

A version is one Delta commit of `frames_<name>` (or `records_<name>`) and one row of `dataset_versions`, which comes
last: before that row the version does not exist, whatever was interrupted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cloud_trainer.datasets.content import (
    Recording,
    RecordRows,
    check_records,
    digest_frames,
    digest_records,
    joined,
    merge_spans,
)
from cloud_trainer.datasets.read import ExtraRecording, Progress, read_recordings
from edge_runtime.contract.checks import ident
from edge_runtime.contract.program import Channel, Field
from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.project import Project
    from cloud_trainer.workspace import Workspace

VERSIONS = "dataset_versions"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """Named, numbered, immutable data.

    Attributes:
        name: `[a-z0-9-]{1,64}`.
        version: 1, 2, 3 ... of this name.
        digest: SHA-256 [hex] of the content, whatever files it came from.
        rows: Frames of its recordings, or labelled records.
        recordings: How many; 0 in a version of records.
        labels: Every label in it and in its parents, in the order of the label index.
        channels: What a frame is.
        fields: What stands beside a frame; without channels, what a record is.
        rate_hz: Frames per second.
        parents: Versions ("name@3") that it was made from; to a version of records they are content.
        record_program: Digest of the feature program of its records; "" in a version of recordings.
        delta_version: Commit of `table` that holds it.
        made_ms: When [ms, UTC]; not part of the content.
        has_times: Its frames carry the times at which they were taken.
        targets: Names of the values that its labels are the numbers of; none where labels are labels.
        is_dealt: It has records that were dealt into groups; the number of a frame is its place in the files.
    """

    name: str
    version: int
    digest: str
    rows: int
    recordings: int
    labels: tuple[str, ...]
    channels: tuple[Channel, ...]
    rate_hz: float
    parents: tuple[str, ...]
    record_program: str
    delta_version: int
    made_ms: int
    fields: tuple[Field, ...] = ()
    has_times: bool = False
    is_dealt: bool = False
    targets: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """Such as "har@3"."""
        return f"{self.name}@{self.version}"

    @property
    def table(self) -> str:
        """The table that holds its rows."""
        kind = "records" if self.record_program else "frames"
        return f"{kind}_{self.name.replace('-', '_')}"


def freeze(
    project: Project,
    ws: Workspace,
    *,
    name: str = "",
    extra_recordings: Sequence[ExtraRecording] = (),
    records: RecordRows | None = None,
    parents: Sequence[DatasetVersion] = (),
    progress: Progress | None = None,
) -> DatasetVersion:
    """The frozen version of what is there now; the version there is, if it was frozen before.

    Args:
        project: Says what data; its name is the default of `name`.
        ws: Where to keep it.
        name: Of the dataset, `[a-z0-9-]{1,64}`.
        extra_recordings: Files that the project does not name.
        records: Labelled records of devices, no recordings: the version is then its parents and these rows.
        parents: Versions that it was made from.
        progress: Told how far reading is.

    Raises:
        UsageError: The project names what is not there, or both recordings and records are given.
        ContractError: Data break; nothing was written.
    """
    name = ident(name or project.name, "dataset name")
    if records is not None:
        if extra_recordings or not parents:
            raise UsageError(
                "freeze: a version of records has parents and no recordings",
                hint="freeze the recordings first",
            )
        return _freeze_records(ws, name, records, parents)
    recordings = read_recordings(project, extra_recordings, progress=progress)
    channels = _channels(project)
    fields = tuple(Field(name=each.name, kind=each.kind) for each in project.fields)
    targets = project.labels.values
    digest = digest_frames(recordings, channels, project.data.rate_hz, fields, targets=targets)
    if same := _find(ws, name, digest):
        return same
    version = DatasetVersion(
        name=name, version=_next(ws, name), digest=digest, rows=sum(len(r.frames) for r in recordings),
        recordings=len(recordings), labels=_label_order(project, recordings), channels=channels,
        rate_hz=project.data.rate_hz, parents=tuple(p.ref for p in parents), record_program="",
        delta_version=-1, made_ms=_now_ms(), fields=fields, has_times=project.data.time is not None,
        is_dealt=any(recording.places is not None for recording in recordings), targets=targets,
    )  # fmt: skip
    return _commit(ws, version, _frame_columns(recordings, channels, fields))


def load(ws: Workspace, name: str, version: int | str = "latest") -> DatasetVersion:
    """The dataset version `name` of that number; `name` may be a ref such as "har@3".

    Raises:
        UsageError: There is none: names those there are.
    """
    if "@" in name:
        name, _, version = name.partition("@")
    found = versions(ws, name)
    if str(version) == "latest" and found:
        return found[-1]
    for candidate in found:
        if str(candidate.version) == str(version):
            return candidate
    known = ", ".join(v.ref for v in versions(ws)) or "none"
    raise UsageError(f"dataset {name}@{version}: there is none", hint=f"there are: {known}")


def versions(ws: Workspace, name: str = "") -> list[DatasetVersion]:
    """Every dataset version, or those of `name`, by name and number."""
    if not ws.tables.exists(VERSIONS):
        return []
    where, params = ("where name = $name", {"name": name}) if name else ("", None)
    found = ws.tables.sql(f"select * from {VERSIONS} {where} order by name, version", params)
    return [_version(dict(zip(found.columns, row, strict=True))) for row in found.fetchall()]


def read_frames(ws: Workspace, dataset: DatasetVersion) -> list[Recording]:
    """The recordings of a version, in the order of their names; none in a version of records.

    Raises:
        ContractError: What is stored is not what was frozen.
    """
    import numpy as np

    if dataset.record_program:
        return []
    names = [c.name for c in dataset.channels] + [f.name for f in dataset.fields]
    names += ["time_us"] if dataset.has_times else []
    at = {dataset.table: dataset.delta_version}
    heads = ws.tables.sql(
        f'select recording, min("group"), count(*) from {dataset.table} group by 1 order by 1',
        versions=at,
    ).fetchall()
    columns = ws.tables.sql(
        f"""select coalesce(list_position(cast($labels as varchar[]), label), 0)::int as code,
            {", ".join(f'"{name}"' for name in ["frame", *names])} from {dataset.table} order by recording, frame""",
        {"labels": list(dataset.labels)},
        versions=at,
    ).fetchnumpy()
    frames = np.empty((len(columns["code"]), len(dataset.channels)), dtype=np.float32)
    for i, channel in enumerate(dataset.channels):
        frames[:, i] = columns[channel.name]
    codes = np.asarray(columns["code"], dtype=np.int32)
    times = np.asarray(columns["time_us"], dtype=np.int64) if dataset.has_times else None
    places = np.asarray(columns["frame"], dtype=np.int64) if dataset.is_dealt else None
    recordings, start = [], 0
    for name, group, n in heads:
        spans = _spans(codes[start : start + n], dataset.labels)
        own = {each.name: _field_values(columns[each.name][start : start + n], each) for each in dataset.fields}
        recordings.append(
            Recording(
                name=name, group=group, frames=frames[start : start + n], spans=spans, fields=own,
                times=None if times is None else times[start : start + n],
                places=None if places is None else places[start : start + n],
            )
        )  # fmt: skip
        start += n
    _prove(
        dataset, digest_frames(recordings, dataset.channels, dataset.rate_hz, dataset.fields, targets=dataset.targets)
    )
    return recordings


def read_records(ws: Workspace, dataset: DatasetVersion) -> RecordRows | None:
    """The labelled records of a version, by id; None in a version of recordings.

    Raises:
        ContractError: What is stored is not what was frozen.
    """
    import numpy as np

    if not dataset.record_program:
        return None
    rows = ws.tables.sql(
        f'select device, epoch, seq, "group", label, features from {dataset.table} order by 1, 2, 3',
        versions={dataset.table: dataset.delta_version},
    ).fetchall()
    records = RecordRows(
        program_digest=dataset.record_program,
        features=np.array([row[5] for row in rows], dtype=np.float32),
        labels=[row[4] for row in rows],
        ids=[(row[0], int(row[1], 16), row[2]) for row in rows],
        groups=[row[3] for row in rows],
    )
    _prove(dataset, digest_records(records, [load(ws, ref).digest for ref in dataset.parents]))
    return records


def _freeze_records(ws: Workspace, name: str, records: RecordRows, parents: Sequence[DatasetVersion]) -> DatasetVersion:
    check_records(records)
    first = parents[0]
    for parent in parents[1:]:
        theirs, ours = ((one.channels, one.rate_hz, one.fields, one.targets) for one in (parent, first))
        if theirs != ours:
            raise ContractError(f"freeze: {parent.ref} and {first.ref} differ in channels, fields, values or rate")
    for parent in parents:
        if parent.record_program not in {"", records.program_digest}:
            raise ContractError(
                f"freeze: the records are of program {records.program_digest[:12]}, those of {parent.ref} "
                f"are of {parent.record_program[:12]}",
                hint="features of two programs cannot be mixed: freeze recordings instead",
            )
    digest = digest_records(records, [parent.digest for parent in parents])
    if same := _find(ws, name, digest):
        return same
    known = dict.fromkeys(label for parent in parents for label in parent.labels)
    labels = (*known, *sorted(set(records.labels) - set(known)))
    version = DatasetVersion(
        name=name, version=_next(ws, name), digest=digest, rows=len(records.ids), recordings=0, labels=labels,
        channels=first.channels, rate_hz=first.rate_hz, parents=tuple(p.ref for p in parents),
        record_program=records.program_digest, delta_version=-1, made_ms=_now_ms(), fields=first.fields,
        targets=first.targets,
    )  # fmt: skip
    columns = {
        "device": [identity[0] for identity in records.ids],
        "epoch": [f"{identity[1]:016x}" for identity in records.ids],
        "seq": [identity[2] for identity in records.ids],
        "group": list(records.groups),
        "label": list(records.labels),
        "features": records.features,
    }
    return _commit(ws, version, columns)


def _commit(ws: Workspace, version: DatasetVersion, columns: dict[str, Any]) -> DatasetVersion:
    """Write the rows, then the version's own row, then the event."""
    fields = {name: getattr(version, name) for name in DatasetVersion.__slots__}
    fields["delta_version"] = ws.tables.replace(version.table, columns)
    version = DatasetVersion(**fields)
    row = {
        **fields,
        "labels": json.dumps(version.labels),
        "channels": json.dumps([[c.name, c.unit, c.scale, c.offset] for c in version.channels]),
        "parents": json.dumps(version.parents),
        "targets": json.dumps(version.targets),
        "fields": json.dumps([[each.name, each.kind] for each in version.fields]),
    }
    ws.tables.append(VERSIONS, {name: [value] for name, value in row.items()})
    facts = {name: fields[name] for name in ("digest", "rows", "recordings", "labels", "delta_version")}
    facts["labels"] = version.targets or version.labels
    ws.add_lineage("freeze", inputs=version.parents, outputs=[version.ref], facts=facts)
    return version


def _version(row: dict[str, Any]) -> DatasetVersion:
    channels = tuple(
        Channel(name=name, unit=unit, scale=scale, offset=offset)
        for name, unit, scale, offset in json.loads(row["channels"])
    )
    lists = {name: tuple(json.loads(row[name])) for name in ("labels", "parents")}
    fields = tuple(Field(name=name, kind=kind) for name, kind in json.loads(row.get("fields") or "[]"))
    lists["targets"] = tuple(json.loads(row.get("targets") or "[]"))
    later = {name: bool(row.get(name)) for name in ("has_times", "is_dealt")}  # columns that old versions lack
    return DatasetVersion(**{**row, **lists, **later, "channels": channels, "fields": fields})


def _find(ws: Workspace, name: str, digest: str) -> DatasetVersion | None:
    return next((v for v in versions(ws, name) if v.digest == digest), None)


def _next(ws: Workspace, name: str) -> int:
    return max((v.version for v in versions(ws, name)), default=0) + 1


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _channels(project: Project) -> tuple[Channel, ...]:
    return tuple(Channel(name=c.name, unit=c.unit, scale=c.scale, offset=c.offset) for c in project.channels)


def _label_order(project: Project, recordings: Sequence[Recording]) -> tuple[str, ...]:
    """As `labels.names` puts them, then the others by name."""
    found = {span.label for recording in recordings for span in recording.spans}
    named = [name for name in dict.fromkeys(project.labels.names.values()) if name in found]
    return (*named, *sorted(found - set(named)))


def _field_values(column: Any, each: Field) -> Any:
    """As a recording has them: a column of a query masks what is null."""
    import numpy as np

    if each.kind == "text":
        return [None if value is None else str(value) for value in np.ma.asarray(column).tolist()]
    return np.ascontiguousarray(np.ma.filled(column.astype(np.float64), np.nan))


def _frame_columns(
    recordings: Sequence[Recording], channels: Sequence[Channel], fields: Sequence[Field]
) -> dict[str, Any]:
    import numpy as np

    labels: list[str | None] = []
    for recording in recordings:
        own: list[str | None] = [None] * len(recording.frames)
        for start, end, label in recording.spans:
            own[start:end] = [label] * (end - start)
        labels += own
    frames = np.concatenate([recording.frames for recording in recordings])
    return {
        "recording": [r.name for r in recordings for _ in range(len(r.frames))],
        "group": [r.group for r in recordings for _ in range(len(r.frames))],
        "frame": np.concatenate(
            [np.arange(len(r.frames), dtype=np.int64) if r.places is None else r.places for r in recordings]
        ),
        "label": labels,
        **{channel.name: frames[:, i] for i, channel in enumerate(channels)},
        **{each.name: joined([recording.fields[each.name] for recording in recordings]) for each in fields},
        **_times_column(recordings),
    }


def _times_column(recordings: Sequence[Recording]) -> dict[str, Any]:
    import numpy as np

    times = [recording.times for recording in recordings if recording.times is not None]
    return {"time_us": np.concatenate(times)} if times else {}


def _spans(codes: Any, labels: Sequence[str]) -> Any:
    import numpy as np

    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    pairs = [(a, b) for a, b in pairwise(cuts) if codes[a]]
    return merge_spans((a, b, labels[codes[a] - 1]) for a, b in pairs)


def _prove(dataset: DatasetVersion, digest: str) -> None:
    if digest != dataset.digest:
        raise ContractError(
            f"dataset {dataset.ref}: stored content has digest {digest[:12]}, frozen was {dataset.digest[:12]}",
            hint="the tables were changed from outside; freeze the recordings anew",
        )
