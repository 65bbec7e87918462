"""The stream's face: what it takes, refuses, saves and costs."""

from __future__ import annotations

import gc
import subprocess
import sys
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Program
from edge_runtime.errors import ContractError
from tests.native.small import bins, pass_through, stump_forest

POLICY = Policy(thresholds_ppm=(500_000, 500_000), k=2, n=3, hold_windows=2)
ROWS = [bins("c0", (-1.0, 0.0, 1.0)), bins("c1", (-1.0, 1.0)), bins("a", (0.0, 1.0)), bins("b", (0.0, 1.0))]
FRAMES = memoryview(array("f", np.random.default_rng(1).standard_normal(400).astype(np.float32)))


def make(*, seed: int = 0, window: int = 8, hop: int = 3, policy: Policy = POLICY) -> native.Stream:
    return native.Stream(
        pass_through(2, window=window, hop=hop), policy, model=stump_forest(2, 2, seed=seed), bins=ROWS
    )


def play(stream: native.Stream, start: int, end: int) -> list[native.Decision]:
    out = []
    while start < end:
        start += stream.step(FRAMES, start, end - start)
        if stream.status == "decision":
            out.append(stream.decision)
    return out


def test_importing_the_core_does_not_import_numpy() -> None:
    code = "import sys, edge_runtime.native; print(sorted({'numpy', 'cloud_trainer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_forest_inside_gives_the_scores_of_the_forest_outside() -> None:
    stream, forest = make(), native.Model(stump_forest(2, 2))
    for decision in play(stream, 0, 100):
        assert decision.flags == 0
    assert tuple(stream.scores) == forest.scores(stream.features)


def test_a_nan_feature_is_decided_without_the_model() -> None:
    """Abstain, flag, NaN scores; an outside engine is not asked."""
    for stream in (make(), native.Stream(pass_through(2, window=8, hop=3), POLICY)):
        frames = array("f", [0.0] * 16)
        frames[5] = float("nan")
        assert stream.step(frames, 0, 8) == 8
        assert stream.status == "decision"
        assert stream.decision == native.Decision(0, -1, -1, 0.0, 1)
        assert np.isnan(stream.scores).all()


def test_calls_out_of_turn_and_out_of_range_are_refused() -> None:
    stream = native.Stream(pass_through(2, window=2, hop=1), POLICY)
    with pytest.raises(ValueError, match="no window waits"):
        stream.decide((0.5, 0.5))
    for start, n in ((-1, 1), (0, 201), (200, 1), (0, -1)):
        with pytest.raises(ValueError, match=r"outside the buffer's 0\.\.200"):
            stream.step(FRAMES, start, n)
    stream.step(FRAMES, 0, 2)
    for call in (lambda: stream.step(FRAMES, 2, 1), stream.save, lambda: stream.decide((0.5,))):
        with pytest.raises(ValueError, match="scores"):
            call()
    assert stream.decide([0.9, 0.1]).vote == 0


def test_a_buffer_is_read_anew_at_every_step() -> None:
    """Bound once, not copied: sources refill one block."""
    stream = native.Stream(pass_through(window=2, hop=2), Policy(thresholds_ppm=(0,)))
    block = array("f", [1.0, 2.0])
    view = memoryview(block)
    for value in (3.0, 4.0):
        block[0] = value
        stream.step(view, 0, 2)
        stream.decide((1.0,))
        assert stream.features[0] == value


def test_live_views_keep_the_memory_and_cannot_be_written() -> None:
    stream = make()
    play(stream, 0, 20)
    view, want = stream.features, bytes(stream.features)
    with pytest.raises(TypeError):
        view[0] = 1.0
    del stream
    gc.collect()
    assert bytes(view) == want


def test_state_is_counted_before_it_is_made() -> None:
    program = pass_through(2, window=8, hop=3)
    assert make().nbytes == native.state_bytes(program, POLICY, bins=ROWS)
    assert 0 < native.state_bytes(program) < make().nbytes < 4096


def test_saved_and_restored_it_goes_on_bit_for_bit() -> None:
    one, two, three = make(), make(), make()
    want = play(one, 0, 200)
    before = play(two, 0, 77)
    three.restore(two.save())
    assert before + play(three, 77, 200) == want
    assert three.summary() == one.summary()
    assert three.save() == one.save()


def test_a_state_of_another_shape_is_refused() -> None:
    saved = make().save()
    others = [
        make(window=9),
        make(hop=4),
        make(policy=Policy(thresholds_ppm=(500_000, 500_001), k=2, n=3, hold_windows=2)),
        native.Stream(pass_through(2, window=8, hop=3), POLICY, model=stump_forest(2, 2)),
        native.Stream(pass_through(2, window=8, hop=3), POLICY, bins=ROWS),
    ]
    for other in others:
        with pytest.raises(ContractError, match="do not have one shape"):
            other.restore(saved)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_one_flipped_bit_of_a_saved_state_is_refused_and_changes_nothing(at: float, bit: int) -> None:
    """Bytes with a matching checksum are tried under UBSan in csrc/tests/test_stream.c."""
    stream = make()
    play(stream, 0, 77)
    saved = stream.save()
    bad = bytearray(saved)
    bad[int(at * len(bad))] ^= 1 << bit
    with pytest.raises(ContractError):
        stream.restore(bytes(bad))
    assert stream.save() == saved


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_bytes_do_anything_but_refuse(data: bytes) -> None:
    with pytest.raises(ContractError):
        make().restore(data)


def test_adopt_goes_on_with_the_next_window_and_empty_counts() -> None:
    old, new = make(), make(seed=8)
    before = play(old, 0, 77)
    new.adopt(old)
    assert (new.frames, new.windows) == (77, len(before))
    assert new.summary()[1] == (0, 0, 0)
    assert [d.window for d in play(new, 77, 200)] == list(range(len(before), (200 - 8) // 3 + 1))


def test_adopt_names_what_differs() -> None:
    old = make()
    channels = (Channel(name="c0", unit="x"), Channel(name="c1", unit="x", scale=2.0))
    base = pass_through(2, window=8, hop=3)
    scaled = Program(rate_hz=20.0, channels=channels, window_frames=8, hop_frames=3, features=base.features)
    with pytest.raises(ContractError, match="window_frames was 8, is 9"):
        make(window=9).adopt(old)
    with pytest.raises(ContractError, match=r"channel c1 was raw \* 1.0 \+ 0.0, c1 is raw \* 2.0"):
        native.Stream(scaled, POLICY).adopt(old)
    with pytest.raises(ValueError, match="is this one"):
        old.adopt(old)


def test_parts_that_do_not_fit_are_refused() -> None:
    program = pass_through(2, window=8, hop=3)
    with pytest.raises(ContractError, match="model: 3 features and 2 outputs, the program has 2"):
        native.Stream(program, POLICY, model=stump_forest(3, 2))
    with pytest.raises(ContractError, match="3 bins, want 4"):
        native.Stream(program, POLICY, bins=ROWS[:3])
