"""The feature table: labelled windows. One rule: a window counts only if all its frames have one label.

It is kept as a Delta table named by the two digests that determine it, and read back bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cloud_trainer.datasets import DatasetVersion, Progress, Recording, load, read_frames, read_records
from cloud_trainer.features.cells import cells_of
from cloud_trainer.features.engines import run, windows_of
from cloud_trainer.features.timed import timed_rows
from edge_runtime import native
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.workspace import Workspace
    from edge_runtime.contract.program import Program

UNKNOWN = -1
"""The time of a window where nobody said."""
DEALT = "rows"
"""The recording of records that were dealt into groups: neighbours are those of the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTable:
    """What is trained on.

    Attributes:
        x: float32 [n, n_features], C order.
        y: int32 [n], index into `labels`; of a dataset of values float64 [n] or [n, values].
        groups: One a row.
        recording: One a row; of a device's record "device/epoch"; records that were dealt into groups are one, "rows".
        window: int64 [n], number of the window in its recording; of a device's record its seq.
        time_us: int64 [n], when the last frame of the window was taken [µs UTC], -1 where nobody said.
        labels: In the order of the index; the names of the values.
        program: What made `x`.
        dataset: What it was made from.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[Any]
    groups: list[str]
    recording: list[str]
    window: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    program: Program
    dataset: DatasetVersion
    time_us: npt.NDArray[np.int64]


def materialise(
    ws: Workspace,
    dataset: DatasetVersion,
    program: Program,
    *,
    engine: str = "threads",
    progress: Progress | None = None,
) -> FeatureTable:
    """The labelled windows of `dataset`, by recording and window; those of records come last.

    Args:
        ws: Where the table is kept, and read from if it is there.
        dataset: Recordings, or records of the fleet.
        program: For the dataset's channels.
        engine: "threads" over recordings, or "dask": a task a partition, by the workers of a `distributed.Client` where
            there is one (extra `[dask]`). The bits are the same.
        progress: Called with what is done; by threads alone.

    Raises:
        UsageError: There is no such engine, or Dask is not installed.
        ContractError: The program's channels or rate are not the dataset's, an operator is unknown, a recording
            is shorter than a window, a feature is not finite, or records were made by another program.
    """
    import numpy as np

    parts = [_rows_of(ws, each, program, engine, progress) for each in _with_parents(ws, dataset, program)]
    labels = [label for part in parts for label in part.label]
    return FeatureTable(
        x=np.ascontiguousarray(np.concatenate([part.x for part in parts])),
        y=_values_of(labels, dataset) if dataset.targets else _codes_of(labels, dataset),
        groups=[group for part in parts for group in part.groups],
        recording=[name for part in parts for name in part.recording],
        window=np.concatenate([part.window for part in parts]),
        labels=dataset.targets or dataset.labels,
        program=program,
        dataset=dataset,
        time_us=np.concatenate([part.time_us for part in parts]),
    )


def _codes_of(labels: Sequence[str], dataset: DatasetVersion) -> npt.NDArray[np.int32]:
    import numpy as np

    code = {label: i for i, label in enumerate(dataset.labels)}
    return np.array([code[label] for label in labels], dtype=np.int32)


def _values_of(labels: Sequence[str], dataset: DatasetVersion) -> npt.NDArray[np.float64]:
    """The numbers of each label.

    Raises:
        ContractError: One has another count of them.
    """
    import numpy as np

    rows = [label.split() for label in labels]
    for row, label in zip(rows, labels, strict=True):
        if len(row) != len(dataset.targets):
            raise ContractError(
                f"dataset {dataset.ref}: {label!r} is no value of {', '.join(dataset.targets)}",
                hint="a label of values is their numbers with spaces between",
            )
    y = np.array(rows, dtype=np.float64)
    return y[:, 0] if y.shape[1] == 1 else y


def cache_name(dataset: DatasetVersion, program: Program) -> str:
    """The table that keeps the windows of `dataset` by `program`."""
    return f"features_{dataset.digest[:16]}_{program.digest[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    x: npt.NDArray[np.float32]
    label: list[str]
    groups: list[str]
    recording: list[str]
    window: npt.NDArray[np.int64]
    time_us: npt.NDArray[np.int64]


def _with_parents(ws: Workspace, dataset: DatasetVersion, program: Program) -> list[DatasetVersion]:
    """The versions whose rows make up `dataset`, each once, oldest first."""
    if dataset.record_program not in {"", program.digest}:
        raise ContractError(
            f"dataset {dataset.ref}: its records are of program {dataset.record_program[:12]}, "
            f"asked for is {program.digest[:12]}",
            hint="records hold features, not frames: keep the program, or freeze recordings instead",
        )
    found: dict[str, DatasetVersion] = {}
    for ref in dataset.parents if dataset.record_program else ():
        found.update((each.digest, each) for each in _with_parents(ws, load(ws, ref), program))
    found[dataset.digest] = dataset
    return list(found.values())


def _rows_of(ws: Workspace, dataset: DatasetVersion, program: Program, engine: str, progress: Progress | None) -> _Rows:
    records = read_records(ws, dataset)
    if records is not None:
        import numpy as np

        if records.features.shape[1] != len(program.features):
            raise ContractError(
                f"dataset {dataset.ref}: records have {records.features.shape[1]} features, the program "
                f"{len(program.features)}"
            )
        return _Rows(
            x=records.features,
            label=list(records.labels),
            groups=list(records.groups),
            recording=[f"{device}/{epoch:016x}" for device, epoch, _ in records.ids],
            window=np.array([seq for _, _, seq in records.ids], dtype=np.int64),
            time_us=np.full(len(records.ids), UNKNOWN, dtype=np.int64),
        )
    _check_channels(dataset, program)
    name = cache_name(dataset, program)
    if not ws.tables.exists(name) or not _has_times(ws, name):
        native.check_program(program)
        rows = _compute(dataset, read_frames(ws, dataset), program, engine, progress)
        _check_finite(rows, program)
        ws.tables.replace(name, _columns(rows))
    return _read(ws, name, len(program.features))


def _check_channels(dataset: DatasetVersion, program: Program) -> None:
    if program.rate_hz != dataset.rate_hz:
        raise ContractError(
            f"program rate_hz {program.rate_hz:g} is not that of {dataset.ref}, {dataset.rate_hz:g}",
            hint="freeze the recordings anew, or use the program they were frozen for",
        )
    asked, frozen = ([replace(c, every=1, taper="none") for c in of.channels] for of in (program, dataset))
    if asked != frozen:  # which frames hold a value, and the taper, are the program's matter
        first = next(
            (f"{a} is not {b}" for a, b in zip(asked, frozen, strict=False) if a != b), "one has more channels"
        )
        raise ContractError(
            f"program: its channels are not those of {dataset.ref}: {first}",
            hint="freeze the recordings anew with these channels",
        )
    kinds = {each.name: each.kind for each in dataset.fields}
    for each in program.record:
        if kinds.get(each.name) != each.kind:
            raise ContractError(
                f"program: its field {each.name} ({each.kind}) is not one of {dataset.ref}",
                hint=f"fields: {', '.join(f'{name} ({kind})' for name, kind in kinds.items()) or 'none'}",
            )


def _compute(
    dataset: DatasetVersion,
    recordings: Sequence[Recording],
    program: Program,
    engine: str,
    progress: Progress | None,
) -> _Rows:
    import numpy as np

    windows = partial(_windows, by_last=bool(dataset.targets))
    parts = run(engine, windows, recordings, program, progress)
    return _Rows(
        x=np.concatenate([part.x for part in parts]),
        label=[label for part in parts for label in part.label],
        groups=[group for part in parts for group in part.groups],
        recording=[name for part in parts for name in part.recording],
        window=np.concatenate([part.window for part in parts]),
        time_us=np.concatenate([part.time_us for part in parts]),
    )


def _windows(recording: Recording, program: Program, *, by_last: bool) -> _Rows:
    """Every window of one recording that `labelled_windows` names."""
    import numpy as np

    n_frames = len(recording.frames)
    if n_frames < program.window_frames:
        raise ContractError(
            f"recording {recording.name}: {n_frames} frames, a window has {program.window_frames}",
            hint="leave the recording out, or lower features.window_frames",
        )
    if program.timing:
        timed = timed_rows(recording, program, by_last=by_last)
        return _Rows(
            x=timed.x,
            label=timed.label,
            groups=[recording.group] * len(timed.label),
            recording=[recording.name] * len(timed.label),
            window=timed.window,
            time_us=timed.time_us,
        )
    x = _vectors(recording, program)
    label = labelled_windows(recording, program.window_frames, program.hop_frames, by_last=by_last)
    kept = np.array(sorted(label), dtype=np.int64)
    last = kept * program.hop_frames + program.window_frames - 1
    is_dealt = recording.places is not None
    return _Rows(
        x=x[kept],
        label=[label[window] for window in kept.tolist()],
        groups=[recording.group] * len(kept),
        recording=[DEALT if is_dealt else recording.name] * len(kept),
        window=kept if recording.places is None else recording.places[kept],
        time_us=np.full(len(kept), UNKNOWN, dtype=np.int64) if recording.times is None else recording.times[last],
    )


def _vectors(recording: Recording, program: Program) -> npt.NDArray[np.float32]:
    """The feature vector of every window: what windows give, then what the record at its last frame gives."""
    import numpy as np

    n_cells = sum(feature.is_row for feature in program.features)
    parts = []
    if n_cells < len(program.features):
        parts.append(windows_of(recording.frames, program))
    if n_cells:
        parts.append(cells_of(program, recording.fields)[program.window_frames - 1 :: program.hop_frames])
    return np.concatenate(parts, axis=1)


def labelled_windows(
    recording: Recording, window_frames: int, hop_frames: int, *, by_last: bool = False
) -> dict[int, str]:
    """The label of every window whose frames have one label; `by_last`: the label of its last frame."""
    label: dict[int, str] = {}
    for span in recording.spans:
        start = max(0, span.start - window_frames + 1) if by_last else span.start
        first = -(-start // hop_frames)
        past = (span.end - window_frames) // hop_frames + 1
        label.update((window, span.label) for window in range(first, past))
    return label


def _check_finite(rows: _Rows, program: Program) -> None:
    import numpy as np

    bad = np.argwhere(~np.isfinite(rows.x))
    if len(bad):
        row, column = bad[0].tolist()
        raise ContractError(
            f"recording {rows.recording[row]}, window {rows.window[row]}: feature "
            f"{program.features[column].name} is {rows.x[row, column]}",
            hint="a value is missing: impute it"
            if program.features[column].is_row
            else "a raw value is too large for float32 arithmetic: look at the channel's scale",
        )


def _columns(rows: _Rows) -> dict[str, Any]:
    import numpy as np

    return {
        "row": np.arange(len(rows.label), dtype=np.int64),
        "recording": rows.recording,
        "group": rows.groups,
        "window": rows.window,
        "time_us": rows.time_us,
        "label": rows.label,
        **{f"f{i}": rows.x[:, i] for i in range(rows.x.shape[1])},
    }


def _read(ws: Workspace, name: str, n_features: int) -> _Rows:
    import numpy as np

    columns = ws.tables.sql(f'select * from {name} order by "row"').fetchnumpy()
    return _Rows(
        x=np.stack([np.asarray(columns[f"f{i}"], dtype=np.float32) for i in range(n_features)], axis=1),
        label=columns["label"].tolist(),
        groups=columns["group"].tolist(),
        recording=columns["recording"].tolist(),
        window=np.asarray(columns["window"], dtype=np.int64),
        time_us=np.asarray(columns["time_us"], dtype=np.int64),
    )


def _has_times(ws: Workspace, name: str) -> bool:
    """Not a table that an older version kept; it is made anew."""
    return "time_us" in ws.tables.sql(f"select * from {name} limit 0").columns
