"""The table of reference operators and how far a kernel may be from one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""One channel of a full window: shape (n,), n >= 2, oldest first; float32 values in float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What an operator sees.

    Attributes:
        x: Values [unit of the channel].
        rate_hz: Frames per second [Hz].
        taper: Window function of the channel's spectrum: none, hann, hamming.
        other: Values of the second channel at the same frames, where the operator takes two.
    """

    x: Values
    rate_hz: float
    taper: str = "none"
    other: Values = field(default_factory=lambda: np.zeros(0))


def as_float32(params: tuple[float, ...]) -> tuple[float, ...]:
    """The parameters as a kernel holds them."""
    return tuple(float(np.float32(p)) for p in params)


def nothing(_w: Window) -> float:
    """0: the operator has no error that grows with its input."""
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """|kernel - reference| <= rtol * |reference| + atol * of(w, *params) + floor, for a result within float32.

    Attributes:
        rtol: Relative to the result.
        atol: Relative to `of`.
        of: A magnitude of the window (and the parameters, where there are any).
        floor: What float32 underflow costs [unit of the result].
    """

    rtol: float = 0.0
    atol: float = 0.0
    of: Callable[..., float] = nothing
    floor: float = 0.0

    def at(self, want: float, window: Window, *params: float) -> float:
        """The greatest difference allowed."""
        size = self.of(window, *as_float32(params)) if self.atol else 0.0
        return self.rtol * abs(want) + self.atol * size + self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One operator's meaning.

    Attributes:
        id: Wire id.
        name: As in a feature list.
        run: From a window and the parameters to the number.
        tolerance: What a kernel must keep.
        tries: Sets of parameters to test a kernel with; a window refuses those that do not fit it.
    """

    id: int
    name: str
    run: Callable[..., float]
    tolerance: Tolerance
    tries: tuple[tuple[float, ...], ...] = ((),)

    def __call__(self, window: Window, *params: float) -> float:
        """The number; NaN where the window holds a NaN or infinity, or the result is beyond float32."""
        if not (np.isfinite(window.x).all() and np.isfinite(window.other).all()):
            return math.nan
        value = self.run(window, *as_float32(params))
        return value if abs(value) <= float(np.finfo(np.float32).max) else math.nan


OPS: dict[int, Reference] = {}


def op(
    id: int,  # noqa: A002
    tolerance: Tolerance,
    *,
    tries: tuple[tuple[float, ...], ...] = ((),),
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function as the operator with wire id `id`, never reused."""

    def register(run: Callable[..., float]) -> Callable[..., float]:
        if id in OPS:
            raise ValueError(f"operator id {id} is {OPS[id].name!r}; {run.__name__!r} needs a new id")
        OPS[id] = Reference(id=id, name=run.__name__, run=run, tolerance=tolerance, tries=tries)
        return run

    return register
