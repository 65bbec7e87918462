"""The layouts of trees: the same bits on every row; the small one in a quarter of the bytes of ONNX."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier

from cloud_trainer.export import graph
from cloud_trainer.export import steps as op
from cloud_trainer.export.erm import LAYOUTS, erm_bytes
from cloud_trainer.export.erm_paired import paired_trees
from cloud_trainer.export.erm_small import in_order, small_trees
from cloud_trainer.export.layout import laid_out
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.export.onnx_float import float_model
from cloud_trainer.export.trees import Tree, constant
from edge_runtime import native
from edge_runtime.errors import ContractError
from tests.export.zoo import CASES, fitted

F32 = npt.NDArray[np.float32]


WITH_TREES = [
    name for name in CASES if any(word in name for word in ("tree", "forest", "boosting", "AdaBoost", "voting,"))
]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def hard_rows(model: op.Model, x: F32) -> F32:
    """Rows as they are, on thresholds and one float beside, missing and infinite."""
    rng = np.random.default_rng(0)
    rows = np.repeat(x[:40], 5, axis=0)
    for tree in model.trees():
        inner = np.flatnonzero(tree.feature >= 0)
        for node in inner[rng.integers(0, len(inner), 8)] if len(inner) else ():
            t = tree.threshold[node]
            rows[rng.integers(len(rows)), tree.feature[node]] = rng.choice([t, np.nextafter(t, np.float32(np.inf))])
    rows[rng.random(rows.shape) < 0.02] = np.nan
    rows[rng.random(rows.shape) < 0.01] = rng.choice(np.array([np.inf, -np.inf, -0.0, 1e-40, 3e38], np.float32))
    return rows


def answers(data: bytes, rows: F32) -> bytes:
    return native.Model(data).scores_batch(np.ascontiguousarray(rows).reshape(-1)).tobytes()


@pytest.mark.parametrize("name", WITH_TREES)
def test_all_layouts_have_the_same_bits_on_every_row(name: str) -> None:
    estimator, x = fitted(name)
    model = model_of(estimator)
    rows = hard_rows(model, x)
    made = {layout: erm_bytes(model, layout) for layout in LAYOUTS}
    kinds = {"fast": "trees_paired", "small": "trees_small", "first": "trees"}
    assert all(kinds[layout] in native.Model(data).steps for layout, data in made.items())
    assert len({native.Model(data).n_trees for data in made.values()}) == 1
    assert len({answers(data, rows) for data in made.values()}) == 1
    assert {layout: erm_bytes(model, layout) for layout in LAYOUTS} == made


def noise(n: int) -> tuple[Any, Any]:
    """4000 rows of noise with 5 classes in it, as the benchmark's."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, n)).astype(np.float32)
    return x, (x[:, :5] + 0.5 * rng.standard_normal((4000, 5))).argmax(axis=1)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(100, max_depth=10, random_state=0),
        HistGradientBoostingClassifier(max_iter=100, random_state=0),
    ],
    ids=["forest", "boosting"],
)
def test_a_quarter_of_the_bytes_of_either_onnx(estimator: Any) -> None:
    from skl2onnx import to_onnx

    x, y = noise(144)
    model = model_of(estimator.fit(x, y))
    ours, _ = float_model(estimator, n_features=144)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = to_onnx(estimator, x[:1], options={"zipmap": False}, target_opset={"": 22, "ai.onnx.ml": 3})
    small = erm_bytes(model, "small")
    assert 4 * len(small) <= min(len(graph.model_bytes(ours)), len(theirs.SerializeToString()))
    rows = np.random.default_rng(1).standard_normal((500, 144)).astype(np.float32)
    scores = np.frombuffer(answers(small, rows)).reshape(500, 5)
    want = np.concatenate([estimator.predict_proba(row[None]) for row in rows[:100].astype(np.float64)])
    assert (scores[:100].argmax(axis=1) == want.argmax(axis=1)).all()
    assert answers(erm_bytes(model), rows) == answers(small, rows)


