"""The sampler: priority sampling of the decisions of one period in the memory of k of them.

What is worth keeping for what it is (a fault, a value out of range) is kept apart, with certainty, the first of them
in a period; what comes after those is drawn as any other, so totals stay unbiased.

One rule: a window's random number is a hash of (stream, window), so a window that is made again after a crash
is chosen again, and every record says with which probability it was kept.

Source: Duffield, Lund, Thorup, "Priority sampling for estimation of arbitrary subset sums", JACM 54(6), 2007:
priority q = w/u with u uniform on (0, 1]; the k highest are kept; tau is the next highest; p = min(1, w/tau).
"""

from __future__ import annotations

import heapq
import math
import struct
from array import array
from collections.abc import Iterable

from edge_runtime.contract.records import MAX_LATENCY_US
from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any, dataclass
from edge_runtime.sampling.weight import weigh

if TYPE_CHECKING:
    from hashlib import blake2b
else:
    try:  # the interpreter's own, as of `lean`; not there, as a process that only decides takes no samples
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b

APART = 8  # kept for what they are, of a period at most
_CERTAIN = math.inf  # the priority of those
_HEAD = struct.Struct("<4sIQIIqdI")  # magic, k, epoch, stream hash, classes, period, tau, items
_ITEM = struct.Struct("<ddQqiiBIII")  # `_Item` up to latency_us, then two lengths
_MAGIC = b"elS1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One kept decision.

    Attributes:
        window: Number of the window in its stream, from 0.
        time_ms: End of the window [UTC ms].
        label: After the decision policy; -1 is abstain.
        vote: Of this window alone; -1 is abstain.
        reason: Of the largest part of its weight, a key of `contract.records.REASONS`.
        probability: Of having been kept, over 0 up to 1; an estimate counts this record 1/probability times.
        latency_us: From the window's last frame to the decision [µs].
        features: float32 in the byte order of the machine.
        scores: float32 in the byte order of the machine.
    """

    window: int
    time_ms: int
    label: int
    vote: int
    reason: int
    probability: float
    latency_us: int
    features: bytes
    scores: bytes


class _Item(tuple[float, float, int, int, int, int, int, int, bytes, bytes]):
    """priority (orders), weight, window, time_ms, label, vote, reason, latency_us, features, scores."""

    __slots__ = ()


def draw(stream: str, window: int) -> float:
    """The random number of a window, over 0 up to 1: 53 bits of BLAKE2b of (stream, window)."""
    digest = blake2b(struct.pack("<Q", window) + stream.encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "little") >> 11) + 1) / 9007199254740992.0


class Sampler:
    """Keeps at most k decisions of a period: `offer` each, `finish` at the end of the period.

    Args:
        k: Decisions kept at most, 1..65536.
        epoch: Epoch of the device's spool, for whoever reads a saved state; the draws do not hang on it, and a period
            that began under another one goes on.
        stream: Name that the draw hangs on; "device/stream" makes the draws of two devices independent.
        n_labels: Labels of the model, 1...
    """

    def __init__(self, k: int, *, epoch: int, stream: str, n_labels: int) -> None:
        if not 1 <= k <= 65536:
            raise ValueError(f"k: {k} is outside 1..65536")
        if n_labels < 1:
            raise ValueError(f"n_labels: {n_labels} is less than 1")
        self._k, self._epoch, self._stream = k, epoch, stream
        self._seen = [0] * (n_labels + 1)  # decisions by label, abstain last
        self._heap: list[_Item] = []
        self._apart: list[_Item] = []
        self._tau = 0.0
        self._period = -1

    def offer(
        self,
        window: int,
        label: int,
        *,
        vote: int,
        margin: float,
        time_ms: int,
        latency_us: int,
        features: memoryview[Any],
        scores: memoryview[Any],
        apart: int | None = None,
    ) -> tuple[float, int] | None:
        """Weigh a decision and copy it if its priority is among the k highest so far.

        `apart` is the reason why it is kept with certainty, while there is room for it. What is kept gives its
        priority (infinite where it is certain) and its reason, the others None.
        """
        total = sum(self._seen)
        of_label = self._seen[label]  # -1, abstain, is the last
        weight, reason = weigh(margin, n_of_label=of_label, n_total=total, n_classes=len(self._seen))
        self._seen[label] += 1
        latency_us = min(max(0, latency_us), MAX_LATENCY_US)
        if apart is not None and len(self._apart) < APART:
            told = (_CERTAIN, weight, window, time_ms, label, vote, apart, latency_us)
            self._apart.append(_Item((*told, _float32(features), _float32(scores))))
            return _CERTAIN, apart
        priority = weight / draw(self._stream, window)
        if len(self._heap) == self._k and priority <= self._heap[0][0]:
            self._tau = max(self._tau, priority)
            return None
        numbers = (priority, weight, window, time_ms, label, vote, reason, latency_us)
        kept = _Item((*numbers, _float32(features), _float32(scores)))
        if len(self._heap) < self._k:
            heapq.heappush(self._heap, kept)
        else:
            self._tau = max(self._tau, heapq.heappushpop(self._heap, kept)[0])
        return priority, reason

    def finish(self, period: int) -> list[Sampled]:
        """The records of the period in window order; the next offer begins a new period.

        Raises:
            ValueError: `period` is not above the last one finished: its records are already out.
        """
        if period <= self._period:
            raise ValueError(f"period {period}: {self._period} was already finished")
        kept = sorted((*self._heap, *self._apart), key=lambda item: item[2])
        out = [self._sampled(item) for item in kept]
        self._period, self._tau, self._heap, self._apart = period, 0.0, [], []
        self._seen = [0] * len(self._seen)
        return out

    def _sampled(self, item: _Item) -> Sampled:
        priority, weight, window, time_ms, label, vote, reason, latency_us, features, scores = item
        probability = min(1.0, weight / self._tau) if self._tau and priority < _CERTAIN else 1.0
        return Sampled(
            window=window, time_ms=time_ms, label=label, vote=vote, reason=reason, probability=probability,
            latency_us=latency_us, features=features, scores=scores,
        )  # fmt: skip

    def save(self) -> bytes:
        """The whole changing state; `restore` goes on from it and finishes with the same records."""
        items = (*self._heap, *self._apart)
        head = _HEAD.pack(*self._shape(), self._period, self._tau, len(items))
        seen = struct.pack(f"<{len(self._seen)}Q", *self._seen)
        return b"".join((head, seen, *map(_item_bytes, items)))

    def restore(self, data: bytes) -> None:
        """Go on where `save` stood.

        Raises:
            ContractError: `data` is cut, or of another k, stream or number of labels; nothing was
                changed.
        """
        hint = "begin the period anew"
        try:
            magic, k, _epoch, *rest, period, tau, n = _HEAD.unpack_from(data)
            shape, (form, our_k, _, *ours) = (magic, k, *rest), self._shape()
            if shape != (form, our_k, *ours):
                raise ContractError(
                    f"saved sampler: (form, k, stream, classes) {shape} do not fit {(form, our_k, *ours)}",
                    hint=hint,
                )
            seen = struct.unpack_from(f"<{len(self._seen)}Q", data, _HEAD.size)
            items = list(_items(data, at=_HEAD.size + 8 * len(seen), n=n))
        except struct.error as error:
            raise ContractError(f"saved sampler: {len(data)} bytes are not whole", hint=hint) from error
        self._period, self._tau, self._seen = period, tau, list(seen)
        self._heap = [item for item in items if item[0] < _CERTAIN]
        self._apart = [item for item in items if item[0] == _CERTAIN]
        heapq.heapify(self._heap)

    def _shape(self) -> tuple[bytes, int, int, int, int]:
        return _MAGIC, self._k, self._epoch, _tag(self._stream), len(self._seen)


def _float32(values: memoryview) -> bytes:
    return values.tobytes() if values.format == "f" else array("f", values).tobytes()


def _tag(stream: str) -> int:
    return int.from_bytes(blake2b(stream.encode(), digest_size=4).digest(), "little")


def _item_bytes(item: _Item) -> bytes:
    features, scores = item[8], item[9]
    return _ITEM.pack(*item[:8], len(features), len(scores)) + features + scores


def _items(data: bytes, *, at: int, n: int) -> Iterable[_Item]:
    for _ in range(n):
        *fields, n_features, n_scores = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        end = at + n_features + n_scores
        if end > len(data):
            raise struct.error
        yield _Item((*fields, data[at : at + n_features], data[at + n_features : end]))
        at = end
    if at != len(data):
        raise struct.error
