"""What one stream tells of itself: sampled records, the frames of some of them by allow-list, one summary a period.

One rule: only the decide thread touches it.

A period ends after both its windows and its seconds; then its records and its summary become drafts for the spool.
Its seconds are counted in windows, never on the clock: a device whose clock is set back must not fall silent.
"""

from __future__ import annotations

from array import array

from edge_runtime.contract import cbor
from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.header import Header
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.contract.records import FAULT, RANGE, SHADOW
from edge_runtime.contract.traffic import batch_rows, windows_of_period
from edge_runtime.contract.window import Window
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.errors import ContractError
from edge_runtime.lean import Final, dataclass
from edge_runtime.native import FAR, NAN, Decision, Sketch, Stream
from edge_runtime.sampling import FrameKeeper, FrameRule, Sampled, Sampler
from edge_runtime.spool import Draft

KEPT: Final = {NAN: FAULT, FAR: RANGE}
"""Decisions that are kept for what they are: flag of the core, reason."""


@dataclass(slots=True)
class Marks:
    """Where the running period stands."""

    period: int = 0
    start_ms: int = 0
    last_ms: int = 0
    first_window: int = 0
    n_windows: int = 0
    drops: int = 0


class Period:
    """The running period of one stream under one bundle."""

    def __init__(
        self,
        config: StreamConfig,
        *,
        header: Header,
        clock: int,
        n_labels: int,
        n_features: int,
        hop_s: float,
        raw: FrameRule | None = None,
        rate_hz: float = 1.0,
    ) -> None:
        """Begin at period 0; `raw` is what of the frames may be kept, at `rate_hz`."""
        self._config = config
        self.header = header
        self._clock = clock
        self._n_features = n_features
        self._n_labels = n_labels
        self._windows = windows_of_period(
            period_s=config.period_s, period_windows=config.period_windows, window_s=hop_s
        )
        self._sampler = Sampler(
            config.sample_k, epoch=header.epoch, stream=f"{header.device}/{config.name}", n_labels=n_labels
        )
        self._frames = None if raw is None else FrameKeeper(raw)
        self._rate_hz = rate_hz
        self._latency = Sketch()
        self.marks = Marks()

    def observe(
        self,
        decision: Decision,
        stream: Stream,
        *,
        window: int,
        time_ms: int,
        latency_ns: int,
        is_disputed: bool = False,
    ) -> bool:
        """Take one decision in, one that a shadow disputes with certainty; True when the period is over."""
        marks = self.marks
        if marks.n_windows == 0:
            marks.start_ms, marks.first_window = time_ms, window
        marks.n_windows += 1
        marks.last_ms = time_ms
        self._latency.add(latency_ns)
        kept = self._sampler.offer(
            window,
            decision.label,
            vote=decision.vote,
            margin=decision.margin,
            time_ms=time_ms,
            latency_us=latency_ns // 1000,
            features=stream.features,
            scores=stream.scores,
            apart=next((why for flag, why in KEPT.items() if decision.flags & flag), SHADOW if is_disputed else None),
        )
        if kept is not None and self._frames is not None:
            priority, reason = kept
            self._frames.offer(window, reason, priority, stream.window)
        return marks.n_windows >= self._windows

    def finish(self, stream: Stream) -> list[Draft]:
        """Return the drafts of the period and start the next one; none if nothing was decided in it."""
        marks = self.marks
        if marks.n_windows == 0:
            return []
        sampled = self._sampler.finish(marks.period)
        size = batch_rows(self._n_features + self._n_labels)
        drafts = [self._records(sampled[i : i + size]) for i in range(0, len(sampled), size)]
        if self._frames is not None:
            drafts += [self._window(self._frames.rule, *one) for one in self._frames.take(sampled)]
        drafts.append(self._summary(stream))
        stream.reset_summary()
        self._latency.reset()
        self.marks = Marks(period=marks.period + 1)
        return drafts

    def _records(self, rows: list[Sampled]) -> Draft:
        header, clock, n_labels, n_features = self.header, self._clock, self._n_labels, self._n_features

        def encode(first_seq: int) -> bytes:
            features, scores = array("f"), array("f")
            for row in rows:
                features.frombytes(row.features)
                scores.frombytes(row.scores)
            return PackedBatch(
                header=header,
                first_seq=first_seq,
                clock=clock,
                windows=tuple(row.window for row in rows),
                times_ms=tuple(row.time_ms for row in rows),
                labels=tuple(row.label for row in rows),
                votes=tuple(row.vote for row in rows),
                reasons=tuple(row.reason for row in rows),
                probabilities=array("f", [row.probability for row in rows]),
                latencies_us=tuple(row.latency_us for row in rows),
                features=features,
                scores=scores,
                n_features=n_features,
                n_scores=n_labels,
            ).to_bytes()

        return Draft(kind="rec", stream=self._config.name, rows=len(rows), encode=encode)

    def _window(self, rule: FrameRule, of: Sampled, frames: list[bytes]) -> Draft:
        header, clock, rate_hz = self.header, self._clock, self._rate_hz

        def encode(first_seq: int) -> bytes:
            return Window(
                header=header,
                seq=first_seq,
                clock=clock,
                window=of.window,
                time_ms=of.time_ms,
                reason=of.reason,
                rate_hz=rate_hz,
                names=tuple(name for _, name in rule.channels),
                n_values=tuple(len(one) // 4 for one in frames),
                values=array("f", b"".join(frames)),
            ).to_bytes()

        return Draft(kind="raw", stream=self._config.name, rows=1, encode=encode)

    def _summary(self, stream: Stream) -> Draft:
        rows, label_counts = stream.summary()
        marks, header, clock = self.marks, self.header, self._clock
        latency_bins, latency_counts = self._latency.counts()

        def encode(first_seq: int) -> bytes:
            return BriefBatch(
                header=header,
                seq=first_seq,
                period=marks.period,
                start_ms=marks.start_ms,
                end_ms=marks.last_ms,
                clock=clock,
                first_window=marks.first_window,
                last_window=marks.first_window + marks.n_windows - 1,
                n_windows=marks.n_windows,
                label_counts=label_counts,
                drops=marks.drops,
                rows=rows,
                latency_bins=latency_bins,
                latency_counts=latency_counts,
            ).to_bytes()

        return Draft(kind="sum", stream=self._config.name, rows=1, encode=encode)

    def save(self) -> bytes:
        """Return the period so far, for the checkpoint."""
        m = self.marks
        return cbor.dumps(
            {
                "marks": [m.period, m.start_ms, m.last_ms, m.first_window, m.n_windows, m.drops],
                "sampler": self._sampler.save(),
                "latency": self._latency.save(),
                **({} if self._frames is None else {"frames": self._frames.save()}),
            }
        )

    def restore(self, data: bytes) -> None:
        """Go on with a saved period.

        Raises:
            ContractError: the bytes are no saved period.
        """
        fields = cbor.loads(data, what="checkpoint.period")
        match fields:
            case {"marks": [*marks], "sampler": bytes(sampler), **rest} if len(marks) == 6 and all(
                isinstance(m, int) for m in marks
            ):
                self._sampler.restore(sampler)
                self._restore_latency(rest.get("latency"))
                frames = rest.get("frames")
                if self._frames is not None and isinstance(frames, bytes):
                    self._frames.restore(frames)
                self.marks = Marks(*marks)
            case _:
                raise ContractError("checkpoint.period: want marks and sampler")

    def _restore_latency(self, data: object) -> None:
        """A checkpoint of a version without the sketch has none: it begins in the middle of the period."""
        if isinstance(data, bytes):
            self._latency.restore(data)
