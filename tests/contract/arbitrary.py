"""Random documents of every kind of message: values at and between the ends of their ranges, from one seed."""

from __future__ import annotations

import math
import random
import struct
from array import array
from typing import Any, Final

from edge_runtime.contract.ack import Ack
from edge_runtime.contract.birth import Birth, BirthStream, RawRule, State
from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.checks import I63, SAFE, U64
from edge_runtime.contract.event import Event
from edge_runtime.contract.header import Header
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.contract.records import RecordBatch
from edge_runtime.contract.summary import SummaryBatch, SummaryRow
from edge_runtime.contract.window import Window
from edge_runtime.lean import items_of
from tests.contract.samples import sha

U32: Final = 2**32 - 1


def integer(rng: random.Random, low: int, high: int) -> int:
    return rng.choice((low, high, rng.randint(low, high), min(high, low + rng.randrange(300))))


def single(rng: random.Random) -> float:
    """Any float32, from its bits."""
    found: float = struct.unpack("<f", rng.choice((rng.randbytes(4), struct.pack("<f", rng.gauss(0, 9)))))[0]
    return found


def name(rng: random.Random) -> str:
    return "".join(rng.choices("abcxyz0189-", k=integer(rng, 1, 64)))


def words(rng: random.Random, low: int, high: int) -> str:
    return "".join(rng.choices("ab ~\x80\xa0é€\ufeff\u2028𝄞", k=integer(rng, low, high)))


def anything(rng: random.Random, levels: int) -> Any:
    leafs = (None, True, False, integer(rng, -U64 - 1, U64), struct.unpack("<d", rng.randbytes(8))[0],
             words(rng, 0, 40), rng.randbytes(3), array(rng.choice("BHIQ"), [0, 255]),
             array(rng.choice("bhiq"), [-128, 127]), array(rng.choice("fd"), [single(rng)]))  # fmt: skip
    if levels == 0 or rng.random() < 0.3:
        return rng.choice(leafs)
    items = [anything(rng, levels - 1) for _ in range(rng.randrange(3))]
    return items if rng.random() < 0.5 else {words(rng, 0, 9) + str(i): item for i, item in enumerate(items)}


def header(rng: random.Random) -> Header:
    return Header(
        device=name(rng), stream=name(rng), epoch=integer(rng, 0, U64), bundle=sha(name(rng)), program=sha(name(rng))
    )


def records(rng: random.Random) -> RecordBatch:
    n, n_features, n_scores = rng.choice((1, 2, 32, 200)), rng.choice((1, 3, 16)), rng.choice((1, 3))

    def ints(low: int, high: int) -> tuple[int, ...]:
        top = integer(rng, low, high)
        return tuple(integer(rng, low, top) for _ in range(n))

    return RecordBatch(
        header=header(rng),
        first_seq=integer(rng, 1, I63 - 1024),
        clock=rng.randrange(3),
        windows=ints(0, I63),
        times_ms=ints(0, SAFE),
        labels=ints(-1, 63),
        votes=ints(-1, 63),
        reasons=ints(0, 5),
        probabilities=array("f", [rng.choice((1.0, 2.0**-149, 1 - rng.random())) for _ in range(n)]),
        latencies_us=ints(0, U32),
        features=array("f", [single(rng) for _ in range(n * n_features)]),
        scores=array("f", [single(rng) for _ in range(n * n_scores)]),
        n_features=n_features,
        n_scores=n_scores,
    )


def packed(rng: random.Random) -> PackedBatch:
    batch = records(rng)
    same = {name: getattr(batch, name)[:1] * len(batch) for name in ("labels", "votes", "reasons", "probabilities")}
    given = items_of(batch) | {"windows": tuple(sorted(batch.windows))} | (same if rng.random() < 0.5 else {})
    return PackedBatch(**given)


def summary_row(rng: random.Random) -> SummaryRow:
    counts = tuple(rng.choice((0, rng.randrange(10 ** rng.randrange(1, 8)))) for _ in range(integer(rng, 3, 66)))
    low, high = sorted((rng.gauss(0, 1), rng.gauss(0, 1e6))) if sum(counts) else (math.nan, math.nan)
    return SummaryRow(
        n=sum(counts),
        n_nan=integer(rng, 0, U32),
        min=low,
        max=high,
        first=integer(rng, -(2**20), 2**20),
        last=integer(rng, -(2**20), 2**20),
        sum=integer(rng, -I63, I63),
        sum_sq=integer(rng, 0, I63),
        sum_lag=integer(rng, -I63, I63),
        counts=counts,
    )


