"""Linear models as one dense step in float64 and an end."""

from __future__ import annotations

from typing import Any

import numpy as np

from cloud_trainer.export.native_forms import ends
from cloud_trainer.export.native_forms.form import Form, Maker, Source, applied
from cloud_trainer.export.steps import Affine, Builder, Dense, Lerp, Normalise, Pair, Span


def dense(b: Builder, source: Source, weights: Any, bias: Any) -> Span:
    """Weights [m, n] or [n], bias [m] or a number."""
    w = np.atleast_2d(np.asarray(weights, np.float64))
    offset = np.broadcast_to(np.asarray(bias, np.float64), (len(w),)).copy()
    return b.new(Dense(weights=w, bias=offset), applied(source, b), len(w))


def decision(model: Any, source: Source, b: Builder) -> Span:
    """`decision_function`, or `predict` of a regressor."""
    return dense(b, source, model.coef_, model.intercept_)


def _ending(end: ends.End) -> Maker:
    return lambda model, source, b: end(b, decision(model, source, b))


def _logistic(model: Any, source: Source, b: Builder) -> Span:
    end = ends.one_against_rest if model.solver == "liblinear" else ends.sigmoid_or_softmax
    return end(b, decision(model, source, b))


def _stochastic(model: Any, source: Source, b: Builder) -> Span:
    return {"log_loss": ends.one_against_rest, "modified_huber": _huber}.get(model.loss, ends.signed)(
        b, decision(model, source, b)
    )


def _huber(b: Builder, raw: Span) -> Span:
    """(clip(d, -1, 1) + 1) / 2, normalised. Source: Zadrozny and Elkan, 2002."""
    ramp = b.over(Lerp(curves=((np.array([-1.0, 1.0]), np.array([0.0, 1.0])),) * raw.n), raw)
    return b.new(Pair(), ramp, 2) if raw.n == 1 else b.over(Normalise(), ramp)


def several_labels(model: Any) -> str | None:
    """Why a classifier of several labels a row has no form."""
    kind = str(getattr(getattr(model, "_label_binarizer", None), "y_type_", ""))
    return "several labels a row are not exported; train one for each" if kind.startswith("multilabel") else None


def pca(model: Any, source: Source, b: Builder) -> Span:
    """The projection, centred after it as the trainer does."""
    axes = np.asarray(model.components_, np.float64)
    centre = (np.reshape(model.mean_, (1, -1)) @ axes.T)[0]
    span = b.over(Affine(sub=centre), dense(b, source, axes, 0.0))
    if not model.whiten:
        return span
    return b.over(Affine(div=np.maximum(np.sqrt(model.explained_variance_), np.finfo(np.float64).eps)), span)


_REGRESSOR = Form(scores=decision)
_SIGNED = Form(scores=_ending(ends.signed), decision=decision, why_not=several_labels)
FORMS: dict[str, Form] = {
    "LogisticRegression": Form(scores=_logistic, decision=decision),
    "LogisticRegressionCV": Form(scores=_logistic, decision=decision),
    "LinearDiscriminantAnalysis": Form(scores=_ending(ends.sigmoid_or_softmax), decision=decision),
    "SGDClassifier": Form(scores=_stochastic, decision=decision),
    "LinearSVC": _SIGNED,
    "RidgeClassifier": _SIGNED,
    "RidgeClassifierCV": _SIGNED,
    "LinearRegression": _REGRESSOR,
    "Ridge": _REGRESSOR,
    "RidgeCV": _REGRESSOR,
    "Lasso": _REGRESSOR,
    "LassoCV": _REGRESSOR,
    "ElasticNet": _REGRESSOR,
    "ElasticNetCV": _REGRESSOR,
    "SGDRegressor": _REGRESSOR,
    "LinearSVR": _REGRESSOR,
}
