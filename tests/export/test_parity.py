"""The check itself: each wrong export that it exists for is planted, and it refuses."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import export, graph, models, onnx_float, parity, trees
from cloud_trainer.export.native_forms import native_form
from cloud_trainer.export.parity import Form, Rule, check, check_int8
from cloud_trainer.export.rows import Rows, boundary_rows, margins, parity_rows, threshold_rows, tied_rows
from cloud_trainer.export.trainer import search_of, trainer_scores
from edge_runtime.engines import OrtEngine
from edge_runtime.errors import ContractError
from tests.export.made import digits, policy, trained

RNG = np.random.default_rng
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def refused(estimator: Any, tmp_path: Path, *, n_classes: int = 10) -> str:
    """The error of an export, which must leave no file."""
    run, table = trained(estimator, *digits(n_classes))
    with pytest.raises(ContractError) as caught:
        export(run, table=table, name="m", version=1, policy=policy(n_classes), out_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


# ---- planted: what a plain conversion does wrong


@pytest.mark.planted
@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, RandomForestClassifier])
def test_planted_thresholds_rounded_to_nearest_are_refused(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_fold", lambda threshold, *_, **__: threshold.astype(np.float32))
    estimator = kind(max_iter=3) if kind is HistGradientBoostingClassifier else kind(20, random_state=0)
    x, y = digits()
    x = (x / 7).astype(np.float32)  # midpoints that float32 cannot hold
    run, table = trained(estimator, x, y)
    with pytest.raises(ContractError, match=r"parity: onnx, batch 1, (test|threshold) rows: \d+ of "):
        export(run, table=table, name="m", version=1, policy=policy(10), out_dir=tmp_path)


def test_tied_votes_fall_as_in_the_trainer() -> None:
    """skl2onnx adds votes in float32, where 25 times 1/50 against 25 times 1/50 is no tie."""
    x, y = digits(2)
    x = x + RNG(0).normal(scale=8, size=x.shape).astype(np.float32)
    model = RandomForestClassifier(50, random_state=0).fit(x.astype(np.float64), y)
    rows = tied_rows(x, search_of(model), rng=RNG(0))
    want = trainer_scores(model, rows)
    forms = {
        "ours": onnx_float.float_model(model, n_features=64)[0],
        "plain": graph.from_skl2onnx(model, 64),
    }
    flips: dict[str, int] = {}
    for name, proto in forms.items():
        engine = OrtEngine(graph.model_bytes(proto), n_features=64, n_scores=2)
        alone = np.array([engine.scores(row.data) for row in rows])
        for scores in (alone, engine.scores_batch(rows)):
            flips[name] = flips.get(name, 0) + int((scores.argmax(axis=1) != want.argmax(axis=1)).sum())
    assert len(rows) >= 50
    assert flips["ours"] == 0
    assert flips["plain"] > 0


@pytest.mark.planted
def test_planted_leaves_added_in_float32_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = onnx_float.tree_model

    def narrow(e: trees.Ensemble) -> Any:
        model = built(e)
        for tensor in model.graph.initializer:
            if tensor.name in ("leaves", "count"):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        return model

    monkeypatch.setattr(onnx_float, "tree_model", narrow)
    estimator = RandomForestClassifier(50, max_depth=4, random_state=0)  # mixed leaves: fractions that do not add up
    assert "parity: onnx, batch 1" in refused(estimator, tmp_path, n_classes=2)


@pytest.mark.planted
def test_planted_scaler_that_is_forgotten_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_float, "parts_of", lambda estimator: (None, estimator[-1]))
    estimator = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0))
    assert "labels differ, 0 may" in refused(estimator, tmp_path)


@pytest.mark.planted
def test_planted_shift_of_a_float_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = onnx_float.float_model

    def bent(estimator: Any, *, n_features: int) -> Any:
        model, precision = built(estimator, n_features=n_features)
        bias = next(t for t in model.graph.initializer if t.name == "bias")
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.eye(1, 10)[0] * 2e-3, "bias"))
        return model, precision

    monkeypatch.setattr(models, "float_model", bent)
    estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    why = refused(estimator, tmp_path)
    assert "beside rows" in why
    assert "worst: row" in why


@pytest.mark.planted
def test_planted_check_that_checks_nothing_leaves_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "check", lambda *_, **__: [])
    assert "no evidence" in refused(RandomForestClassifier(3, random_state=0), tmp_path, n_classes=2)


# ---- the rows


def test_threshold_rows_stand_on_splits() -> None:
    x, y = digits()
    made = trees.ensemble(RandomForestClassifier(5, random_state=0).fit(x, y))
    assert made is not None
    rows = threshold_rows(made.trees, x, rng=RNG(0))
    every = {float(t) for tree in made.trees for t in tree.threshold[tree.feature >= 0]}
    assert len(rows) == 300
    assert all(set(row.tolist()) & every for row in rows[::3])


def test_tied_rows_are_tied() -> None:
    x, y = digits(4)
    model = RandomForestClassifier(10, random_state=0).fit(x.astype(np.float64), y)
    rows = tied_rows(x, search_of(model), rng=RNG(0))
    assert len(rows) >= 50
    assert margins(trainer_scores(model, rows)).max() <= 1e-12


def test_values_of_trees_have_no_tied_rows() -> None:
    x, y = digits()
    forest = ExtraTreesRegressor(5, random_state=0).fit(x, np.stack([y, x[:, 20]], axis=1))
    kinds = {rows.kind for rows in parity_rows(x, model=native_form(forest), search=search_of(forest), is_values=True)}
    assert kinds == {"test", "threshold", "extreme"}


def test_boundary_rows_are_close_to_a_boundary() -> None:
    x, y = digits(3)
    model = LogisticRegression(max_iter=2000).fit(x.astype(np.float64), y)
    on, beside = boundary_rows(x, search_of(model), rng=RNG(0))
    assert len(on) == len(beside) == 300
    assert np.median(margins(trainer_scores(model, on))) < 1e-5
    near = margins(trainer_scores(model, beside))
    assert near.min() > parity.ROUNDING
    assert np.median(near) < 1e-3


def test_the_trainer_is_asked_one_row_at_a_time() -> None:
    asked: list[tuple[int, ...]] = []

    class Spy(MLPClassifier):  # type: ignore[misc]
        def predict_proba(self, x: Any) -> Any:
            asked.append((*x.shape, x.dtype.itemsize))
            return super().predict_proba(x)

    x, y = digits(2)
    model = Spy((2,), max_iter=400, random_state=0).fit(x.astype(np.float64), y)
    asked.clear()
    trainer_scores(model, x[:7])
    assert asked == [(1, 64, 8)] * 7


def test_a_forest_on_many_threads_is_asked_on_one() -> None:
    x, y = digits()
    model = RandomForestClassifier(30, max_depth=5, n_jobs=2, random_state=0).fit(x, y)
    alone = RandomForestClassifier(30, max_depth=5, n_jobs=1, random_state=0).fit(x, y)
    want = np.concatenate([alone.predict_proba(row[None]) for row in x[:40].astype(np.float64)])
    assert np.array_equal(trainer_scores(model, x[:40]), want)


# ---- the rule


def rows_of(want: Any) -> list[tuple[Rows, Any]]:
    return [(Rows("test", np.zeros((len(want), 1), np.float32)), np.array(want))]


def form(scores: Any, *, is_exact: bool) -> Form:
    return Form(name="onnx", batch="1", is_exact=is_exact, scores=lambda _: np.array(scores))


def test_a_float_model_may_differ_only_within_rounding() -> None:
    near, far = [[0.5, 0.500004], [0.1, 0.9]], [[0.5, 0.50002], [0.1, 0.9]]
    other = form([[0.5, 0.4], [0.1, 0.9]], is_exact=False)
    assert check([other], rows_of(near), Rule(labels="ab"))[0]["labels_differ"] == 1
    with pytest.raises(ContractError, match="1 of 2 labels differ, only rows with a margin of at most 1e-05 may"):
        check([other], rows_of(far), Rule(labels="ab"))


def test_a_tree_may_not_differ_at_all() -> None:
    with pytest.raises(ContractError, match=r"row 0: trainer 'b' by 4e-06, export 'a'"):
        check([form([[0.5, 0.4]], is_exact=True)], rows_of([[0.5, 0.500004]]), Rule(labels="ab"))


def test_a_tree_may_not_reach_another_leaf_even_if_the_label_stays() -> None:
    with pytest.raises(ContractError, match=r"1 of 2 reach another leaf or sum; worst: row 1: a score is 0\.1 off"):
        check([form([[0.2, 0.8], [0.3, 0.7]], is_exact=True)], rows_of([[0.2, 0.8], [0.2, 0.8]]), Rule(labels="ab"))


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ContractError, match="not finite"):
        check([form([[np.nan, 0.4]], is_exact=True)], rows_of([[0.5, 0.4]]), Rule(labels="ab"))


def test_int8_has_a_budget_of_labels_and_of_accuracy() -> None:
    want = np.tile([0.9, 0.1], (1000, 1))
    y = np.zeros(1000, np.int32)
    six = want.copy()
    six[:6] = [0.1, 0.9]
    row, why = check_int8(six, want, y, float_scores=want)
    assert (row["labels_differ"], row["accuracy_lost"]) == (6, 0.006)
    assert why == "0.60% of labels differ, at most 0.5% may"
    assert check_int8(want, want, y, float_scores=want)[1] == ""


def test_there_is_no_way_around_the_check() -> None:
    words = ("skip", "check", "parity", "force", "unsafe", "verify")
    for function in (export, models.make_models, parity.check):
        assert not [name for name in inspect.signature(function).parameters if any(w in name for w in words)]
