"""A model that lies, hangs, grows or reaches outside is refused by its bytes alone; those of our exporter pass."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.engines.onnx import inspect_model
from edge_runtime.engines.onnx.extents import MAX_ELEMENTS
from edge_runtime.engines.onnx.inspect import GROWTH
from edge_runtime.errors import BudgetError, ContractError
from tests.engines.onnx.models import GOOD, HOSTILE, TOO_LARGE, tree, tree5


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model_is_refused(name: str) -> None:
    make, message = HOSTILE[name]
    with pytest.raises(ContractError, match=message):
        inspect_model(make(), n_features=4)


@pytest.mark.parametrize("name", TOO_LARGE)
def test_model_that_grows_is_refused(name: str) -> None:
    with pytest.raises(BudgetError, match=f"limit is {MAX_ELEMENTS}"):
        inspect_model(TOO_LARGE[name](), n_features=4)


@pytest.mark.parametrize("name", GOOD)
def test_plain_model_passes(name: str) -> None:
    assert inspect_model(GOOD[name](), n_features=4).nodes


@pytest.mark.parametrize(("domain", "op"), [key for key in GROWTH if key[0] in ("", "ai.onnx.ml")])
def test_every_allowed_operator_exists(domain: str, op: str) -> None:
    """A typing mistake in the allow-list would hide as an operator nobody uses."""
    assert onnx.defs.get_schema(op, domain=domain).name == op


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_give_a_model_or_a_refusal(data: st.DataObject) -> None:
    """Cut, altered or invented bytes raise nothing else."""
    made = bytearray(data.draw(st.sampled_from([tree(), tree5(), GOOD["perceptron"]()])))
    for _ in range(data.draw(st.integers(0, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(made)))
    for candidate in (bytes(made), bytes(made[:cut]), data.draw(st.binary(max_size=64))):
        try:
            inspect_model(candidate, n_features=4)
        except (ContractError, BudgetError):
            continue
