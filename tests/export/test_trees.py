from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export.forest import forest_bytes
from cloud_trainer.export.trees import Ensemble, Tree, ensemble, largest_going_left
from edge_runtime import native
from edge_runtime.errors import ContractError
from tests.export.made import digits


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_floor_is_the_largest_float32_that_is_not_above(values: list[float]) -> None:
    wide = np.array(values)
    found = largest_going_left(lambda x: x.astype(np.float64) <= wide, len(wide))
    assert found.dtype == np.float32
    assert (found <= wide).all()
    with np.errstate(over="ignore"):
        above = np.nextafter(found, np.float32(np.inf))
    assert ((above > wide) | (found == np.inf)).all()


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.floats(-10, 10),
    st.lists(st.floats(-1e7, 1e7, width=32), min_size=1, max_size=20),
)
def test_a_scaler_in_front_folds_into_the_threshold_exactly(
    mean: float, scale: float, threshold: float, rows: list[float]
) -> None:
    def scaled(x: Any) -> Any:
        return ((x.astype(np.float64) - mean) / scale).astype(np.float32)

    folded = largest_going_left(lambda x: scaled(x) <= threshold, 1)[0]
    near = [folded, np.nextafter(folded, np.float32(np.inf)), np.nextafter(folded, np.float32(-np.inf))]
    x = np.array([*rows, *near], np.float32)
    assert np.array_equal(x <= folded, scaled(x) <= threshold)


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
@pytest.mark.parametrize("scaler", [None, StandardScaler(), StandardScaler(with_mean=False)])
def test_native_forest_scores_as_the_trainer_bit_for_bit(kind: Any, scaler: Any) -> None:
    x, y = digits()
    z = x.astype(np.float64) if scaler is None else scaler.fit_transform(x.astype(np.float64))
    model = kind(20, random_state=0, n_jobs=1).fit(z[:600], y[:600])
    made = ensemble(model, scaler)
    assert made is not None
    data = forest_bytes(made)
    scores = np.frombuffer(native.Model(data).scores_batch(x.reshape(-1).data), np.float64)
    assert np.array_equal(scores.reshape(len(x), -1), model.predict_proba(z))


def test_equal_leaves_are_stored_once() -> None:
    x, y = digits()
    made = ensemble(RandomForestClassifier(20, random_state=0).fit(x, y))
    assert made is not None
    n_nodes = sum(map(len, made.trees))
    size = len(forest_bytes(made))
    assert size < 32 + 4 * 20 + 8 * n_nodes + 8 + 10 * 8 * 15  # pure leaves: 10 vectors, and a few mixed ones


def test_a_right_child_too_far_away_is_refused_by_name() -> None:
    n = 65536 * 2 + 3
    feature = np.zeros(n, np.int64)
    feature[1::2] = -1
    feature[-1] = -1
    chain = Tree(
        feature=np.concatenate([[0], feature, [-1]]),
        threshold=np.zeros(n + 2, np.float32),
        right=np.concatenate([[n + 1], np.arange(n) + 2, [0]]),
        missing_left=np.zeros(n + 2, np.bool_),
        value=np.zeros((n + 2, 1)),
    )
    made = Ensemble(n_features=1, n_outputs=1, link="mean", trees=(chain,))
    with pytest.raises(ContractError, match=r"tree 0, node 0: the right child is 131076 nodes away, at most 65535"):
        forest_bytes(made)


def test_categories_are_refused_by_name() -> None:
    x, y = digits(3)
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0, 1]).fit(x, y)
    with pytest.raises(ContractError, match="categories"):
        ensemble(model)


def test_boosting_has_no_native_form() -> None:
    x, y = digits(3)
    made = ensemble(HistGradientBoostingClassifier(max_iter=2).fit(x, y))
    assert made is not None
    with pytest.raises(ContractError, match="softmax"):
        forest_bytes(made)


def test_other_estimators_are_no_trees() -> None:
    assert ensemble(LogisticRegression()) is None
