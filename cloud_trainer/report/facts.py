"""What a report shows, as plain values. One rule: whoever renders it looks nothing up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cloud_trainer.drift.loss import Accuracy
from cloud_trainer.drift.verdict import Verdict
from cloud_trainer.labels import Labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A feature, score or the label that speaks for a change, on the stream where it does most."""

    name: str
    where: str  # device/stream
    streams: int  # that show it
    is_named: bool  # by e-BH
    log_m: float
    onset_ms: int
    shift: float | None  # of the mean since the onset, in scales of the baseline
    mean: float | None  # since the onset, in the unit of the feature
    mean_before: float | None
    bins: Sequence[tuple[str, float, float]]  # name, share in the baseline, share since the onset
    means: Sequence[tuple[int, float | None]]  # end of each period [ms], mean [scales of the baseline]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a stream stood in time."""

    site: str
    verdict: Verdict
    spans: Sequence[tuple[int, int, str]]  # from [ms], to [ms], steady / watch / drifted; a silence is no span


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened."""

    lane: str  # bundles, alarms, labels, losses, faults
    time_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An accuracy of some time."""

    from_ms: int
    to_ms: int
    accuracy: Accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of the decisions of a stream [µs]: of all, within 2 %, or by sampled records where no summary counts them."""

    where: str
    decisions: int
    p50: int
    p99: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What did not come from a device."""

    where: str
    dropped: int  # decisions that found the queue full
    given_up: int  # rows that a full spool gave up
    gaps: int  # breaks in the sequence of windows
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a page shows of one model and one span of time."""

    title: str
    bundle: str = ""  # digest; "" where nothing has run
    from_ms: int = 0
    to_ms: int = 0
    alarm_periods: float
    verdict: Verdict | None = None  # of the model
    course: Sequence[tuple[int, float]] = ()  # end of period [ms], log M of the model
    stands: Sequence[Stand] = ()
    moved: Sequence[Moved] = ()
    marks: Sequence[Mark] = ()
    expected: Sequence[Share] = ()
    labelled: Labelled | None = None
    latencies: Sequence[Latency] = ()
    losses: Sequence[Loss] = ()
    advice: Sequence[str] = field(default=())
