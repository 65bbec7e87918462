"""What a maker of steps is, and what it reads: features, with scalers that are still to be applied.

Scaling is monotone, so trees fold it into their thresholds (`thresholds`); what adds products applies it first
(`applied`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.steps import Affine, Builder, Lerp, Op, Span
from cloud_trainer.export.trees import F32, F64, I64, largest_going_left

GoesLeft = Callable[[F64], npt.NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """x -> ((x - sub) * mul) / div + add, then into `clip`."""

    affine: Affine
    clip: tuple[float, float] | None = None

    def of(self, x: F64, feature: I64) -> F64:
        """Scaled values of these features, with the scaler's own roundings."""
        a = self.affine
        x = x if a.sub is None else x - a.sub[feature]
        x = x if a.mul is None else x * a.mul[feature]
        x = x if a.div is None else x / a.div[feature]
        x = x if a.add is None else x + a.add[feature]
        return x if self.clip is None else np.clip(x, *self.clip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A span of values, and scalings of the row's features that nobody has applied yet."""

    span: Span
    scalings: tuple[Scaling, ...] = ()


Maker = Callable[[Any, Source, Builder], Span]


def _nothing(_: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one class of estimators becomes steps.

    Attributes:
        scores: What `predict_proba` says, else `decision_function` (of two classes [-d, d]), else `predict`.
        decision: What `decision_function` says, which calibration asks first; None: it has none.
        why_not: Why this estimator, fitted or not, has no form, with what to do behind "; "; None: it has one.
    """

    scores: Maker
    decision: Maker | None = None
    why_not: Callable[[Any], str | None] = _nothing


def _standard(s: Any) -> Scaling:
    return Scaling(affine=Affine(sub=s.mean_ if s.with_mean else None, div=s.scale_ if s.with_std else None))


def _min_max(s: Any) -> Scaling:
    low, high = s.feature_range
    return Scaling(affine=Affine(mul=s.scale_, add=s.min_), clip=(float(low), float(high)) if s.clip else None)


def _robust(s: Any) -> Scaling:
    return Scaling(affine=Affine(sub=s.center_ if s.with_centering else None, div=s.scale_ if s.with_scaling else None))


def _max_abs(s: Any) -> Scaling:
    return Scaling(affine=Affine(div=s.scale_), clip=(-1.0, 1.0) if getattr(s, "clip", False) else None)


SCALERS: Final[dict[str, Callable[[Any], Scaling]]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "RobustScaler": _robust,
    "MaxAbsScaler": _max_abs,
}


def applied(source: Source, b: Builder) -> Span:
    """The values, scaled; new ones, as other estimators may read the same source."""
    span = source.span
    for scaling in source.scalings:
        if not scaling.affine.is_nothing:
            span = _changed(scaling.affine, span, source, b)
        if scaling.clip is not None:
            ends = np.array(scaling.clip)
            span = _changed(Lerp(curves=((ends, ends),) * span.n), span, source, b)
    return span


def _changed(op: Op, span: Span, source: Source, b: Builder) -> Span:
    return b.new(op, span, span.n) if span == source.span else b.over(op, span)


def thresholds(source: Source, feature: I64, goes_left: GoesLeft) -> F32:
    """For each node, the largest float32 value of `source` that goes left, where `goes_left` asks scaled values."""

    def asked(x: F32) -> npt.NDArray[np.bool_]:
        z = x.astype(np.float64)
        for scaling in source.scalings:
            z = scaling.of(z, feature)
        return goes_left(z)

    with np.errstate(over="ignore", invalid="ignore"):
        return largest_going_left(asked, len(feature))


def unfolded(source: Source, b: Builder) -> Source:
    """`source` for trees: scalings fold where the features stand; behind other steps they are applied."""
    return source if source.span == b.features else Source(span=applied(source, b))


def as_float32(x: npt.ArrayLike) -> F32:
    """Rounded to the nearest float32, as a step of trees does with what it reads; a project's PCA ends with it."""
    return np.asarray(x, np.float32)


def is_rounding(transformer: Any) -> bool:
    """Whether it does that and nothing else."""
    return type(transformer).__name__ == "FunctionTransformer" and transformer.func is as_float32
