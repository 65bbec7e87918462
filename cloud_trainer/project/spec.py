"""A project as values: what `edgeloop.toml` says, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_trainer.policies import PolicySpec, RetrainPolicy
from cloud_trainer.seasons import SeasonSpec
from cloud_trainer.task import Task
from edge_runtime.contract.timing import Timing
from edge_runtime.sources.cells import TimeField

if TYPE_CHECKING:
    from edge_runtime.contract.program import Program

RUNTIME = "1.20"  # the oldest onnxruntime of the extra [onnx]

Params = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """One column of the recordings: value [unit] = raw * scale + offset."""

    name: str
    column: str
    unit: str
    scale: float
    offset: float
    every: int = 1
    taper: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One column of records: a "number" or a "text"; an empty cell is a missing value."""

    name: str
    column: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The recordings: whatever `playback` reads, as CSV files with one header line; one file is one recording.

    `time` is the column that says when a frame was taken. Without channels each line is a record of its own, and the
    lines of one group are one recording.
    """

    root: Path
    files: tuple[str, ...]
    rate_hz: float
    time: TimeField | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """A file of labelled intervals, one a line."""

    file: str
    recording: str
    start: str
    end: str
    label: str
    first: int
    end_inclusive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A file with one line a recording."""

    file: str
    file_column: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Where labels come from: exactly one of `pattern` (of the file name), `column`, `intervals`, `index`, `values`.

    `values` are columns of numbers, each a value to predict; a window has those of its last frame.
    """

    pattern: str = ""
    column: str = ""
    intervals: Intervals | None = None
    index: Index | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What must not be in training and test at once; with nothing named, each recording is its own group."""

    pattern: str = ""
    column: str = ""
    index: Index | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The feature program, but for its channels: a file, or what to build it from."""

    window_frames: int = 0
    hop_frames: int = 0
    list: tuple[str, ...] = ()
    derived: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    timing: Timing = Timing()  # noqa: RUF009 - frozen
    program: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Whole groups go to training or to test: those named, or a fraction chosen by the seed."""

    test: tuple[str, ...] = ()
    test_fraction: float = 0.25
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """What is asked, of which estimators, with which parameters, judged by what; `normal` labels are no outliers."""

    task: Task
    estimators: tuple[str, ...]
    metric: str
    seed: int
    params: Mapping[str, Params]
    normal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project file, read and checked."""

    path: Path
    name: str
    channels: tuple[ChannelSpec, ...]
    fields: tuple[FieldSpec, ...]
    data: Data
    labels: Labels
    groups: Groups
    features: Features
    split: Split
    train: Train
    target: Mapping[str, int]
    policy: PolicySpec
    seasons: SeasonSpec = SeasonSpec()  # noqa: RUF009 - frozen
    precision: str = "auto"
    runtime: str = RUNTIME
    retrain: RetrainPolicy = RetrainPolicy()  # noqa: RUF009 - frozen

    @property
    def workspace(self) -> Path:
        """The workspace where none is named: beside the project file."""
        from cloud_trainer.workspace import DEFAULT

        return self.path.parent / DEFAULT

    def program(self) -> Program:
        """The feature program that the project declares.

        Raises:
            UsageError: A feature of `features.list` is none, or `features.program` names no program for these channels.
        """
        from cloud_trainer.definition import program_of

        return program_of(self)