def summary(rng: random.Random) -> SummaryBatch:
    first = integer(rng, 0, I63)
    bins = tuple(sorted(rng.sample(range(701), rng.choice((0, 1, 40, 701)))))
    return SummaryBatch(
        header=header(rng),
        seq=integer(rng, 1, I63),
        period=integer(rng, 0, I63),
        start_ms=integer(rng, 0, SAFE),
        end_ms=integer(rng, 0, SAFE),
        clock=rng.randrange(3),
        first_window=first,
        last_window=integer(rng, first, I63),
        n_windows=integer(rng, 0, U32),
        label_counts=tuple(integer(rng, 0, U32) for _ in range(integer(rng, 2, 65))),
        drops=integer(rng, 0, U32),
        rows=tuple(summary_row(rng) for _ in range(rng.choice((0, 1, 20)))),
        latency_bins=bins,
        latency_counts=tuple(integer(rng, 1, U32) for _ in bins),
    )


def brief(rng: random.Random) -> BriefBatch:
    return BriefBatch(**items_of(summary(rng)))


def event(rng: random.Random) -> Event:
    values = (integer(rng, -I63, I63), words(rng, 0, 1024), "two\nlines\x00")
    return Event(
        device=name(rng),
        epoch=integer(rng, 0, U64),
        seq=integer(rng, 1, I63),
        stream=rng.choice(("", name(rng))),
        time_ms=integer(rng, 0, SAFE),
        kind=name(rng),
        fields={words(rng, 1, 60) + str(i): rng.choice(values) for i in range(integer(rng, 0, 32))},
    )


def birth(rng: random.Random) -> Birth:
    frames = integer(rng, 1, 4096)
    stream = BirthStream(
        name=name(rng),
        bundle=sha(name(rng)),
        program=sha(name(rng)),
        version=integer(rng, 1, SAFE),
        window_frames=frames,
        hop_frames=integer(rng, 1, frames),
        rate_hz=rng.choice((5e-324, 1e300, rng.random() + 1)),
        source=words(rng, 1, 256),
    )
    return Birth(
        site=name(rng),
        device=name(rng),
        epoch=integer(rng, 0, U64),
        time_ms=integer(rng, 0, SAFE),
        utc_offset_min=integer(rng, -1440, 1440),
        versions={words(rng, 1, 60) + str(i): words(rng, 0, 256) for i in range(integer(rng, 0, 32))},
        streams=(stream,) if rng.random() < 0.8 else (),
        **raw(rng),
    )


def raw(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.4:
        return {}
    rule = RawRule(
        channels=tuple(words(rng, 1, 60) + str(i) for i in range(integer(rng, 1, 64))),
        reasons=tuple(name(rng)[:60] + str(i) for i in range(integer(rng, 1, 16))),
        windows=integer(rng, 1, 64),
    )
    return {"raw": rng.choice(({}, {name(rng): rule})), "raw_bytes_day": integer(rng, 0, SAFE)}


def window(rng: random.Random) -> Window:
    sizes = tuple(rng.choice((1, 2, 300, 4096)) for _ in range(rng.choice((1, 3, 16))))
    return Window(
        header=header(rng),
        seq=integer(rng, 1, I63),
        clock=rng.randrange(3),
        window=integer(rng, 0, I63),
        time_ms=integer(rng, 0, SAFE),
        reason=rng.randrange(6),
        rate_hz=rng.choice((5e-324, 1e300, rng.random() + 1)),
        names=tuple(words(rng, 1, 60) + str(i) for i in range(len(sizes))),
        n_values=sizes,
        values=array("f", [single(rng)] * sum(sizes)),
    )


def state(rng: random.Random) -> State:
    return State(
        online=rng.random() < 0.5,
        device=name(rng),
        epoch=integer(rng, 0, U64),
        time_ms=integer(rng, 0, SAFE),
        streams={f"s-{i}": sha(str(i)) for i in range(integer(rng, 0, 16))},
        order_version=integer(rng, 0, SAFE),
    )


def ack(rng: random.Random) -> Ack:
    firsts = [integer(rng, 1, I63) for _ in range(rng.choice((1, 3, 1024)))]
    return Ack(epoch=integer(rng, 0, U64), ranges=tuple((first, integer(rng, first, I63)) for first in firsts))


MESSAGES: Final = (records, packed, summary, brief, window, event, birth, state, ack)
