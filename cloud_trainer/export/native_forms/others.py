"""Networks (float32), naive Bayes and k-means."""

from __future__ import annotations

from typing import Any

import numpy as np

from cloud_trainer.export.native_forms import ends
from cloud_trainer.export.native_forms.form import Form, Source, applied
from cloud_trainer.export.native_forms.linear import several_labels
from cloud_trainer.export.steps import Activation, Builder, Dense32, Distance, Gauss, Softmax, Span, Unary


def _network(model: Any, source: Source, b: Builder) -> Span:
    """Layers in float32, the last one's answer in float64."""
    span, last = applied(source, b), len(model.coefs_) - 1
    for i, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        activation: Activation = "identity" if i == last else model.activation
        layer = Dense32(weights=weights.astype(np.float32), bias=bias.astype(np.float32), activation=activation)
        span = b.new(layer, span, weights.shape[1])
    return span


def _classes(model: Any, source: Source, b: Builder) -> Span:
    return ends.sigmoid_or_softmax(b, _network(model, source, b))


def _values(model: Any, source: Source, b: Builder) -> Span:
    raw = _network(model, source, b)
    return b.over(Unary(function="exp"), raw) if model.out_activation_ == "exp" else raw


def _naive_bayes(model: Any, source: Source, b: Builder) -> Span:
    var = np.asarray(model.var_, np.float64)
    prior = np.log(model.class_prior_) - 0.5 * np.sum(np.log(2.0 * np.pi * var), axis=1)
    gauss = Gauss(log_prior=prior, mean=np.asarray(model.theta_, np.float64), var=var)
    return b.over(Softmax(), b.new(gauss, applied(source, b), len(var)))


def _centres(model: Any, source: Source, b: Builder) -> Span:
    """Minus the distance to each centre: the label is the first greatest."""
    centres = np.asarray(model.cluster_centers_, np.float64)
    return b.new(Distance(centres=centres, form="minus root"), applied(source, b), len(centres))


FORMS: dict[str, Form] = {
    "MLPClassifier": Form(scores=_classes, why_not=several_labels),
    "MLPRegressor": Form(scores=_values),
    "GaussianNB": Form(scores=_naive_bayes),
    "KMeans": Form(scores=_centres),
    "MiniBatchKMeans": Form(scores=_centres),
}
