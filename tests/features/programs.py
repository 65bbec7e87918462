"""Feature programs by chance, of every operator of the table, and recordings; a new operator needs nothing here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.program import TAPERS, Channel, Feature, Filter, Program
from edge_runtime.contract.timing import TIME_POLICIES, Timing
from edge_runtime.errors import ContractError
from edge_runtime.features.reference import FILTERS, OPS

Frames = NDArray[np.float32]
Times = NDArray[np.int64]
RATES = (1.0, 20.0, 44.1, 100.0, 1000.0)
WINDOWS = (2, 7, 8, 12, 24, 40, 60, 64, 96, 120, 240)
AWKWARD = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42, -0.0, 0.0], dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A program with a recording; times where the program has a policy for them."""

    program: Program
    frames: Frames
    times: Times | None


def case(seed: int) -> Case:
    """Case number `seed`."""
    rng = np.random.default_rng(seed)
    program = a_program(rng)
    n = int(rng.integers(0, 6 * program.window_frames + 40)) if rng.random() < 0.97 else 12_000
    return Case(
        program=program,
        frames=recording(rng, n, len(program.channels)),
        times=clock(rng, n, program.rate_hz) if program.timing else None,
    )


# ---- programs


def a_program(rng: np.random.Generator) -> Program:
    """Channels of several rates, a chain of filters, features on all of them, a timing policy in one of three."""
    window = int(rng.choice(WINDOWS))
    divisors = [d for d in range(1, window + 1) if window % d == 0]
    hop = int(rng.choice([*divisors, window, *rng.integers(1, window + 1, 2)]))
    common = [d for d in divisors if hop % d == 0 and window // d >= 2]
    program = Program(
        rate_hz=float(rng.choice(RATES)),
        channels=tuple(_channel(rng, i, common) for i in range(rng.integers(1, 5))),
        window_frames=window,
        hop_frames=hop,
        features=(Feature(name="first", op=1, channel=0),),
        timing=_timing(rng),
    )
    for i in range(int(rng.integers(0, 7))):
        program = _with_filter(program, rng, i)
    made = [f for i in range(int(rng.integers(1, 12))) if (f := _feature(program, rng, i))]
    return replace(program, features=tuple(made)) if made else program


def _channel(rng: np.random.Generator, place: int, common: Sequence[int]) -> Channel:
    every = int(rng.choice(common)) if rng.random() < 0.3 else 1
    scale, offset = (float(np.float32(rng.normal() or 1.0)), float(np.float32(rng.normal())))
    return Channel(name=f"c{place}", unit="x", scale=scale, offset=offset, every=every, taper=_taper(rng))


def _taper(rng: np.random.Generator) -> str:
    return str(rng.choice(TAPERS)) if rng.random() < 0.3 else "none"


def _timing(rng: np.random.Generator) -> Timing:
    if rng.random() < 2 / 3:
        return Timing()
    return Timing(
        policy=str(rng.choice([p for p in TIME_POLICIES if p != "none"])), most_frames=int(rng.integers(1, 9))
    )


def _with_filter(program: Program, rng: np.random.Generator, i: int) -> Program:
    """The program with one more derived channel, or as it is where the core refuses it."""
    op = _pick(rng, "filter")
    sources = _sources(program, rng, op)
    made = Filter(name=f"f{i}", op=op.id, sources=sources, params=_params(rng, op), unit="x", taper=_taper(rng))
    more = replace(program, filters=(*program.filters, made))
    return more if _is_taken(more) else program


def _feature(program: Program, rng: np.random.Generator, i: int) -> Feature | None:
    op = _pick(rng, "window")
    channel, *rest = _sources(program, rng, op)
    made = Feature(name=f"{i}", op=op.id, channel=channel, other=rest[0] if rest else None, params=_params(rng, op))
    return made if _is_taken(replace(program, features=(made,))) else None


def _pick(rng: np.random.Generator, kind: str) -> native.Operator:
    there = [op for op in native.operators() if op.kind == kind]
    return there[rng.integers(len(there))]


def _sources(program: Program, rng: np.random.Generator, op: native.Operator) -> tuple[int, ...]:
    """As many channels as the operator takes, of one pace with the first."""
    there = range(len(program.channels) + len(program.filters))
    first = int(rng.choice(there))
    pace = native.channel_pace(program, first)
    like = [i for i in there if native.channel_pace(program, i) == pace]
    n = int(rng.integers(op.n_sources[0], op.n_sources[1] + 1))
    return (first, *(int(i) for i in rng.choice(like, n - 1)))


def _params(rng: np.random.Generator, op: native.Operator) -> tuple[float, ...]:
    """Those of the table or of a reference, or others near by; whole ones stay whole."""
    known = _known(op)
    base = known[rng.integers(len(known))]
    if rng.random() < 0.5:
        return base
    moved = [p * float(rng.uniform(0.3, 2.0)) for p in base]
    return tuple(round(m) if p == int(p) else float(np.float32(m)) for p, m in zip(base, moved, strict=True))


@functools.cache
def _known(op: native.Operator) -> list[tuple[float, ...]]:
    of = OPS.get(op.id) or FILTERS.get(op.id)
    return [op.example, *(tries for tries in (of.tries if of else ()) if len(tries) == op.n_params)]


def _is_taken(program: Program) -> bool:
    try:
        native.check_program(program)
    except ContractError:
        return False
    return True


# ---- recordings


def recording(rng: np.random.Generator, n: int, width: int) -> Frames:
    """Noise on an offset; in one of four recordings some values that are not finite, huge, denormal or zero."""
    frames = (rng.normal(size=(n, width)) * 10.0 ** rng.integers(-3, 4) + rng.normal()).astype(np.float32)
    if n and rng.random() < 0.25:
        places = rng.integers(0, frames.size, 1 + n // 50)
        frames.reshape(-1)[places] = rng.choice(AWKWARD, len(places))
    return frames


def clock(rng: np.random.Generator, n: int, rate_hz: float) -> Times:
    """Times [us] with jitter, drift, gaps, duplicates and steps back."""
    period = 1e6 / rate_hz * float(rng.uniform(0.99, 1.01))
    steps = np.full(n, period) + rng.normal(size=n) * period * 0.03
    odd = rng.random(n) < 0.03
    steps[odd] = period * rng.choice([0.0, -1.0, -3.0, 2.0, 4.0, 9.0, 40.0], int(odd.sum()))
    return np.cumsum(steps).astype(np.int64)
