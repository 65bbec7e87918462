"""A batch of records: what is kept of some inferences of one stream. See FORMAT.md section "records".

One rule: identity is (device, epoch, seq), and never a clock. Row i has seq `first_seq + i`.
"""

from __future__ import annotations

from array import array

from edge_runtime.contract import cbor
from edge_runtime.contract.cbor import smallest
from edge_runtime.contract.checks import I63, SAFE, integer, integers, take, wrong
from edge_runtime.contract.columns import CLOCKS, floats, offsets, rows, take_floats, take_ints, take_offsets
from edge_runtime.contract.document import opened, write_cbor
from edge_runtime.contract.header import Header, header_items, take_header
from edge_runtime.lean import Any, Final, dataclass, field

MAX_ROWS: Final = 1024
MAX_LATENCY_US: Final = 2**32 - 1
REASONS: Final = {0: "floor", 1: "class", 2: "uncertain", 3: "fault", 4: "range", 5: "shadow"}
"""Why the sampler kept a record: the floor that every one has, a rare label, a small margin; kept apart with certainty:
a feature that is no number, a feature far off all of training, a bundle beside that decides otherwise."""
FAULT: Final = 3
RANGE: Final = 4
SHADOW: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """1..1024 records, one tuple or array a column.

    Attributes:
        header: Device, stream, epoch, bundle, program.
        first_seq: Of row 0, from 1.
        clock: 0 unknown, 1 synced, 2 virtual.
        windows: Number of each window in its stream.
        times_ms: End of each window, UTC [ms].
        labels: After the policy; -1 abstain or 0..63.
        votes: Of the window alone, as `labels`.
        reasons: Key of `REASONS`.
        probabilities: That the sampler kept this record, float32, above 0 and up to 1.
        latencies_us: From the last frame to the decision [µs], 2^32-1 = that or more.
        features: float32, rows x n_features.
        scores: float32, rows x n_scores.
        n_features: 1..1024.
        n_scores: 1..64.
        extra: Fields of a newer minor version.
    """

    header: Header
    first_seq: int
    clock: int
    windows: tuple[int, ...]
    times_ms: tuple[int, ...]
    labels: tuple[int, ...]
    votes: tuple[int, ...]
    reasons: tuple[int, ...]
    probabilities: array[float]
    latencies_us: tuple[int, ...]
    features: array[float]
    scores: array[float]
    n_features: int
    n_scores: int
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = integer(len(self.windows), "records: rows", low=1, high=MAX_ROWS)
        integer(self.first_seq, "records.first_seq", low=1, high=I63 - MAX_ROWS)
        integer(self.clock, "records.clock", high=max(CLOCKS))
        integer(self.n_features, "records.n_features", low=1, high=1024)
        integer(self.n_scores, "records.n_scores", low=1, high=64)
        for name, values, low, high in (
            ("windows", self.windows, 0, I63),
            ("times_ms", self.times_ms, 0, SAFE),
            ("labels", self.labels, -1, 63),
            ("votes", self.votes, -1, 63),
            ("reasons", self.reasons, 0, max(REASONS)),
            ("latencies_us", self.latencies_us, 0, MAX_LATENCY_US),
        ):
            rows(values, n, f"records.{name}")
            integers(values, f"records.{name}", low=low, high=high)
        for name, column, width in (
            ("probabilities", self.probabilities, 1),
            ("features", self.features, self.n_features),
            ("scores", self.scores, self.n_scores),
        ):
            floats(column, f"records.{name}")
            rows(column, n * width, f"records.{name}")
        for p in self.probabilities:
            if not 0 < p <= 1:
                raise wrong("records.probabilities", "above 0 and up to 1", p)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def last_seq(self) -> int:
        """Seq of the last row."""
        return self.first_seq + len(self.windows) - 1

    def to_bytes(self) -> bytes:
        """CBOR, one typed array a column. Equal batches give equal bytes."""
        window, windows = offsets(self.windows)
        time_ms, times_ms = offsets(self.times_ms)
        fields = {
            **header_items(self.header),
            "first_seq": self.first_seq,
            "clock": self.clock,
            "window": window,
            "windows": windows,
            "time_ms": time_ms,
            "times_ms": times_ms,
            "labels": array("b", self.labels),
            "votes": array("b", self.votes),
            "reasons": array("B", self.reasons),
            "probabilities": self.probabilities,
            "latencies_us": smallest(self.latencies_us),
            "features": self.features,
            "scores": self.scores,
            "n_features": self.n_features,
            "n_scores": self.n_scores,
        }
        return write_cbor("records", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> RecordBatch:
        """Decode and check every column.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        return cls.of(cbor.loads(data, what="records"))

    @classmethod
    def of(cls, value: object) -> RecordBatch:
        """Take a decoded document; see `from_bytes`."""
        what = "records"
        fields = opened(value, what)
        return cls(
            header=take_header(fields, what=what),
            first_seq=take(fields, "first_seq", int, what=what),
            clock=take(fields, "clock", int, what=what),
            windows=take_offsets(fields, "window", "windows", what=what),
            times_ms=take_offsets(fields, "time_ms", "times_ms", what=what, high=SAFE),
            labels=take_ints(fields, "labels", what=what),
            votes=take_ints(fields, "votes", what=what),
            reasons=take_ints(fields, "reasons", what=what),
            probabilities=take_floats(fields, "probabilities", what=what),
            latencies_us=take_ints(fields, "latencies_us", what=what),
            features=take_floats(fields, "features", what=what),
            scores=take_floats(fields, "scores", what=what),
            n_features=take(fields, "n_features", int, what=what),
            n_scores=take(fields, "n_scores", int, what=what),
            extra=fields,
        )