def tree(feature: list[int], threshold: list[float], right: list[int], missing: list[bool]) -> Tree:
    leaves = [float(i) for i in range(len(feature))]
    return Tree(
        feature=np.array(feature),
        threshold=np.array(threshold, np.float32),
        right=np.array(right),
        missing_left=np.array(missing),
        value=np.array(leaves)[:, None],
    )


def test_a_section_is_as_the_format_says() -> None:
    """Two nodes in order, the second is the root; a tree of one leaf has it on both sides."""
    a = tree([1, 0, -1, -1, -1], [0.5, 2.0, 0, 0, 0], [4, 3, 0, 0, 0], [False, True, False, False, False])
    trees = op.Trees(trees=(a, constant(9.0)), column=(0, 1), base=np.array([1.0, 2.0]))
    variant, data = small_trees(trees)
    assert variant == 0
    # feature 0 has the thresholds 0 (of the tree without a node) and 2
    want = struct.pack("<6I2HI", 2, 3, 2, 3, 0, 0, 1, 1, 2) + struct.pack("<2d", 1, 2)
    want += struct.pack("<5d", 2, 3, 4, 9, 9) + struct.pack("<3f4x", 0, 2, 0.5) + struct.pack("<4H", 0, 2, 1, 1)
    want += struct.pack("<2I", 1, 2) + struct.pack("<2H4x", 0, 1)
    want += struct.pack("<BBbb", 0, 1, 0, 0) + struct.pack("<BBbb", 1, 0, -1, 0) + struct.pack("<BBbb4x", 0, 0, 0, 0)
    assert data == want + bytes([1, 0, 0, 0, 0, 0, 0, 0])


def test_children_stand_side_by_side_and_two_levels_together() -> None:
    """A full tree of three levels: the root, its children, theirs left and right, then those of the third level."""
    full = tree([0, 1, 3, -1, -1, 4, -1, -1, 2, 5, -1, -1, 6, -1, -1], [0.0] * 15, [0] * 15, [False] * 15)
    full.right[[0, 1, 2, 5, 8, 9, 12]] = [8, 5, 4, 7, 12, 11, 14]
    full.missing_left[[1, 8]] = True
    _, data = paired_trees(op.Trees(trees=(full, constant(5.0)), column=(0, 0), base=np.zeros(1)), 9)
    nodes = list(struct.iter_unpack("<IHH", data[16 + 8 + 8 + 8 :][: 8 * 16]))
    assert [node[1] for node in nodes] == [0, 1, 2, 3, 4, 5, 6, *[9] * 9]
    assert [node[2] for node in nodes] == [1, 2, 3, 4, 5, 6, 7, *[0] * 9]
    assert data[-8:] == bytes([0b110, 0, 0, 0, 0, 0, 0, 0])


def test_nodes_stand_in_order_and_leaves_from_left_to_right() -> None:
    one = tree([0, 1, -1, 2, -1, -1, 3, -1, -1], [0.0] * 9, [6, 3, 0, 5, 0, 0, 8, 0, 0], [False] * 9)
    made = in_order(one)
    assert made.feature.tolist() == [1, 2, 0, 3]
    assert made.root == 2
    assert made.away.tolist() == [[0, 1], [0, 0], [-2, 1], [0, 0]]
    assert made.leaves.ravel().tolist() == [2, 4, 5, 7, 8]
    assert made.depth == 3


def chain(n: int, n_features: int) -> Tree:
    """Of n nodes below each other to the left; node i asks feature i % n_features."""
    feature = [i % n_features for i in range(n)] + [-1] * (n + 1)
    right = [2 * n - i for i in range(n)] + [0] * (n + 1)
    return tree(feature, [float(-i) for i in range(n)] + [0.0] * (n + 1), right, [False] * (2 * n + 1))


