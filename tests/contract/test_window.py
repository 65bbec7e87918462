"""The frames of a window: what a reader gets is what was decided, channel by channel."""

from __future__ import annotations

from array import array

import pytest

from edge_runtime.contract import cbor
from edge_runtime.contract.birth import Birth
from edge_runtime.contract.window import MAX_VALUES, Window
from edge_runtime.errors import ContractError
from edge_runtime.lean import items_of
from tests.contract.samples import TOLD, WINDOW


def changed(**fields: object) -> Window:
    return Window(**items_of(WINDOW) | fields)


def test_each_channel_has_its_own_values() -> None:
    found = Window.from_bytes(WINDOW.to_bytes()).by_channel()
    assert list(found) == ["acc_x", "temp"]
    assert found["acc_x"][:3].tolist() == [0.5, -1.25, 3.0]
    assert found["temp"].tolist() == [21.5]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ("acc_x", "acc_x")}, "window.names: 'acc_x' stands twice"),
        ({"names": ("acc_x",)}, "window.n_values: want 1 values, got 2"),
        ({"n_values": (4, 2)}, "window.values: want 6 values, got 5"),
        ({"n_values": (5, 0)}, "window.n_values: want ints 1..4096, got 0"),
        ({"rate_hz": 0.0}, "window.rate_hz: want number > 0, got 0.0"),
        ({"reason": 6}, "window.reason: want int 0..5, got 6"),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ContractError) as caught:
        changed(**fields)
    assert str(caught.value) == message


def test_more_values_than_a_device_has_under_way_are_refused() -> None:
    names = tuple(f"c{i}" for i in range(17))
    values = array("f", bytes(4 * 17 * 4096))
    with pytest.raises(ContractError, match=f"window.values: want 0..{MAX_VALUES} items, got {17 * 4096}"):
        changed(names=names, n_values=(4096,) * 17, values=values)


def test_what_a_birth_allows_has_exactly_the_fields_of_the_format() -> None:
    """A rule that a reader half understands would say less than the device lets go."""
    fields = cbor.loads(TOLD.to_bytes(), what="birth")
    assert isinstance(fields, dict)
    fields["raw"]["motor"]["seconds"] = 5
    with pytest.raises(ContractError, match=r"birth\.raw\.motor: unknown field 'seconds'"):
        Birth.from_bytes(cbor.dumps(fields))
