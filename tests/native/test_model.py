"""A model's file as Python sees it, and the core's own functions against more exact ones."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.errors import ContractError
from tests.native.small import pass_through, stump_forest

FUNCTIONS = {"tanh": 2, "logistic": 3, "exp": 4, "sqrt": 5, "exp2": 7, "log": 8}


def unary(function: int, n: int, *, op: int = 3006, takes_nan: bool = False) -> bytes:
    """FORMAT.md "model": one step over all features."""
    step = struct.pack("<2H5I2Q", op, function, 0, n, n, n, 0, 0, 0)
    return struct.pack("<4s2H4I2Q", b"ERM1", n, n, 1, 2 * n, n, takes_nan, 80, 0) + step


def test_a_model_says_what_it_is() -> None:
    model = native.Model(unary(1, 5, takes_nan=True))
    assert (model.n_features, model.n_outputs, model.nbytes, model.scratch_bytes) == (5, 5, 80, 80)
    assert (model.steps, model.n_trees, model.takes_nan) == (("unary",), 0, True)
    forest = native.Model(stump_forest(4, 3, n_trees=9))
    assert (forest.steps, forest.n_trees, forest.takes_nan, forest.scratch_bytes) == (("forest",), 9, False, 0)


def test_one_row_and_many_have_the_same_scores() -> None:
    model = native.Model(unary(3, 2))
    rows = np.random.default_rng(1).normal(size=(7, 2)).astype(np.float32)
    many = model.scores_batch(rows.reshape(-1))
    assert list(many) == [score for row in rows for score in model.scores(row)]
    with pytest.raises(ValueError, match="3 values are no whole number of rows of 2"):
        model.scores_batch(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="3 values, the model reads 2"):
        model.scores(np.zeros(3, np.float32))


def test_a_step_of_a_newer_build_is_named() -> None:
    with pytest.raises(ContractError, match=r"a step of \[3999\] is not in this build") as refused:
        native.Model(unary(1, 2, op=3999))
    assert "newer" in (refused.value.hint or "")


@pytest.mark.parametrize("cut", [0, 3, 39, 79])
def test_a_cut_file_is_refused(cut: int) -> None:
    with pytest.raises(ContractError, match="break the format ERM1"):
        native.Model(unary(1, 2)[:cut])


def test_a_model_that_takes_missing_values_is_asked_with_them() -> None:
    """Relu of NaN is NaN, so its vote abstains; that the model was asked shows in the other score."""
    policy = Policy(thresholds_ppm=(0, 0))
    frames = np.array([[1, np.nan], [2, np.nan]], np.float32)
    for takes_nan in (False, True):
        stream = native.Stream(pass_through(2), policy, model=unary(1, 2, takes_nan=takes_nan))
        assert stream.step(frames.reshape(-1), 0, 2) == 2
        assert stream.decision.label == -1
        assert (stream.scores[0] == 2.0) is takes_nan
        assert np.isnan(stream.scores[1])


# ---- exp and its kin


def exact(name: str, x: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """In 64-bit mantissas, where the platform has them."""
    if name == "logistic":
        return np.asarray(1 / (1 + np.exp(-x)))
    return np.asarray(getattr(np, name)(x))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no wider float to compare with")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_exact_to_two_ulp(name: str) -> None:
    rng = np.random.default_rng(5)
    wide = {"exp": 700.0, "exp2": 1000.0, "logistic": 700.0, "tanh": 25.0, "sqrt": 1e6, "log": 1e6}[name]
    near = rng.uniform(-2, 2, 20_000)
    x = np.concatenate([near, rng.uniform(-wide, wide, 20_000), near * 1e-9, 1 + near * 1e-7]).astype(np.float32)
    x = np.abs(x[x != 0]) if name in {"sqrt", "log"} else x
    have = np.frombuffer(native.Model(unary(FUNCTIONS[name], 1)).scores_batch(x))
    want = exact(name, x.astype(np.longdouble))
    rounded = want.astype(np.float64)
    ulp = np.abs(have - want) / np.maximum(np.spacing(np.abs(rounded)), np.finfo(np.float64).tiny)
    assert float(ulp.max()) <= 2.0, f"{name}: {float(ulp.max()):.2f} ulp at {x[ulp.argmax()]!r}"
