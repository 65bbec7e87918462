"""The bytes of `model.erm`: what the format says stands where it says."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cloud_trainer.export import steps as op
from cloud_trainer.export.erm import LAYOUT, LAYOUTS, erm_bytes
from cloud_trainer.export.interpret import MEANING, interpret
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.export.trees import Tree
from edge_runtime.errors import ContractError
from tests.export.zoo import CASES, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def one_step(what: op.Op, n: int, m: int) -> op.Model:
    b = op.Builder(n)
    return b.model(b.new(what, b.features, m), takes_nan=False)


def constants(data: bytes) -> bytes:
    at, size = struct.unpack_from("<QQ", data, 40 + 24)
    return data[at : at + size]


@pytest.mark.parametrize("name", CASES)
def test_sections_follow_each_other(name: str) -> None:
    model = model_of(fitted(name)[0])
    data = erm_bytes(model)
    head = struct.unpack_from("<4sHHIIIIQQ", data)
    flags = int(model.takes_nan)
    counts = (model.n_features, model.n_outputs, len(model.steps), model.n_values, model.out.at)
    assert head == (b"ERM1", *counts, flags, len(data), 0)
    end, written = 40 + 40 * len(model.steps), model.n_features
    for i in range(len(model.steps)):
        _, _, source, n, to, m, reserved, at, size = struct.unpack_from("<HHIIIIIQQ", data, 40 + 40 * i)
        assert reserved == 0
        assert source + n <= written, "a step reads what nobody wrote"
        assert to >= model.n_features
        assert to == written or to + m <= written
        written = max(written, to + m)
        if size:
            assert at == end
            assert not any(data[at + size : -(-(at + size) // 8) * 8])
            end = -(-(at + size) // 8) * 8
        else:
            assert at == 0
    assert end == len(data)
    assert written == model.n_values


@pytest.mark.parametrize("name", CASES)
def test_same_estimator_gives_the_same_bytes(name: str) -> None:
    assert erm_bytes(model_of(fitted(name)[0])) == erm_bytes(model_of(fitted(name)[0]))


def test_every_operation_has_a_number_and_a_meaning() -> None:
    assert {*LAYOUT, op.Trees} == set(MEANING)
    numbers = [number for number, _ in (*LAYOUT.values(), *LAYOUTS.values())]
    assert sorted(numbers) == list(range(3000, 3018))


def test_a_trees_section_is_as_the_format_says() -> None:
    tree = Tree(
        feature=np.array([1, -1, -1]),
        threshold=np.array([0.5, 0, 0], np.float32),
        right=np.array([2, 0, 0]),
        missing_left=np.array([True, False, False]),
        value=np.array([[0.0], [7.0], [9.0]]),
    )
    trees = op.Trees(trees=(tree, tree), column=(0, 2), base=np.array([1.0, 2.0, 3.0]))
    model = one_step(trees, 2, 3)
    want = struct.pack("<IIIHH", 2, 6, 2, 1, 1) + struct.pack("<3d", 1, 2, 3) + struct.pack("<2I2H4x", 0, 3, 0, 2)
    nodes = struct.pack("<fHH", 0.5, 0x8001, 2) + struct.pack("<IHH", 0, 0xFFFF, 0) + struct.pack("<IHH", 1, 0xFFFF, 0)
    assert constants(erm_bytes(model, "first")) == want + 2 * nodes + struct.pack("<2d", 7, 9)
    # both children side by side; a leaf asks for value 2, which is none of the row's
    nodes = struct.pack("<fHH", 0.5, 1, 1) + struct.pack("<IHH", 0, 2, 0) + struct.pack("<IHH", 1, 2, 0)
    bits = bytes([0b001001, 0, 0, 0, 0, 0, 0, 0])
    assert constants(erm_bytes(model)) == want + 2 * nodes + struct.pack("<2d", 7, 9) + bits
    rows = np.array([[0, 0.5], [0, 0.6], [0, np.nan]], np.float32)
    assert interpret(model, rows).tolist() == [[8, 2, 10], [10, 2, 12], [8, 2, 10]]


def test_a_float32_layer_is_padded_to_whole_vectors() -> None:
    layer = op.Dense32(weights=np.ones((2, 3), np.float32), bias=np.full(3, 2, np.float32), activation="relu")
    data = erm_bytes(one_step(layer, 2, 3))
    assert struct.unpack_from("<HH", data, 40) == (3003, 1)
    row = np.array([1, 1, 1, 0, 0, 0, 0, 0], "<f4").tobytes()
    assert constants(data) == 2 * row + np.array([2, 2, 2, 0, 0, 0, 0, 0], "<f4").tobytes()


def test_an_affine_step_leaves_parts_out() -> None:
    data = erm_bytes(one_step(op.Affine(sub=np.array([1.0]), div=np.array([4.0])), 1, 1))
    assert struct.unpack_from("<HH", data, 40) == (3001, 0b0101)
    assert constants(data) == struct.pack("<2d", 1, 4)


def test_sums_are_in_four_lanes() -> None:
    model = one_step(op.Dense(weights=np.ones((1, 5)), bias=np.array([0.5])), 5, 1)
    x = np.array([[1e16, 1, -1e16, 1, 3]], np.float32)
    wide = x[0].astype(np.float64)
    lanes = ((wide[0] + wide[4]) + wide[2]) + (wide[1] + wide[3])
    assert interpret(model, x)[0, 0] == lanes + 0.5


def test_counts_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match=r"1025 features are outside 1\.\.1024"):
        one_step(op.Pair(), 1025, 2)
    with pytest.raises(ContractError, match=r"65 outputs are outside 1\.\.64"):
        one_step(op.Unary(function="exp"), 65, 65)


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
    trees = op.Trees(trees=(chain,), column=(0,), base=np.zeros(1))
    with pytest.raises(ContractError, match="tree 0, node 0: the right child is 131076 nodes away, at most 65535"):
        erm_bytes(one_step(trees, 1, 1), "first")
    assert erm_bytes(one_step(trees, 1, 1))  # a chain is near everywhere where pairs follow each other
