"""The forest gives scikit-learn's doubles, bit for bit, and no bytes can lead it out of its file."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from edge_runtime import native
from edge_runtime.errors import ContractError
from tests.native.small import Tree, encode, floor32, stump_forest


def trees_of(forest: Any) -> list[Tree]:
    """scikit-learn's trees, whose nodes are in pre-order already."""
    trees = []
    for estimator in forest.estimators_:
        t = estimator.tree_
        leaf = t.children_left < 0
        assert (t.children_left[~leaf] == np.flatnonzero(~leaf) + 1).all()
        trees.append(
            Tree(
                feature=np.where(leaf, -1, t.feature),
                threshold=t.threshold,
                right=t.children_right,
                value=t.value[:, 0, :],
            )
        )
    return trees


def one_at_a_time(forest: Any, rows: np.ndarray[Any, Any]) -> bytes:
    """predict_proba of each row alone: batches may add in another order."""
    return b"".join(forest.predict_proba(row[None]).tobytes() for row in rows)


@pytest.fixture(scope="module")
def fitted() -> Any:
    """Noisy labels and leaves that are no 0 or 1: their sum depends on the order of the trees."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(1)
    x = rng.standard_normal((600, 8)).astype(np.float32)
    x[:, 5:] = np.round(x[:, 5:] * 2)
    y = (x[:, 0] + x[:, 5] > 0).astype(int) + (x[:, 1] * x[:, 6] > 1) + rng.integers(0, 2, 600)
    return RandomForestClassifier(n_estimators=30, max_depth=6, random_state=2, n_jobs=1).fit(x, y)


def rows_on_thresholds(forest: Any, n: int) -> np.ndarray[Any, Any]:
    """Rows whose values are split thresholds, and their float32 neighbours above and below."""
    rng = np.random.default_rng(3)
    thresholds = [np.concatenate([t.threshold[t.feature == f] for t in trees_of(forest)]) for f in range(8)]
    near = np.stack([rng.choice(of, n) if len(of) else np.zeros(n) for of in thresholds], axis=1)
    rows = np.vectorize(floor32, otypes=[np.float32])(near)
    rows[1::3] = np.nextafter(rows[1::3], np.float32(np.inf))
    rows[2::3] = np.nextafter(rows[2::3], np.float32(-np.inf))
    return np.asarray(rows)


def test_scores_equal_scikit_learn_one_row_at_a_time(fitted: Any) -> None:
    native_forest = native.Model(encode(trees_of(fitted), 8))
    rows = np.random.default_rng(4).standard_normal((80, 8)).astype(np.float32)
    rows[:40, 5:] = np.round(rows[:40, 5:] * 2)
    assert native_forest.scores_batch(rows).tobytes() == one_at_a_time(fitted, rows)
    assert native_forest.scores(rows[0]) == tuple(fitted.predict_proba(rows[:1])[0])


def test_rows_on_split_thresholds_go_the_same_way(fitted: Any) -> None:
    """That x <= t in double is x <= floor32(t) in float: one ulp more would go elsewhere."""
    rows = rows_on_thresholds(fitted, 120)
    assert native.Model(encode(trees_of(fitted), 8)).scores_batch(rows).tobytes() == one_at_a_time(fitted, rows)


def test_tied_votes_stay_tied() -> None:
    """Two and four fully grown trees on noise: equal scores, which double sums keep equal."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((80, 8)).astype(np.float32), rng.integers(0, 2, 80)
    for n_trees in (2, 4):
        forest = RandomForestClassifier(n_estimators=n_trees, random_state=6, n_jobs=1).fit(x, y)
        rows = rng.standard_normal((100, 8)).astype(np.float32)
        scores = np.frombuffer(native.Model(encode(trees_of(forest), 8)).scores_batch(rows)).reshape(-1, 2)
        assert (scores[:, 0] == scores[:, 1]).sum() > 10
        assert scores.tobytes() == one_at_a_time(forest, rows)


def test_sizes_are_as_in_the_file(fitted: Any) -> None:
    data = encode(trees_of(fitted), 8)
    forest = native.Model(data)
    assert (forest.nbytes, forest.n_trees, forest.n_features, forest.n_outputs) == (len(data), 30, 8, 4)


def test_bytes_need_not_be_aligned(fitted: Any) -> None:
    data = encode(trees_of(fitted), 8)
    shifted = memoryview(b"x" + data)[1:]
    row = np.ones(8, np.float32)
    assert native.Model(shifted).scores(row) == native.Model(data).scores(row)  # type: ignore[arg-type]


def test_altered_bytes_are_refused_or_harmless() -> None:
    """20,000 forests with flipped bits; the same under ASan in csrc/tests/test_forest.c."""
    rng = np.random.default_rng(7)
    data, row = stump_forest(4, 3, n_trees=9), np.zeros(4, np.float32)
    refused = 0
    for _ in range(20_000):
        bad = bytearray(data)
        for at in rng.integers(0, len(bad), rng.integers(1, 4)):
            bad[at] ^= 1 << int(rng.integers(8))
        try:
            forest = native.Model(bytes(bad))
        except ContractError:
            refused += 1
            continue
        if forest.n_features == 4:
            forest.scores(row)
    assert 0 < refused < 20_000


def place(data: bytes, at: int, kind: str, *values: float) -> bytes:
    bad = bytearray(data)
    struct.pack_into(kind, bad, at, *values)
    return bytes(bad)


NODES_AT = 32 + 16  # three roots and their gap


@pytest.mark.parametrize(
    ("what", "at", "kind", "value"),
    [
        ("magic", 0, "<4s", b"ERF2"),
        ("no features", 4, "<H", 0),
        ("too many outputs", 6, "<H", 65),
        ("no trees", 8, "<I", 0),
        ("nodes beyond the file", 12, "<I", 1 << 27),
        ("reserved", 20, "<I", 1),
        ("size", 24, "<Q", 1 << 40),
        ("first root", 32, "<I", 1),
        ("roots descend", 36, "<I", 7),
        ("root beyond the nodes", 40, "<I", 9),
        ("gap is not zero", 44, "<I", 1),
        ("feature beyond the row", NODES_AT + 4, "<H", 4),
        ("right child is the left one", NODES_AT + 6, "<H", 1),
        ("right child in the next tree", NODES_AT + 6, "<H", 3),
        ("threshold is NaN", NODES_AT, "<f", float("nan")),
        ("leaf beyond the table", NODES_AT + 8, "<I", 6),
        ("leaf with a child", NODES_AT + 8 + 6, "<H", 1),
        ("leaf value is NaN", NODES_AT + 9 * 8, "<d", float("nan")),
    ],
)
def test_each_rule_of_the_format_is_checked(what: str, at: int, kind: str, value: Any) -> None:
    data = stump_forest(4, 3)
    native.Model(data)
    with pytest.raises(ContractError, match=r"ER[FM]1"):
        native.Model(place(data, at, kind, value))


def test_a_cut_or_longer_file_is_refused() -> None:
    data = stump_forest(4, 3)
    for bad in (b"", data[:31], data[:-8], data[:-1], data + bytes(8)):
        with pytest.raises(ContractError):
            native.Model(bad)


def test_rows_of_another_length_are_refused() -> None:
    forest = native.Model(stump_forest(4, 3))
    with pytest.raises(ValueError, match="5 values, the model reads 4"):
        forest.scores(np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="want contiguous float32"):
        forest.scores(np.zeros(4, np.float64))
