"""The ONNX graph of a model's steps answers as the steps do, and as the trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cloud_trainer.export import graph
from cloud_trainer.export import steps as op
from cloud_trainer.export.interpret import interpret
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.export.onnx_steps import OPERATORS, steps_model
from edge_runtime.engines import OrtEngine
from edge_runtime.engines.onnx import inspect_model
from tests.export import test_boosters
from tests.export.test_native_forms import asked, check, rows_for
from tests.export.zoo import CASES, F32, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NO_SCORES = ("hard voting", "PCA, voting behind scalers")  # votes are no bundle's scores


def answers(model: op.Model, x: F32) -> Any:
    data = graph.model_bytes(steps_model(model))
    return OrtEngine(data, n_features=model.n_features, n_scores=model.n_outputs).scores_batch(x)


@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_trainers(name: str) -> None:
    model, rows, want = asked(name)
    check(model, answers(model, rows), want)


@pytest.mark.parametrize("name", test_boosters.CASES)
def test_boosters_answer_as_their_steps(name: str) -> None:
    estimator, x = test_boosters.fitted(name)
    model = model_of(estimator)
    rows = rows_for(estimator, model, x)
    want = interpret(model, rows)
    assert np.abs(answers(model, rows) - want).max() <= 1e-15 * max(1.0, np.abs(want).max()) * 4


@pytest.mark.parametrize("name", [name for name in CASES if name not in NO_SCORES])
def test_the_devices_inspection_lets_it_through(name: str) -> None:
    model = model_of(fitted(name)[0])
    inspect_model(graph.model_bytes(steps_model(model)), n_features=model.n_features, n_scores=model.n_outputs)


def test_every_operation_but_int8_is_translated() -> None:
    from cloud_trainer.export.interpret import MEANING

    assert set(MEANING) - set(OPERATORS) == {op.Quantise, op.Dense8}


def test_a_span_may_cut_what_was_written() -> None:
    b = op.Builder(3)
    whole = b.over(op.Affine(add=np.array([1.0, 2.0, 3.0])), b.features)
    b.over(op.Unary(function="neg"), op.Span(whole.at + 1, 1))
    model = b.model(b.pick([2, whole.at, whole.at + 1, whole.at + 2]), takes_nan=False)
    x = np.array([[10, 20, 30]], np.float32)
    assert answers(model, x).tolist() == interpret(model, x).tolist() == [[30, 11, -22, 33]]
