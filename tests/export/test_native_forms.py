"""The native form answers as the trainer: by the steps' own meaning, and by the C core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostRegressor, HistGradientBoostingClassifier, IsolationForest, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from cloud_trainer.export import native_forms, steps
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.interpret import interpret
from cloud_trainer.export.native_forms import boosting, check_exportable, forests, form, model_of, table
from cloud_trainer.export.rows import boundary_rows, margins, spread, threshold_rows, tied_rows
from cloud_trainer.export.trainer import trainer_answers
from cloud_trainer.export.trees import tree_of
from edge_runtime import native
from edge_runtime.errors import ContractError
from tests.export.zoo import CASES, F32, data, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng
SUMS = 1e-12  # of a tree's answer
ROUNDING = 1e-5  # of the score range: below it the trainer disagrees with itself
FLOAT32 = 1e-5  # of a row's scores, of a network
FLOAT64 = 1e-10  # cancellation on rows of huge values
OWN = (steps.Unary, steps.Softmax, steps.Distance, steps.Dense32)  # the core's own exp, tanh and root


def extremes(x: F32, *, takes_nan: bool) -> F32:
    """Rows with a cell that is denormal, zero, huge or missing."""
    rng, out = RNG(1), []
    for value in (1e-40, -1e-40, 0.0, -0.0, 1e30, -1e30, *((np.nan,) if takes_nan else ())):
        for row in spread(x, 3).copy():
            row[rng.integers(len(row), size=2)] = value
            out.append(row)
    return np.array(out, np.float32)


def rows_for(estimator: Any, model: steps.Model, x: F32) -> F32:
    """Test rows, extremes, and rows where rounding would show."""
    kinds = [spread(x, 30), extremes(x, takes_nan=model.takes_nan)]
    trees = list(model.trees())
    if trees:
        kinds.append(threshold_rows(trees, x, rng=RNG(2), most=45))
    finite = x[np.isfinite(x).all(axis=1)]
    if hasattr(estimator, "predict_proba"):

        def search(rows: F32) -> Any:
            return estimator.predict_proba(rows.astype(np.float64))

        if model.is_trees:
            kinds.append(tied_rows(finite, search, rng=RNG(3), most=10))
        else:
            kinds += boundary_rows(finite, search, rng=RNG(3), most=10)
    return np.concatenate(kinds)


def check(model: steps.Model, have: Any, want: Any) -> None:
    """The rule of parity."""
    assert have.shape == want.shape
    apart = np.abs(have - want)
    if model.is_trees:
        assert apart.max() <= SUMS
        assert np.array_equal(have.argmax(axis=1), want.argmax(axis=1))
        return
    # Each row by its own size: rows of huge values would excuse all the others.
    size = np.maximum(1.0, np.abs(want).max(axis=1))
    differ = have.argmax(axis=1) != want.argmax(axis=1)
    if want.shape[1] > 1:
        assert (margins(want)[differ] <= ROUNDING * size[differ]).all()
    assert (apart.max(axis=1) <= (FLOAT32 if model.is_float32 else FLOAT64) * size).all()


@cache
def asked(name: str) -> tuple[steps.Model, F32, Any]:
    """(model, rows, the trainer's answers) of a case."""
    estimator, x = fitted(name)
    model = model_of(estimator)
    rows = rows_for(estimator, model, x)
    return model, rows, trainer_answers(estimator, rows)


@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_trainers(name: str) -> None:
    model, rows, want = asked(name)
    check(model, interpret(model, rows), want)


def by_the_core(model: steps.Model, rows: F32) -> Any:
    core = native.Model(erm_bytes(model))
    assert (core.n_features, core.n_outputs, core.takes_nan) == (model.n_features, model.n_outputs, model.takes_nan)
    flat = core.scores_batch(np.ascontiguousarray(rows).reshape(-1).data)
    return np.frombuffer(flat, np.float64).reshape(len(rows), -1)


@pytest.mark.parametrize("name", CASES)
def test_the_core_answers_as_the_trainer(name: str) -> None:
    model, rows, want = asked(name)
    have = by_the_core(model, rows)
    check(model, have, want)
    meant = interpret(model, rows)
    assert np.abs(have - meant).max() <= SUMS * max(1.0, np.abs(meant).max())
    if not any(isinstance(step.op, OWN) for step in model.steps):
        assert np.array_equal(have, meant), "without exp and roots the bits are the interpreter's"


def test_a_rows_answer_does_not_depend_on_its_batch() -> None:
    for name in ("forest", "MLP", "hard voting", "calibrated scaled SVC"):
        estimator, x = fitted(name)
        model = model_of(estimator)
        alone = np.concatenate([interpret(model, row[None]) for row in x[:9]])
        assert np.array_equal(alone, interpret(model, x[:9]))


def test_an_isolation_forest_is_one_step_of_trees() -> None:
    model = model_of(fitted("isolation forest")[0])
    assert [type(step.op).__name__ for step in model.steps].count("Trees") == 1
    assert len(model.steps) <= 12
    assert model.n_outputs == 2


@pytest.mark.parametrize("contamination", [0.01, 0.05, 0.1, 0.25, 0.5, "auto"])
def test_an_outlier_is_where_the_decision_is_below_0(contamination: Any) -> None:
    """Of the rows it was trained on, some stand exactly on the offset."""
    x = data("iris")[0][:101]
    for seed in range(5):
        estimator = IsolationForest(n_estimators=10, contamination=contamination, random_state=seed)
        estimator.fit(x.astype(np.float64))
        model, said = model_of(estimator), estimator.predict(x.astype(np.float64))
        for decision in (interpret(model, x)[:, 1], by_the_core(model, x)[:, 1]):
            assert np.array_equal(np.where(decision < 0, -1, 1), said)


# ---- what has no form is refused by name, before it is fitted


@pytest.mark.parametrize(
    ("estimator", "says", "hint"),
    [
        (SVC(), "SVC has no export", "LinearSVC"),
        (AdaBoostRegressor(), "AdaBoostRegressor has no export", "GradientBoostingRegressor"),
        (make_pipeline(StandardScaler(), KNeighborsClassifier()), "KNeighborsClassifier", "RandomForestClassifier"),
        (
            make_pipeline(PolynomialFeatures(), LogisticRegression()),
            "PolynomialFeatures before a model",
            "StandardScaler",
        ),
        (HistGradientBoostingClassifier(categorical_features=[0]), "categories", "categorical_features"),
        (CalibratedClassifierCV(SVC()), "SVC has no export", "LinearSVC"),
        (CalibratedClassifierCV(LogisticRegression(), method="temperature"), "temperature", "sigmoid"),
        (VotingClassifier([("a", LogisticRegression()), ("b", SVC())]), "SVC has no export", "LinearSVC"),
    ],
)
def test_what_has_no_form_is_refused_unfitted(estimator: Any, says: str, hint: str) -> None:
    with pytest.raises(ContractError, match=says) as refused:
        check_exportable(estimator)
    assert hint in (refused.value.hint or "")


@pytest.mark.parametrize("name", CASES)
def test_what_has_a_form_is_let_through_unfitted(name: str) -> None:
    check_exportable(CASES[name][1]())


def test_a_subclass_is_another_estimator() -> None:
    class Mine(LogisticRegression):  # type: ignore[misc]
        pass

    with pytest.raises(ContractError, match="Mine has no export"):
        native_forms.check_exportable(Mine())


# ---- the traps: each naive handling must turn the check red


def refused(name: str, *, model: steps.Model | None = None) -> None:
    estimator, x = fitted(name)
    made = model or model_of(estimator)
    rows = rows_for(estimator, model_of(estimator) if model else made, x)
    with pytest.raises(AssertionError):
        check(made, interpret(made, rows), trainer_answers(estimator, rows))


@pytest.mark.planted
def test_planted_thresholds_of_hist_boosting_rounded_to_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    right = form.thresholds

    def nearest(source: Any, feature: Any, goes_left: Callable[[Any], Any]) -> Any:
        down = right(source, feature, goes_left)
        return np.nextafter(down, np.float32(np.inf))  # what rounding to nearest does to every second threshold

    monkeypatch.setattr(boosting, "thresholds", nearest)
    refused("hist boosting, regression")


@pytest.mark.planted
def test_planted_float32_sums_flip_tied_votes() -> None:
    estimator, x = fitted("forest")
    model = model_of(estimator)
    first = model.steps[0]
    assert isinstance(first.op, steps.Trees)
    shares = tuple(replace(tree, value=tree.value / len(first.op.trees)) for tree in first.op.trees)
    naive = replace(model, steps=(replace(first, op=replace(first.op, trees=shares, is_float32=True)),))
    tied = tied_rows(x, lambda rows: estimator.predict_proba(rows.astype(np.float64)), rng=RNG(3), most=30)
    assert len(tied)
    with pytest.raises(AssertionError):
        check(naive, interpret(naive, tied), trainer_answers(estimator, tied))


@pytest.mark.planted
def test_planted_isolation_trees_that_read_the_wrong_features(monkeypatch: pytest.MonkeyPatch) -> None:
    right = forests.tree
    monkeypatch.setattr(forests, "tree", lambda t, source, value, columns=None: right(t, source, value))
    refused("isolation forest, some features")


@pytest.mark.planted
def test_planted_calibration_that_forgets_the_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What skl2onnx does to a calibrated pipeline."""
    right = table._parts
    monkeypatch.setattr(table, "_parts", lambda estimator: ([], right(estimator)[1]))
    refused("calibrated scaled SVC")
    refused("calibrated scaled forest")


@pytest.mark.planted
def test_planted_scaling_in_float32_before_a_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        form.Scaling,
        "of",
        lambda self, x, feature: (
            (x.astype(np.float32) - self.affine.sub[feature].astype(np.float32))
            / self.affine.div[feature].astype(np.float32)
        ),
    )
    refused("forest behind StandardScaler")


@pytest.mark.planted
def test_planted_missing_values_that_go_right(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree_of
    monkeypatch.setattr(forests, "tree_of", lambda *a, value: right(a[0], a[1], a[2], a[3], 0 * a[4], value=value))
    refused("forest with holes")


@pytest.mark.planted
@pytest.mark.parametrize("name", ["linear SVC", "ridge", "KMeans"])
def test_planted_error_in_one_output_is_seen_beside_huge_rows(name: str) -> None:
    model, rows, want = asked(name)
    have = interpret(model, rows)
    have[3, 0] += 1e-9 * max(1.0, np.abs(want[3]).max())
    with pytest.raises(AssertionError):
        check(model, have, want)


@pytest.mark.planted
def test_planted_offset_that_exp2_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the side of the summed depths, a row on the offset falls as the last bit of exp2 does."""
    x = data("iris")[0][:101]  # a tenth of the way is row 10 itself
    estimator = IsolationForest(n_estimators=10, contamination=0.1, random_state=0).fit(x.astype(np.float64))
    right = forests._side_of
    monkeypatch.setattr(forests, "_side_of", lambda *a: (right(*a)[0], np.full(2, -(2.0**-53))))
    decision = interpret(model_of(estimator), x)[:, 1]
    assert not np.array_equal(np.where(decision < 0, -1, 1), estimator.predict(x.astype(np.float64)))
