"""One stream in the core: frames in, decisions out. One rule: buffers are bound once, a call moves a block."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any, NamedTuple
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.model import Model
from edge_runtime.native.program import config_of
from edge_runtime.native.rows import Rows, Value
from edge_runtime.native.status import Floats, Times, floats, fpu_check, memory, text_of, times_of
from edge_runtime.native.walk import ClockCounts

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Bins
    from edge_runtime.contract.manifest import Policy
    from edge_runtime.contract.program import Program
    from edge_runtime.contract.summary import SummaryRow

STATUS = ("decision", "more", "scores")
"""By ER_OK, ER_AGAIN, ER_SCORES."""
DECISION = Struct("=QiifI")
"""er_decision in memory: read at once, as a field costs as much as all of them."""


NAN: int = lib.ER_FLAG_NAN
FAR: int = lib.ER_FLAG_RANGE


class Decision(NamedTuple):
    """The answer to one window.

    Attributes:
        window: Its number in the stream, from 0.
        label: After the policy; -1 = abstain.
        vote: Of this window alone, after its threshold; -1 = abstain.
        margin: Best score minus the second, 0..
        flags: `NAN`: a feature was NaN (the model was not asked) or a score was not finite. `FAR`: a feature is 16
            scales or more off its centre. `FILLED`, `RESET`: as of a walk.
    """

    window: int
    label: int
    vote: int
    margin: float
    flags: int


class Stream:
    """Window, features, model, policy and summary of one stream. One thread at a time.

    Attributes:
        nbytes: All its memory in the core [bytes]; it never grows.
        features: float32 of the last complete window, live: the next window overwrites it.
        scores: float64 of the last decided window, live; NaN where the model was not asked.
        address: Of the `er_stream`, for a benchmark that calls the core without this class.
        status: Of the last `step`: "decision" (read `decision`), "scores" (call `decide`), "more".

    Raises:
        ContractError: A part is malformed, the parts do not fit each other, or this thread flushes denormals.
    """

    def __init__(
        self, program: Program, policy: Policy, *, model: bytes | None = None, bins: Sequence[Bins] = ()
    ) -> None:
        fpu_check()
        self._program = program
        self._model = None if model is None else Model(model)
        view = ffi.NULL if self._model is None else self._model._view
        self._config, self._keep = config_of(program, policy, model=view, bins=bins)
        self._n_bins = [len(row.edges) - 1 for row in bins]
        self._n_channels, self._n_classes = len(program.channels), len(policy.thresholds_ppm)
        self._build(len(program.features))

    def _build(self, n_features: int) -> None:
        self.nbytes: int = lib.er_stream_size(self._config)
        if self.nbytes == 0:
            raise self._misfit(n_features)
        self._memory = memory(self.nbytes)
        handle = ffi.new("er_stream **")
        status = lib.er_stream_init(handle, self._config, self._memory, self.nbytes)
        if status != lib.ER_OK:
            raise ContractError(f"stream: {text_of(status)}")
        self._handle = handle[0]
        self.address = int(ffi.cast("uintptr_t", self._handle))
        self.features = self._live(lib.er_stream_features(self._handle), 4 * n_features).cast("f")
        self.scores = self._live(lib.er_stream_scores(self._handle), 8 * self._n_classes).cast("d")
        row = lib.er_stream_row(self._handle)
        self._rows = Rows(self._program, within=(row, lib.er_stream_cells(self._handle))) if row else None
        self._frames: Floats = None
        self._times: Times = None
        self._pinned: object = None
        self._pinned_times: object = None
        self._call = ffi.new("el_call *", {"stream": self._handle, "width": self._n_channels})
        self._out = ffi.addressof(self._call, "out")
        self._out_bytes = ffi.buffer(self._out)
        self._el_step = lib.el_step  # found once: this is the path of every block of frames
        self._outside = ffi.new("double[]", self._n_classes)
        self.status = "more"

    @property
    def nbytes_32(self) -> int:
        """What `nbytes` is where pointers have 32 bits, as on a Cortex-M or an armv7 [bytes]."""
        return int(lib.er_stream_size_32(self._config))

    def anew(self) -> Stream:
        """A stream at frame 0 with the program, policy, model and bins of this one."""
        other = object.__new__(Stream)
        other.__dict__.update(self.__dict__)
        other._build(len(self._program.features))
        return other

    def _misfit(self, n_features: int) -> ContractError:
        model = self._model
        if model and (model.n_features, model.n_outputs) != (n_features, self._n_classes):
            return ContractError(
                f"model: {model.n_features} features and {model.n_outputs} outputs, "
                f"the program has {n_features}, the policy {self._n_classes} classes"
            )
        return ContractError("baseline: edges, centre or scale of a row are out of range as float32")

    def _live(self, pointer: Any, nbytes: int) -> memoryview:
        """Part of our memory, which the view keeps alive; read-only."""
        at = int(ffi.cast("uintptr_t", pointer)) - int(ffi.cast("uintptr_t", self._memory))
        return memoryview(ffi.buffer(self._memory))[at : at + nbytes].toreadonly()

    # ---- records and frames in, decisions out

    def record(self, values: Sequence[Value]) -> None:
        """Set the record that stands beside the windows from now on; before the first, its features are NaN.

        Args:
            values: One a field of `Program.record`, in that order; None is missing.

        Raises:
            ValueError: Another number of values, or the program has no fields.
            TypeError: A value is not of its field's kind; names the field.
        """
        if self._rows is None:
            raise ValueError("record: the program has no features on fields")
        self._rows.run(values)

    def step(self, frames: Floats, start: int, n: int, times: Times = None) -> int:
        """Frames taken: up to `n`, or fewer where a window got complete; then see `status`.

        A program without channels decides its record at each step: its frames are empty.

        Args:
            frames: float32, row-major, raw units. Bound while the same object is given again; fill it anew freely.
            start: First frame to take.
            n: Frames after it that may be taken.
            times: int64 [µs], one a frame of `frames`, where the program has a timing policy; None: the frames
                stand one period apart. A frame that fills a gap is given again until it is taken.

        Raises:
            ValueError: Outside `frames` or `times`, or the last window still waits for `decide`.
        """
        if frames is not self._frames or times is not self._times:
            self._bind(frames, times)
        try:
            done: int = self._el_step(self._call, start, n)
        except OverflowError:
            done = -1
        if done < 0:
            raise self._misused(start, n)
        self.status = STATUS[done & 3]
        return done >> 2

    def _misused(self, start: int, n: int) -> ValueError:
        end, call = start + n, self._call
        if start < 0 or n < 0 or end > call.n_frames:
            return ValueError(f"frames {start}..{end} are outside the buffer's 0..{call.n_frames}")
        if self._times is not None and end > call.n_times:
            return ValueError(f"frames {start}..{end} are outside the 0..{call.n_times} of times")
        return ValueError(f"window {self.windows} waits for scores: call decide() first")

    def _bind(self, frames: Floats, times: Times) -> None:
        if times is not self._times:
            moments, n_times, pinned = (ffi.NULL, 0, None) if times is None else times_of(times)
            self._call.times_us, self._call.n_times, self._pinned_times = moments, n_times, pinned
            self._times = times
        if frames is self._frames:
            return
        if not self._n_channels:
            self._frames, self._call.n_frames = frames, 1 << 31
            return
        pointer, n, keep = floats(frames, what="frames")
        n_frames, rest = divmod(n, self._n_channels)
        if rest:
            raise ValueError(f"frames: {n} values are no whole number of frames of {self._n_channels} channels")
        self._call.frames, self._call.n_frames, self._pinned = pointer, n_frames, keep
        self._frames = frames

    def decide(self, scores: Sequence[float]) -> Decision:
        """The decision of the window that `step` left at "scores".

        Args:
            scores: One a class, of an outside engine; one that is not finite makes the vote abstain.

        Raises:
            ValueError: No window waits, or another number of scores.
        """
        if len(scores) != self._n_classes:
            raise ValueError(f"scores: {len(scores)} values, the policy has {self._n_classes} classes")
        self._outside[0 : self._n_classes] = scores
        if lib.er_decide(self._handle, self._outside, self._out) != lib.ER_OK:
            raise ValueError("decide: no window waits for scores")
        self.status = "decision"
        return self.decision

    @property
    def decision(self) -> Decision:
        """The last one."""
        return Decision._make(DECISION.unpack(self._out_bytes))

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return int(lib.er_stream_frames(self._handle))

    @property
    def windows(self) -> int:
        """Number of the next window."""
        return int(lib.er_stream_windows(self._handle))

    @property
    def clock(self) -> ClockCounts:
        """What the clock has met since the stream began; all 0 without a timing policy."""
        counts = ffi.new("er_clock_counts *")
        lib.er_stream_clock(self._handle, counts)
        return ClockCounts(counts.duplicates, counts.late, counts.filled, counts.resets)

    def window(self, channel: int) -> bytes:
        """float32 of the last complete window of a channel, in its unit and oldest first; b"" where none stands.

        One stands from a decision on until the next frame; a channel of another rate has fewer values.
        """
        n = ffi.new("uint32_t *")
        values = lib.er_stream_window(self._handle, channel, n)
        return bytes(ffi.buffer(values, 4 * n[0])) if values else b""

    # ---- summary

    def summary(self) -> tuple[tuple[SummaryRow, ...], tuple[int, ...]]:
        """(rows: features, then scores; decisions by label, abstain last) since the last reset."""
        labels = ffi.new("uint32_t[]", self._n_classes + 1)
        lib.er_summary_labels(self._handle, labels, self._n_classes + 1)
        return tuple(map(self._summary_row, range(len(self._n_bins)))), tuple(labels)

    def _summary_row(self, row: int) -> SummaryRow:
        from edge_runtime.contract.summary import SummaryRow

        t, counts = ffi.new("er_tally *"), ffi.new("uint32_t[]", self._n_bins[row] + 2)
        lib.er_summary_row(self._handle, row, t, counts, len(counts))
        return SummaryRow(
            n=t.n,
            n_nan=t.n_nan,
            min=t.min,
            max=t.max,
            first=t.first,
            last=t.last,
            sum=t.sum,
            sum_sq=t.sum_sq,
            sum_lag=t.sum_lag,
            counts=tuple(counts),
        )

    def reset_summary(self) -> None:
        """Start a new period."""
        lib.er_summary_reset(self._handle)

    # ---- state

    def save(self) -> bytes:
        """All that changes, for `restore` on this machine.

        Raises:
            ValueError: A window waits for `decide`.
        """
        size = lib.er_stream_save_size(self._handle)
        out = ffi.new("unsigned char[]", size)
        if lib.er_stream_save(self._handle, out, size) != lib.ER_OK:
            raise ValueError(f"save: window {self.windows} waits for scores")
        return bytes(ffi.buffer(out))

    def restore(self, data: bytes) -> None:
        """Go on where `save` was called, bit for bit.

        Raises:
            ContractError: Saved by another program, policy, baseline or model, or no bytes of `save`; nothing changed.
        """
        aligned = ffi.new("unsigned char[]", data)
        status = lib.er_stream_restore(self._handle, aligned, len(data))
        if status != lib.ER_OK:
            raise ContractError(f"saved state of {len(data)} bytes: {text_of(status)}", hint="start the stream anew")
        self.status = "more"

    def adopt(self, other: Stream) -> None:
        """Go on at the frame and window where `other` stands, with this model and policy, no votes and empty counts.

        Raises:
            ContractError: Channels, rate, window or hop differ: names which.
            ValueError: `other` waits for `decide`.
        """
        status = lib.er_stream_adopt(self._handle, other._handle)
        if status == lib.ER_EMISMATCH:
            raise ContractError(f"adopt: {_difference(other._program, self._program)}")
        if status != lib.ER_OK:
            raise ValueError("adopt: the other stream waits for scores, or is this one")
        self.status = "more"


def _difference(old: Program, new: Program) -> str:
    for what in ("rate_hz", "window_frames", "hop_frames", "timing"):
        if getattr(old, what) != getattr(new, what):
            return f"{what} was {getattr(old, what)}, is {getattr(new, what)}"
    if len(old.channels) != len(new.channels):
        return f"channels were {len(old.channels)}, are {len(new.channels)}"
    for a, b in zip(old.channels, new.channels, strict=True):
        if (a.scale, a.offset) != (b.scale, b.offset):
            return f"channel {a.name} was raw * {a.scale} + {a.offset}, {b.name} is raw * {b.scale} + {b.offset}"
    return "every, or the filters, of the channels differ"