@pytest.mark.parametrize(
    ("n", "n_features", "variant"),
    [(70, 70, 0), (300, 1, 0), (1000, 4, 0), (1000, 256, 0), (1000, 257, 2)],
)
def test_the_smallest_node_with_room_is_chosen(n: int, n_features: int, variant: int) -> None:
    """A byte for column and rank while 256 columns of 255 thresholds are enough, whatever the feature has."""
    trees = op.Trees(trees=(chain(n, n_features),), column=(0,), base=np.zeros(1))
    assert small_trees(trees)[0] == variant
    b = op.Builder(n_features)
    model = b.model(b.new(trees, b.features, 1), takes_nan=False)
    rows = -np.random.default_rng(n).integers(0, n + 2, (200, n_features)).astype(np.float32)
    assert answers(erm_bytes(model), rows) == answers(erm_bytes(model, "small"), rows)


def balanced(n: int) -> Tree:
    """Of n nodes, n + 1 a power of two; thresholds in order, so that leaf i is taken by x in i-1..i."""
    feature: list[int] = []
    threshold: list[float] = []
    right: list[int] = []

    def grow(low: int, high: int) -> None:
        at = len(feature)
        middle = (low + high) // 2
        feature.append(0 if low < high else -1)
        threshold.append(float(middle))
        right.append(0)
        if low < high:
            grow(low, middle)
            right[at] = len(feature)
            grow(middle + 1, high)

    grow(0, n)
    return tree(feature, threshold, right, [False] * len(feature))


@pytest.mark.parametrize(("n", "variant"), [(127, 0), (1023, 1)])
def test_far_children_take_two_bytes(n: int, variant: int) -> None:
    trees = op.Trees(trees=(balanced(n),), column=(0,), base=np.zeros(1))
    assert small_trees(trees)[0] == variant
    b = op.Builder(1)
    model = b.model(b.new(trees, b.features, 1), takes_nan=False)
    rows = np.linspace(-2, n + 2, 2 * n + 9, dtype=np.float32)[:, None]
    assert answers(erm_bytes(model), rows) == answers(erm_bytes(model, "small"), rows)


def test_what_no_node_has_room_for_is_refused() -> None:
    trees = op.Trees(trees=(balanced(2**17 - 1),), column=(0,), base=np.zeros(1))
    with pytest.raises(ContractError, match="no node has room"):
        small_trees(trees)


@pytest.fixture(scope="module")
def forest() -> op.Model:
    x, y = noise(20)
    return model_of(RandomForestClassifier(20, max_depth=6, random_state=0).fit(x, y))


def test_the_target_chooses_the_layout_and_says_why(forest: op.Model) -> None:
    fast, small = erm_bytes(forest), erm_bytes(forest, "small")
    enough, tight = 2 * len(fast), 2 * len(fast) - 1
    assert laid_out(forest) == (
        fast,
        f"trees fast: no limit on bytes is near (small {len(small)} bytes, fast {len(fast)}, the same bits)",
    )
    assert laid_out(forest, model_bytes=enough)[0] == fast
    data, why = laid_out(forest, model_bytes=tight)
    assert data == small
    assert why.startswith(f"trees small: the target is bound by model_bytes {tight} (")
    data, why = laid_out(forest, model_bytes=enough, memory_bytes=tight)
    assert data == small
    assert why.startswith(f"trees small: the target is bound by memory_bytes {tight} (")


def test_a_model_without_trees_has_no_layout() -> None:
    model = model_of(fitted("ridge")[0])
    assert laid_out(model, model_bytes=1) == (erm_bytes(model), "")


def test_trees_too_large_for_one_layout_take_the_other() -> None:
    b = op.Builder(1)
    big = b.model(
        b.new(op.Trees(trees=(balanced(2**16 - 1),), column=(0,), base=np.zeros(1)), b.features, 1), takes_nan=False
    )
    with pytest.raises(ContractError, match="nodes away"):
        erm_bytes(big)
    data, why = laid_out(big)
    assert data == erm_bytes(big, "small")
    assert why.startswith("trees small: there is no fast layout (")
    x, _ = noise(20)
    outliers = model_of(IsolationForest(n_estimators=20, random_state=0).fit(x))
    assert laid_out(outliers)[1].startswith("trees fast: no limit")
    assert laid_out(outliers, memory_bytes=1)[1].startswith("trees small: the target is bound")
