"""A live source that fails comes back after 1, 2, 4 .. 60 s, and each reason is told once."""

from __future__ import annotations

import threading
from array import array
from dataclasses import dataclass, field

import pytest

from edge_runtime.daemon.steady import SteadySource
from edge_runtime.errors import ContractError, TransportError, UsageError
from edge_runtime.sources import Source
from tests.sim.clock import SimClock

Act = int | Exception


@dataclass
class Flaky:
    """Gives what the list says: a number of frames, or an error."""

    acts: list[Act]
    closed: int = 0
    channels: tuple[str, ...] = ("x",)
    rate_hz: float = 1.0
    counts: dict[str, int] = field(default_factory=lambda: {"malformed": 2})

    def read(self, out: memoryview) -> int:
        act = self.acts.pop(0)
        if isinstance(act, Exception):
            raise act
        return act

    def seek(self, frame: int) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


class Halt(threading.Event):
    """Waiting moves the clock; `after` waits it is set."""

    def __init__(self, clock: SimClock, after: int = 10**9) -> None:
        super().__init__()
        self.clock, self.after, self.waits = clock, after, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.clock.advance(timeout)
        if len(self.waits) >= self.after:
            self.set()
        return self.is_set()


@dataclass
class Bench:
    """A steady source whose opener takes from `made`: sources, or errors."""

    made: list[Flaky | Exception]
    is_live: bool = True
    after: int = 10**9
    told: list[str] = field(default_factory=list)
    opened: list[Flaky] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SimClock()
        self.halt = Halt(self.clock, self.after)
        self.source = SteadySource(
            self.open,
            is_live=self.is_live,
            halt=self.halt,
            on_fault=lambda error, wait_s: self.told.append(f"{error} {wait_s:g}"),
            on_return=lambda: self.told.append("back"),
            clock=self.clock,
        )

    def open(self) -> Source:
        made = self.made.pop(0)
        if isinstance(made, Exception):
            raise made
        self.opened.append(made)
        return made

    def read(self) -> int:
        return self.source.read(memoryview(array("f", [0])))


GONE = TransportError("unplugged")


def test_a_source_that_fails_is_opened_anew() -> None:
    bench = Bench([Flaky([1, GONE]), Flaky([1, 0])])
    assert [bench.read(), bench.read(), bench.read()] == [1, 1, 0]
    assert bench.told == ["unplugged 1", "back"]
    assert [one.closed for one in bench.opened] == [1, 0]
    assert bench.source.counts == {"malformed": 4}, "of both"


def test_the_waits_double_to_a_minute_and_one_reason_is_told_once() -> None:
    bench = Bench([Flaky([GONE]), *[TransportError("still away")] * 9, Flaky([1])])
    assert bench.read() == 1
    assert bench.halt.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert bench.told == ["unplugged 1", "still away 2", "back"]


def test_a_stop_while_it_is_opened_is_not_missed() -> None:
    bench, late = Bench([Flaky([GONE])]), Flaky([1])

    def open_late() -> Source:
        bench.halt.set()
        bench.source.stop()  # there is no source yet that it could stop
        return late

    bench.source._open = open_late
    assert bench.read() == 0
    assert late.acts == [1], "a source that has nothing would have blocked for ever"
    assert bench.told == ["unplugged 1"]


class Stubborn(Flaky):
    """A source of the user's own, which fails where it is let go as well."""

    def stop(self) -> None:
        raise ZeroDivisionError

    def close(self) -> None:
        super().close()
        raise ZeroDivisionError


def test_a_source_that_fails_when_it_is_let_go_stops_nothing() -> None:
    bench = Bench([Stubborn([1, GONE]), Stubborn([1])])
    assert [bench.read(), bench.read()] == [1, 1]
    assert bench.told == ["unplugged 1", "back"]
    bench.halt.set()
    bench.source.stop()
    bench.source.close()
    assert [one.closed for one in bench.opened] == [1, 1]


def test_a_source_that_lived_for_a_minute_begins_with_one_second_again() -> None:
    bench = Bench([Flaky([1, GONE]), Flaky([1, GONE]), Flaky([1, GONE]), Flaky([1])])
    bench.read()
    assert bench.read() == 1
    bench.clock.advance(61)
    assert bench.read() == 1
    assert bench.read() == 1
    assert bench.halt.waits == [1, 1, 2], "the third failed at once"
    assert bench.told == ["unplugged 1", "back", "unplugged 1", "back", "back"]


def test_one_that_is_not_there_at_the_start_is_waited_for() -> None:
    bench = Bench([GONE, Flaky([1])])
    assert bench.read() == 1
    assert bench.told == ["unplugged 1", "back"]


def test_what_cannot_be_as_configured_is_refused_at_the_start() -> None:
    for error in (UsageError("no such option"), ContractError("no such channel")):
        with pytest.raises(type(error)):
            Bench([error])
    with pytest.raises(TransportError):
        Bench([GONE], is_live=False)


def test_a_recording_that_breaks_is_not_played_again() -> None:
    bench = Bench([Flaky([1, ContractError("line 7")])], is_live=False)
    assert bench.read() == 1
    with pytest.raises(ContractError, match="line 7"):
        bench.read()


def test_a_stop_ends_the_waiting() -> None:
    bench = Bench([Flaky([GONE]), *[GONE] * 9], after=3)
    assert bench.read() == 0
    assert len(bench.halt.waits) == 3
    bench.source.stop()
    bench.source.close()
    bench.source.close()


def test_an_error_of_any_kind_of_a_users_own_source_is_one() -> None:
    bench = Bench([Flaky([ZeroDivisionError("oops")]), Flaky([1])])
    assert bench.read() == 1
    assert bench.told == ["oops 1", "back"]


def test_one_that_is_not_there_when_a_bundle_wants_it_anew_is_waited_for() -> None:
    bench = Bench([Flaky([1]), GONE, Flaky([1])])
    bench.read()
    bench.source.reopen()
    assert bench.opened[0].closed == 1
    assert bench.read() == 1
    assert bench.told == ["unplugged 1", "back"]
    bench.made = [ContractError("no such channel")]
    with pytest.raises(ContractError):
        bench.source.reopen()


@pytest.mark.planted
def test_a_source_that_forgets_its_failures_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: every failure is the first, so a dead device is tried every second for ever."""
    wait = SteadySource._wait

    def forgetful(self: SteadySource, error: Exception) -> None:
        self._failures = 0
        wait(self, error)

    monkeypatch.setattr(SteadySource, "_wait", forgetful)
    with pytest.raises(AssertionError):
        test_the_waits_double_to_a_minute_and_one_reason_is_told_once()
