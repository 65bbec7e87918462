"""A record beside the windows of a stream, or alone: one vector, one saved state."""

from __future__ import annotations

import math
from array import array

import pytest

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel
from edge_runtime.features import build_program

POLICY = Policy(thresholds_ppm=(0, 0))
BESIDE = build_program(
    [Channel(name="x", unit="g")],
    rate_hz=10.0,
    window_frames=4,
    hop_frames=2,
    features=["x:mean", "age:impute_last", "colour:one_hot(red,green)"],
    fields={"age": "number", "colour": "text"},
)
ALONE = build_program(
    [], rate_hz=1.0, window_frames=1, hop_frames=1, features=["age:impute_last"], fields={"age": "number"}
)
EMPTY = array("f")


def decided(stream: native.Stream, frames: array[float], n: int) -> tuple[native.Decision, list[float]]:
    assert stream.step(frames, 0, n) == n
    decision = stream.decide((0.25, 0.75)) if stream.status == "scores" else stream.decision
    return decision, list(stream.features)


def test_a_record_stands_beside_the_window_until_the_next_one() -> None:
    stream = native.Stream(BESIDE, POLICY)
    before, features = decided(stream, array("f", [1, 2, 3, 4]), 4)
    assert (before.flags, before.label) == (1, -1)
    assert math.isnan(features[1])
    stream.record((7, "green"))
    after, features = decided(stream, array("f", [5, 6]), 2)
    assert (after.flags, after.label) == (0, 1)
    assert features == [4.5, 7.0, 0.0, 1.0]
    stream.record((None, "blue"))
    assert decided(stream, array("f", [5, 6]), 2)[1][1:] == [7.0, 0.0, 0.0]


def test_records_alone_are_decided_one_by_one_and_go_on_from_a_saved_state() -> None:
    stream = native.Stream(ALONE, POLICY)
    for i in range(5):
        stream.record((float(i),))
        decision, features = decided(stream, EMPTY, 1)
        assert (decision.window, features) == (i, [float(i)])
    after = native.Stream(ALONE, POLICY)
    after.restore(stream.save())
    after.record((None,))
    decision, features = decided(after, EMPTY, 1)
    assert (decision.window, features) == (5, [4.0])


def test_the_cells_of_a_stream_are_those_of_rows() -> None:
    rows, stream = native.Rows(BESIDE), native.Stream(BESIDE, POLICY)
    for record in [(1.5, "red"), (None, None), (math.inf, "x\0y"), (3, "green")]:
        stream.record(record)
        decided(stream, array("f", [0, 0, 0, 0]), 4 if stream.windows == 0 else 2)
        assert bytes(rows.run(record)) == bytes(stream.features[1:])


def test_a_record_of_another_shape_is_refused_by_name() -> None:
    stream = native.Stream(BESIDE, POLICY)
    with pytest.raises(ValueError, match="1 values, the program has 2 fields"):
        stream.record((1,))
    with pytest.raises(TypeError, match="field age"):
        stream.record(("old", "red"))
    plain = build_program(
        [Channel(name="x", unit="g")], rate_hz=10.0, window_frames=4, hop_frames=2, features=["x:mean"]
    )
    with pytest.raises(ValueError, match="no features on fields"):
        native.Stream(plain, POLICY).record((1,))
