"""Stream filters: the meaning over a whole series at once. One rule: no state, no blocks; the whole series is there.

A filter gets every source as float64 of float32 values and gives the derived series, float64. A value that is not
finite gives NaN where it stands, and the filter goes on as if that sample had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.features.reference.table import Values, as_float32


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterReference:
    """One stream filter's meaning.

    Attributes:
        id: Wire id, 1000..1999.
        name: As in a feature list.
        run: From (sources, rate_hz, *params) to the derived series.
        tolerance: Greatest difference allowed, relative to the greatest absolute value of sources and result.
        tries: Sets of parameters to test a kernel with, at 20 frames/s.
        n_sources: How many channels to test it with.
        ratio: (up, down) from its parameters: `up` samples out for `down` in.
    """

    id: int
    name: str
    run: Callable[..., Values]
    tolerance: float
    tries: tuple[tuple[float, ...], ...]
    n_sources: int
    ratio: Callable[..., tuple[int, int]]

    def __call__(self, sources: Sequence[Values], rate_hz: float, *params: float) -> Values:
        """The derived series."""
        return self.run([np.asarray(x, dtype=np.float64) for x in sources], rate_hz, *as_float32(params))


FILTERS: dict[int, FilterReference] = {}


def _one_for_one(*_params: float) -> tuple[int, int]:
    return 1, 1


def stream_filter(
    id: int,  # noqa: A002
    *,
    tolerance: float,
    tries: tuple[tuple[float, ...], ...] = ((),),
    n_sources: int = 1,
    ratio: Callable[..., tuple[int, int]] = _one_for_one,
) -> Callable[[Callable[..., Values]], Callable[..., Values]]:
    """Register a function as the filter with wire id `id`, never reused."""

    def register(run: Callable[..., Values]) -> Callable[..., Values]:
        if id in FILTERS:
            raise ValueError(f"filter id {id} is {FILTERS[id].name!r}; {run.__name__!r} needs a new id")
        FILTERS[id] = FilterReference(
            id=id, name=run.__name__, run=run, tolerance=tolerance, tries=tries, n_sources=n_sources, ratio=ratio
        )
        return run

    return register


def over_numbers(x: Values, run: Callable[[Values], Values]) -> Values:
    """`run` over the finite values alone, each result where its value stands; NaN in the other places."""
    out, there = np.full(len(x), np.nan), np.isfinite(x)
    if there.any():
        out[there] = run(x[there])
    return out


def with_past(x: Values, n: int) -> NDArray[np.float64]:
    """The last n values at each moment, oldest first, shape (len(x), n); before the first one stands its copy."""
    return np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(n - 1, x[0]), x]), n)


def finite(x: Values) -> Values:
    """NaN for what is not finite."""
    return np.where(np.isfinite(x), x, np.nan)


@stream_filter(1000, tolerance=2e-7, tries=((2.0, 0.5), (-0.001, 9.81)))
def calibrate(sources: Sequence[Values], _rate_hz: float, scale: float, offset: float) -> Values:
    """Scaled and moved, x * scale + offset [unit that the program gives it]."""
    return finite(sources[0]) * scale + offset


@stream_filter(1001, tolerance=0.0, tries=((-0.5, 0.5), (0.0, 100.0)))
def clip(sources: Sequence[Values], _rate_hz: float, lo: float, hi: float) -> Values:
    """The value x, or the limit that it passes [unit of x]."""
    return np.clip(finite(sources[0]), lo, hi)


@stream_filter(1002, tolerance=0.0, tries=((2.0,), (5.0,)), ratio=lambda n: (1, int(n)))
def decimate(sources: Sequence[Values], _rate_hz: float, n: float) -> Values:
    """Every n-th sample, the first one on [unit of x]; nothing is smoothed: put a lowpass before it."""
    return finite(sources[0])[:: int(n)]


@stream_filter(1014, tolerance=2e-7, n_sources=3)
def magnitude(sources: Sequence[Values], _rate_hz: float) -> Values:
    """Length of the vector of 2..8 channels, sqrt(x^2 + y^2 + ..) [unit of x]; NaN where one of them is not finite."""
    squares: Values = np.sum(np.square(finite(np.array(sources))), axis=0)
    return np.sqrt(squares)


@stream_filter(1015, tolerance=4e-7, n_sources=3)
def add(sources: Sequence[Values], _rate_hz: float) -> Values:
    """Sum of 2..8 channels [unit of x]; NaN where one of them, or a sum on the way, is not finite in float32."""
    total: Values = np.sum(finite(np.array(sources)), axis=0)
    return total


@stream_filter(1016, tolerance=2e-7, n_sources=2)
def subtract(sources: Sequence[Values], _rate_hz: float) -> Values:
    """The first channel minus the second [unit of x]."""
    return finite(sources[0]) - finite(sources[1])
