"""A run that does not end is ended; one that is quick never is, and nothing wakes a device that rests."""

from __future__ import annotations

import gc
import time
from array import array
from threading import Event

import numpy as np
import pytest

from edge_runtime.engines import OrtEngine
from edge_runtime.engines.onnx import inspect_model
from edge_runtime.engines.watchdog import Watchdog
from edge_runtime.errors import BudgetError, ContractError
from tests.engines.onnx.attacks import loop
from tests.engines.onnx.models import GOOD

ROW = memoryview(array("f", [1.0, 2.0, 3.0, 4.0]))
PATIENCE_S = 20.0  # of a machine that is busy


def test_quick_runs_are_never_ended_however_many() -> None:
    engine = OrtEngine(GOOD["tree 3"](), n_features=4, n_scores=4, run_limit_s=0.5)
    want, until = engine.scores(ROW), time.monotonic() + 1.2
    while time.monotonic() < until:
        assert engine.scores(ROW) == want


def test_a_late_run_is_told_of_and_the_next_one_is_not() -> None:
    watchdog, late, quick = Watchdog(0.01), Event(), Event()
    watchdog.begin(late.set)
    assert late.wait(PATIENCE_S)
    assert watchdog.end()
    watchdog.begin(quick.set, times=10_000)
    assert not watchdog.end()
    assert not quick.is_set()
    watchdog.begin((late := Event()).set)
    assert late.wait(PATIENCE_S)
    watchdog.close()


def test_a_batch_has_the_limit_of_its_rows() -> None:
    watchdog, batch, row = Watchdog(0.01), Event(), Event()
    watchdog.begin(batch.set, times=1_000_000)
    watchdog.end()
    watchdog.begin(row.set)  # begins while the thread could still sleep for the batch
    assert row.wait(PATIENCE_S)
    assert not batch.is_set()
    watchdog.close()


def test_the_thread_sleeps_while_nothing_runs_and_wakes_for_a_run() -> None:
    watchdog, woken = Watchdog(0.01), Event()
    watchdog.begin(Event().set)
    watchdog.end()
    wait_until_asleep(watchdog)
    watchdog.begin(woken.set)
    assert woken.wait(PATIENCE_S)
    watchdog.close()


def wait_until_asleep(watchdog: Watchdog) -> None:
    until = time.monotonic() + PATIENCE_S
    while not watchdog._is_asleep and time.monotonic() < until:
        Event().wait(0.001)
    assert watchdog._is_asleep


def test_runs_that_follow_one_another_wake_the_thread_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To wake it costs more than a run: it stays up while there are some, though none runs when it looks."""
    watchdog = Watchdog(0.01)
    notified: list[None] = []
    watchdog.begin(Event().set)
    watchdog.end()
    wait_until_asleep(watchdog)
    watchdog.limit_s = 60.0
    notify = watchdog._wake.notify
    monkeypatch.setattr(watchdog._wake, "notify", lambda: notified.append(notify()))
    for _ in range(50):
        watchdog.begin(Event().set)
        watchdog.end()
        Event().wait(0.001)
    assert len(notified) == 1
    watchdog.close()


def test_the_thread_ends_with_its_engine() -> None:
    engine = OrtEngine(GOOD["tree 3"](), n_features=4, n_scores=4)
    engine.scores(ROW)
    thread = engine._watchdog._thread
    assert thread is not None
    assert thread.is_alive()
    del engine
    gc.collect()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("nan")])
def test_a_limit_of_nothing_is_an_argument_mistake(limit_s: float) -> None:
    with pytest.raises(ValueError, match="is not above 0"):
        Watchdog(limit_s)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> OrtEngine:
    """A Loop without end, past an inspection that would have refused it."""
    with pytest.raises(ContractError, match="not allowed"):
        inspect_model(loop(), n_features=4, n_scores=4)
    monkeypatch.setattr("edge_runtime.engines.onnx.inspect_model", lambda *_, **__: None)
    return OrtEngine(loop(), n_features=4, n_scores=4, run_limit_s=0.05)


def test_a_run_that_does_not_end_is_ended(endless: OrtEngine) -> None:
    for _ in range(2):  # the flag of the first run does not end the second
        began = time.monotonic()
        with pytest.raises(BudgetError, match=r"a run took over 0\.05 s a row, the limit, and was ended") as caught:
            endless.scores(ROW)
        assert 0.05 <= time.monotonic() - began < PATIENCE_S
        assert caught.value.hint


def test_a_batch_that_does_not_end_is_ended_too(endless: OrtEngine) -> None:
    rows = np.ones((2, 4), np.float32)
    for _ in range(2):
        with pytest.raises(BudgetError, match=r"a run took over 0\.05 s a row"):
            endless.scores_batch(rows)
