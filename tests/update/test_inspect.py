"""A bundle whose members break their format, or do not fit each other, is refused by its bytes alone."""

from __future__ import annotations

import pytest

from edge_runtime.contract.bundle import unpack
from edge_runtime.errors import ContractError
from edge_runtime.update.inspect import inspect
from tests.engines.onnx.hostile import HOSTILE
from tests.update.bundles import forest, members, packed_bundle


def test_good_bundle_passes() -> None:
    assert inspect(unpack(packed_bundle()))["model.erf trees"] == 1


BAD_MEMBERS: dict[str, tuple[dict[str, bytes], str]] = {
    "forest cut": ({"model.erf": forest()[:-8]}, "forest|model.erf"),
    "forest of no magic": ({"model.erf": b"ERF9" + forest()[4:]}, "model: .* ERM1"),
    "hostile onnx beside a good forest": ({"model.onnx": HOSTILE["Loop"][0]()}, "not allowed"),
    "hostile int8": ({"model.int8.onnx": HOSTILE["ConstantOfShape"][0]()}, "not allowed"),
    "baseline is no baseline": ({"baseline.json": b"{}"}, "baseline"),
    "golden of three features": (
        {"golden.json": members(rows=((0.25, 1.0),))["golden.json"].replace(b"[[0.25,1]]", b"[[0.25,1,2]]")},
        "vector of 3 features",
    ),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_bundle_with_a_bad_member_is_refused(name: str) -> None:
    changed, message = BAD_MEMBERS[name]
    with pytest.raises(ContractError, match=message):
        inspect(unpack(packed_bundle(files={**members(), **changed})))
