"""Recordings as the project describes them. One rule: what breaks is refused by file, line and column.

Frames are read by the device's own playback, so both sides see the same numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.datasets.content import Recording, Span
from cloud_trainer.datasets.csvfile import CsvFile, stem
from cloud_trainer.datasets.labelling import Labelling, found_in_name, spans_of_column
from cloud_trainer.datasets.tabular import read_fields, read_table
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.playback import PlaybackSource

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.project import Project

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_BLOCK_FRAMES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraRecording:
    """A file that the project does not name, all of one label."""

    file: Path
    label: str
    group: str


def read_recordings(
    project: Project, extra: Sequence[ExtraRecording] = (), *, progress: Progress | None = None
) -> list[Recording]:
    """Every recording of the project and those in `extra`, in the order of their names.

    Raises:
        UsageError: No file matches.
        ContractError: A file breaks: not there, unreadable, no such column, NaN, empty label, no label at all,
            shorter than a window.
    """
    files = find_files(project)
    if not project.channels:
        if extra:
            raise UsageError("recordings: a project without channels has none to add", hint="add lines to its files")
        return read_table(project, files)
    labelling = Labelling(project)
    grouping = _Grouping(project)
    named = [(path, None) for path in files] + [(Path(item.file), item) for item in extra]
    _refuse_twins([path for path, _ in named])
    recordings = []
    for done, (path, item) in enumerate(sorted(named, key=lambda pair: stem(pair[0]))):
        if progress:
            progress("reading recordings", done, len(named))
        frames, times = _read_frames(project, path)
        if item:
            if not item.label or not item.group:
                raise UsageError(f"{path}: its label or its group is empty", hint="name both")
            group = item.group
            spans: tuple[Span, ...] = (Span(0, len(frames), item.label),)
        else:
            group, spans = grouping.of(path), labelling.of(path, len(frames))
        fields = read_fields(project.fields, path) if project.fields else {}
        recordings.append(
            Recording(name=stem(path), group=group, frames=frames, spans=spans, fields=fields, times=times)
        )
    if progress:
        progress("reading recordings", len(named), len(named))
    return recordings


def find_files(project: Project) -> list[Path]:
    """The files that `data.files` matches, sorted, each once.

    Raises:
        UsageError: A pattern matches nothing, or is not relative to `data.root`.
    """
    found: set[Path] = set()
    for pattern in project.data.files:
        if Path(pattern).is_absolute():
            raise UsageError(f"data.files: {pattern!r} is absolute", hint="put the folder into data.root")
        matched = [path for path in project.data.root.glob(pattern) if not path.is_dir()]
        if not matched:
            raise UsageError(
                f"data.files: {pattern!r} matches no file in {project.data.root}",
                hint="mend data.root or data.files in the project file",
            )
        found.update(matched)
    return sorted(found)


def _refuse_twins(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(stem(path), path)
        if other is not path:
            raise ContractError(
                f"recording {stem(path)!r} stands twice: {other} and {path}",
                hint="give each file a name of its own",
            )


def _read_frames(project: Project, path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64] | None]:
    import numpy as np

    columns = [channel.column for channel in project.channels]
    source = PlaybackSource([path], rate_hz=project.data.rate_hz, channels=columns, time=project.data.time)
    block = memoryview(array("f", bytes(4 * _BLOCK_FRAMES * len(columns))))
    values, times = array("f"), array("q")
    try:
        while n := source.read(block):
            values.frombytes(block[: n * len(columns)].cast("B"))
            if source.times is not None:
                times.frombytes(source.times.cast("B"))
    finally:
        source.close()
    frames = np.frombuffer(values, dtype=np.float32).reshape(-1, len(columns))
    window = project.features.window_frames
    if len(frames) < window:
        raise ContractError(
            f"{path}: {len(frames)} frames are shorter than a window of {window}",
            hint="leave the recording out, or lower features.window_frames",
        )
    return frames, np.frombuffer(times, dtype=np.int64) if project.data.time else None


class _Grouping:
    """The group of each file."""

    def __init__(self, project: Project) -> None:
        self._groups = project.groups
        self._index: dict[str, str] | None = None
        if index := project.groups.index:
            self._where = project.data.root / index.file
            file = CsvFile(self._where)
            self._index = file.mapping(index.file_column, index.column)

    def of(self, path: Path) -> str:
        """The group of the recording in `path`."""
        if self._index is not None:
            if stem(path) not in self._index:
                raise ContractError(f"{path}: no line of {self._where} names it", hint="add the line")
            return self._index[stem(path)]
        if self._groups.pattern:
            return found_in_name(self._groups.pattern, path, key="groups.pattern")
        if self._groups.column:
            spans = spans_of_column(CsvFile(path), self._groups.column, what="group")
            if len({span.label for span in spans}) > 1:
                raise ContractError(
                    f"{path} line {spans[1].start + 2}, column {self._groups.column!r}: the group changes "
                    f"from {spans[0].label!r} to {spans[1].label!r}",
                    hint="one recording is of one group: cut the file there",
                )
            return spans[0].label
        return stem(path)
