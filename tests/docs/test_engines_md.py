"""docs/engines.md says what the inspection does: the operators, the limits."""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.engines.onnx import ensembles, extents, inspect, model, operators, wire
from edge_runtime.engines.ort import RUN_LIMIT_S
from tests.engines.onnx.hostile import HOSTILE

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()


def test_the_allowed_operators_are_those_of_the_table() -> None:
    allowed = PAGE[PAGE.index("<!-- allowed: begin") : PAGE.index("<!-- allowed: end")]
    assert sorted(re.findall(r"`(\w+)`", allowed)) == sorted(op for _, op in operators.GROWTH)


def test_the_limits_are_those_of_the_code() -> None:
    versions = ", ".join(str(high) for _, high in inspect.OPSETS.values())
    for numbers in (
        f"{inspect.MAX_IR}, {versions}",
        f"{model.MAX_NODES}, {model.MAX_TENSORS}",
        f"{model.MAX_NAMES}",
        f"{model.MAX_RANK}",
        f"{extents.MAX_ELEMENTS}",
        f"{ensembles.MAX_TREE_NODES}, {ensembles.MAX_DEPTH}",
        f"{wire.MAX_TEXT}, {wire.MAX_NOTE}",
    ):
        assert f"| {numbers} |" in PAGE
    assert f"{RUN_LIMIT_S:g} s a row" in PAGE
    assert len(HOSTILE) > 140
