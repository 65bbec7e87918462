"""What the exporters write passes the inspection, in all forms; the same bytes a little altered give nothing else."""

from __future__ import annotations

import random
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import graph
from cloud_trainer.export.onnx_float import float_model
from cloud_trainer.export.onnx_int8 import int8_model
from edge_runtime.engines.onnx import inspect_model
from tests.engines.onnx.test_inspect import is_quick
from tests.export.made import digits

MODELS: dict[str, Any] = {
    "forest": RandomForestClassifier(3, max_depth=5, random_state=0),
    "extra trees": ExtraTreesClassifier(3, max_depth=5, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=2, max_depth=3),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
    "bayes": make_pipeline(StandardScaler(), GaussianNB(var_smoothing=1e-2)),
    "mlp": make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=5, random_state=0)),
    "tanh mlp": MLPClassifier((8,), activation="tanh", max_iter=5, random_state=0),
    "int8 mlp": make_pipeline(StandardScaler(), MLPClassifier((8, 8), max_iter=5, random_state=0)),
}
CASES = [(name, n) for name in MODELS for n in (2, 10)]


@cache
def exported(name: str, n_classes: int) -> bytes:
    x, y = digits(n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: it only has to have a shape
        estimator = MODELS[name].fit(x[:600].astype(np.float64), y[:600])
    if name == "int8 mlp":
        return graph.model_bytes(int8_model(estimator, x[:200]))
    return graph.model_bytes(float_model(estimator, n_features=64)[0])


@pytest.mark.parametrize(("name", "n_classes"), CASES)
def test_what_is_exported_passes(name: str, n_classes: int) -> None:
    assert inspect_model(exported(name, n_classes), n_features=64, n_scores=n_classes).nodes


@pytest.mark.parametrize(("name", "n_classes"), CASES)
def test_what_is_exported_and_altered_gives_a_model_or_a_refusal_in_50_ms(name: str, n_classes: int) -> None:
    data, rng = exported(name, n_classes), random.Random(n_classes)
    for _ in range(60):
        made = bytearray(data[: rng.randrange(1, len(data))] if rng.random() < 0.3 else data)
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            made[rng.randrange(len(made))] = rng.randrange(256)
        assert is_quick(bytes(made), {"n_features": 64, "n_scores": n_classes})
