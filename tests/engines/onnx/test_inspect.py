"""A model that lies, hangs, grows or reaches outside is refused by its bytes alone; those of our exporter pass."""

from __future__ import annotations

import gc
import re
import statistics
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import native
from edge_runtime.engines import OrtEngine
from edge_runtime.engines.onnx import ensembles, extents, inspect_model, operators
from edge_runtime.engines.onnx import inspect as inspection
from edge_runtime.errors import BudgetError, ContractError
from tests.engines.onnx.hostile import HOSTILE
from tests.engines.onnx.models import GOOD

HOSTILE_MS, ANY_MS = 5.0, 50.0
Refused = (ContractError, BudgetError)
SHAPE = {"n_features": 4, "n_scores": 4}


def engine_of(data: bytes) -> OrtEngine:
    return OrtEngine(data, n_features=4, n_scores=4)


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU time of this thread [ms], without a garbage collection of everything that the tests have made."""
    gc.disable()
    try:
        began = time.thread_time_ns()
        work()
        return (time.thread_time_ns() - began) / 1e6
    finally:
        gc.enable()


def is_quick(data: bytes, shape: dict[str, int]) -> bool:
    """Whether one of three tries is within the limit: what is slow by itself is slow each time."""
    return any(cpu_ms(lambda: tried(data, shape)) <= ANY_MS for _ in range(3))


def refusal(data: bytes) -> ContractError | BudgetError:
    with pytest.raises(Refused) as caught:
        inspect_model(data, **SHAPE)
    error = caught.value
    assert isinstance(error, ContractError | BudgetError)
    return error


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model_is_refused_by_name_in_5_ms(name: str) -> None:
    make, message = HOSTILE[name]
    data = make()
    with pytest.raises(Refused, match=message) as caught:
        inspect_model(data, **SHAPE)
    assert isinstance(caught.value, ContractError | BudgetError)
    assert caught.value.hint
    assert statistics.median(cpu_ms(lambda: refusal(data)) for _ in range(7)) <= HOSTILE_MS


@pytest.mark.parametrize("way", ["C API", "package"])
def test_hostile_model_never_reaches_onnxruntime(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[object] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *given, **_: reached.append(given))
    monkeypatch.setattr(native, "OrtSession", lambda *given, **_: reached.append(given))
    if way == "package":
        monkeypatch.setattr(native, "ort_library", lambda: None)
    for make, _ in HOSTILE.values():
        with pytest.raises(Refused):
            engine_of(make())
    assert not reached
    engine_of(GOOD["raw data"]())
    assert reached, "the spy sees nothing, also of what is let through"


def test_only_the_engine_that_inspects_opens_a_session() -> None:
    root = Path(__file__).parents[3]
    found = {
        str(path.relative_to(root))
        for package in ("edge_runtime", "cloud_trainer")
        for path in (root / package).rglob("*.py")
        if re.search(r"\b(InferenceSession|OrtSession)\(", path.read_text())
    }
    assert found <= {"edge_runtime/engines/ort.py"}


@pytest.mark.parametrize("name", GOOD)
def test_plain_model_passes_and_runs(name: str) -> None:
    data = GOOD[name]()
    assert inspect_model(data, **SHAPE).nodes
    assert len(engine_of(data).scores(memoryview(array("f", [1.0, 2.0, 3.0, 4.0])))) == 4


@pytest.mark.parametrize(("domain", "op"), [key for key in operators.GROWTH if key[0] != "com.microsoft"])
def test_every_allowed_operator_exists(domain: str, op: str) -> None:
    """A typing mistake in the allow-list would hide as an operator nobody uses."""
    assert onnx.defs.get_schema(op, domain=domain).name == op


def test_every_rule_is_of_an_allowed_operator() -> None:
    assert {*operators.RULES, *operators.SCALES} <= {op for _, op in operators.GROWTH}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_bytes_give_a_model_or_a_refusal_in_50_ms(data: st.DataObject) -> None:
    """Cut, altered or invented bytes raise nothing else."""
    made = bytearray(data.draw(st.sampled_from([make() for make in GOOD.values()])))
    for _ in range(data.draw(st.integers(0, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(made)))
    for candidate in (bytes(made), bytes(made[:cut]), data.draw(st.binary(max_size=64))):
        assert is_quick(candidate, SHAPE)


def tried(data: bytes, shape: dict[str, int]) -> None:
    try:
        inspect_model(data, **shape)
    except Refused:
        return


def nothing(*_: Any) -> None:
    return None


PLANTED: dict[str, tuple[Any, str, Any, str]] = {
    # what was forgotten: where, its name, what stands there now, the hostile model that gets through
    "a depth": (ensembles, "MAX_DEPTH", 10**9, "tree of 260 levels"),
    "a scale": (operators, "RULES", operators.RULES | {"QuantizeLinear": nothing}, "scale of NaN"),
    "an operator": (inspection, "_check_operators", nothing, "operator of two domains"),
    "the ends": (inspection, "_check_end", nothing, "two outputs"),
    "a version": (inspection, "_check_versions", nothing, "newer opset"),
    "growth": (extents, "MAX_ELEMENTS", 1 << 80, "Concat that doubles"),
    "the votes": (ensembles, "_check_votes_3", nothing, "target outside"),
    "the width of a row": (operators.Known, "width", lambda *_: 4, "features of a scalar"),
    "coefficients": (operators, "RULES", {}, "linear model of two coefficients"),
}


@pytest.mark.planted
@pytest.mark.parametrize("forgotten", PLANTED)
def test_a_check_that_is_left_out_lets_a_hostile_model_through(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, instead, hostile = PLANTED[forgotten]
    data = HOSTILE[hostile][0]()
    assert refusal(data)
    monkeypatch.setattr(where, name, instead)
    if name == "RULES":
        monkeypatch.setattr(inspection, name, instead)
    if name == "_check_operators":
        monkeypatch.setitem(operators.GROWTH, ("ai.onnx.ml", "Abs"), extents.same)
    assert inspect_model(data, **SHAPE)
