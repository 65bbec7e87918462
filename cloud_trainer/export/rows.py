"""The rows on which a bundle must decide as its trainer. One rule: look where rounding could show.

Test rows; of trees, rows on split thresholds with one float beside, and tied votes; of other models, rows on a class
boundary, where rounding may decide, and rows beside it, where it may not. All float32, from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.steps import Model
from cloud_trainer.export.trees import Tree

F32 = npt.NDArray[np.float32]
Scores = Callable[[F32], npt.NDArray[np.float64]]

MAX_TEST: Final = 2000
MAX_NEAR: Final = 300  # of each other kind
MAX_EXTREME: Final = 70
HUGE: Final = np.float32(1000)
MAX_TREE_STEPS: Final = 500_000  # trees times rows: a boosted model answers one row at a time in 10 µs a tree
CLEAR: Final = 2e-5  # margin just above what rounding may decide (parity.ROUNDING)
_TIE = 1e-12
_SEED = 20240


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind: "test", "threshold", "tied", "boundary", "beside" or "extreme"."""

    kind: str
    x: F32


def parity_rows(
    x_test: F32, *, model: Model | None, search: Scores, is_values: bool = False, unit: float = 1.0
) -> list[Rows]:
    """Every kind that fits the model, none empty; values have neither ties nor boundaries.

    Args:
        x_test: Rows of the test split, at least one.
        model: Its native form, if it has one.
        search: The trainer's scores in batches, good enough to look for rows.
        is_values: It answers with values, not with a score a label.
        unit: The score range.
    """
    rng = np.random.default_rng(_SEED)
    trees = list(model.trees()) if model is not None and model.is_trees else []
    most = max(200, min(MAX_TEST, MAX_TREE_STEPS // len(trees))) if trees else MAX_TEST
    kinds = [Rows("test", spread(x_test, most))]
    if trees:
        kinds.append(Rows("threshold", threshold_rows(trees, x_test, rng=rng, most=MAX_NEAR)))
        if not is_values and any(tree.value.shape[1] > 1 for tree in trees):  # trees that vote
            kinds.append(Rows("tied", tied_rows(x_test, search, rng=rng, most=MAX_NEAR)))
    elif not is_values:
        on, beside = boundary_rows(x_test, search, rng=rng, most=MAX_NEAR, clear=CLEAR * unit)
        kinds += [Rows("boundary", on), Rows("beside", beside)]
    if model is not None:
        kinds.append(Rows("extreme", extreme_rows(x_test, takes_nan=model.takes_nan, rng=rng)))
    return [rows for rows in kinds if len(rows.x)]


def extreme_rows(x: F32, *, takes_nan: bool, rng: np.random.Generator, most: int = MAX_EXTREME) -> F32:
    """Rows of which some features are 0, denormal, huge (a thousand times the greatest), or missing."""
    reach = HUGE * np.abs(x).max(axis=0, initial=0.0, where=np.isfinite(x))
    out = spread(x, most).copy()
    for i, row in enumerate(out):
        at = rng.integers(len(row), size=1 + len(row) // 8)
        kinds = (0.0, -0.0, 1e-40, -1e-40, reach[at], -reach[at], *((np.nan,) if takes_nan else ()))
        row[at] = kinds[i % len(kinds)]
    return out


def spread(x: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """At most `most` rows, evenly over all; the same ones of any table of that length."""
    if len(x) <= most:
        return np.ascontiguousarray(x)
    return np.ascontiguousarray(x[np.linspace(0, len(x) - 1, most).astype(int)])


def threshold_rows(trees: Sequence[Tree], x: F32, *, rng: np.random.Generator, most: int = MAX_NEAR) -> F32:
    """Rows that stand on a split they reach: the threshold itself, and the next float on either side."""
    split = [tree for tree in trees if len(tree) > 1]
    out: list[F32] = []
    while split and len(out) < most:
        row, tree = x[rng.integers(len(x))], split[rng.integers(len(split))]
        path, node = [], 0
        while tree.feature[node] >= 0:
            path.append(node)
            node = node + 1 if row[tree.feature[node]] <= tree.threshold[node] else int(tree.right[node])
        node = path[rng.integers(len(path))]
        on = tree.threshold[node]
        for value in (on, np.nextafter(on, np.float32(np.inf)), np.nextafter(on, np.float32(-np.inf))):
            near = row.copy()
            near[tree.feature[node]] = value
            out.append(near)
        if not np.isfinite(out[-3:]).all():  # a split that all rows pass on one side
            del out[-3:]
            split = [tree for tree in split if np.isfinite(tree.threshold).all()]
    return np.array(out[:most], np.float32).reshape(-1, x.shape[1])


def tied_rows(x: F32, search: Scores, *, rng: np.random.Generator, most: int = MAX_NEAR) -> F32:
    """Rows whose best two scores are equal, found on walks that change one feature at a time.

    A walk goes from a row where the trainer is in doubt to any other.
    """
    sample = x[rng.permutation(len(x))[: 4 * most]]
    doubtful = sample[np.argsort(margins(search(sample)), kind="stable")[:100]]
    found = [_tied(doubtful, search)]
    for _ in range(20):
        if sum(map(len, found)) >= most:
            break
        walks = []
        for _ in range(40):
            a, b = doubtful[rng.integers(len(doubtful))].copy(), x[rng.integers(len(x))]
            for feature in rng.permutation(x.shape[1])[:64]:
                a[feature] = b[feature]
                walks.append(a.copy())
        found.append(_tied(np.array(walks, np.float32), search))
    return np.concatenate(found)[:most]


def _tied(x: F32, search: Scores) -> F32:
    return x[margins(search(x)) <= _TIE]


def boundary_rows(
    x: F32, search: Scores, *, rng: np.random.Generator, most: int = MAX_NEAR, clear: float = CLEAR
) -> tuple[F32, F32]:
    """(rows on a boundary, rows beside it), each at most `most`.

    On: pairs of different labels as close as float32 allows, by bisection between two rows of the test split.
    Beside: from each a step back into its own side, the shortest that has a margin of `clear`.
    """
    pairs = rng.integers(len(x), size=(4 * most, 2))
    label = search(x).argmax(axis=1)
    pairs = pairs[label[pairs[:, 0]] != label[pairs[:, 1]]][: most // 2]
    if not len(pairs):
        return x[:0], x[:0]
    low, high, own = x[pairs[:, 0]], x[pairs[:, 1]], label[pairs[:, 0]]
    for _ in range(40):
        middle = _between(low, high, 0.5)
        same = (search(middle).argmax(axis=1) == own)[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    on, home = np.concatenate([low, high]), np.concatenate([x[pairs[:, 0]], x[pairs[:, 1]]])
    beside = home
    for power in range(1, 24):
        step = _between(on, home, 0.5**power)
        beside = np.where((margins(search(step)) >= clear)[:, None], step, beside)
    return on, beside


def _between(a: F32, b: F32, share: float) -> F32:
    return (a + share * (b.astype(np.float64) - a)).astype(np.float32)


def margins(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Best score minus the second, of each row."""
    top = np.sort(scores, axis=1)
    return np.asarray(top[:, -1] - top[:, -2])
