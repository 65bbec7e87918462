"""The frames of some of the kept decisions, until the period ends. One rule: none but what the device's rule allows.

As many as it says: what is kept with certainty first, then what was drawn with the highest priority; so they are the
windows of records that the sampler gives out, and a period that is made again keeps the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge_runtime.contract import cbor
from edge_runtime.errors import ContractError
from edge_runtime.lean import NamedTuple, dataclass
from edge_runtime.sampling.sampler import Sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRule:
    """What of a stream may be kept as frames.

    Attributes:
        channels: Position in the program and name.
        reasons: Keys of `contract.records.REASONS`.
        most: Windows of a period, 1...
    """

    channels: tuple[tuple[int, str], ...]
    reasons: tuple[int, ...]
    most: int

    def to_bytes(self) -> bytes:
        """To know it again by."""
        return cbor.dumps([[name for _, name in self.channels], list(self.reasons), self.most])


class Kept(NamedTuple):
    """The frames of a window: float32 in the byte order of the machine, a channel each."""

    priority: float
    window: int
    frames: list[bytes]


class FrameKeeper:
    """Call `offer` for each decision that the sampler keeps, `take` at the end of the period.

    Args:
        rule: What is allowed.
    """

    def __init__(self, rule: FrameRule) -> None:
        self.rule = rule
        self._kept: list[Kept] = []  # highest priority first, of equal ones the first that came

    def offer(self, window: int, reason: int, priority: float, frames: Callable[[int], bytes]) -> None:
        """Copy the frames (asked for by a channel's position) where the rule allows it and nothing better is there."""
        if reason not in self.rule.reasons:
            return
        if len(self._kept) == self.rule.most:
            if priority <= self._kept[-1].priority:
                return
            self._kept.pop()
        self._kept.append(Kept(priority, window, [frames(position) for position, _ in self.rule.channels]))
        self._kept.sort(key=lambda one: -one.priority)

    def take(self, sampled: Iterable[Sampled]) -> list[tuple[Sampled, list[bytes]]]:
        """The records of the period that have frames, with them; the next offer begins a new period."""
        kept, self._kept = {one.window: one.frames for one in self._kept}, []
        return [(one, kept[one.window]) for one in sampled if one.window in kept]

    def save(self) -> bytes:
        """What is kept, for the checkpoint."""
        return cbor.dumps({"rule": self.rule.to_bytes(), "kept": [list(one) for one in self._kept]})

    def restore(self, data: bytes) -> None:
        """Go on with what was saved; under another rule with nothing, so that what was allowed once stays here.

        Raises:
            ContractError: The bytes are not of `save`.
        """
        match cbor.loads(data, what="checkpoint.frames"):
            case {"rule": bytes(rule), "kept": [*kept]}:
                self._kept = [_kept(one) for one in kept] if rule == self.rule.to_bytes() else []
            case _:
                raise ContractError("checkpoint.frames: want rule and kept")


def _kept(value: object) -> Kept:
    match value:
        case [float(priority), int(window), [*given]]:
            frames = [one for one in given if isinstance(one, bytes)]
            if len(frames) == len(given):
                return Kept(priority, window, frames)
    raise ContractError("checkpoint.frames: want priority, window and frames")
