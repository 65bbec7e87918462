"""The promise of the courier, whatever broker and network do: every batch reaches the store, and leaves only then."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edge_runtime.transport import Courier, Letter, Message
from tests.sim.broker import DOWN, UP, SimLink, SimSpool, payload_of
from tests.sim.clock import SimClock
from tests.transport.mutants import MUTANTS, NeverLearns

EPOCH = 0xFEDCBA9876543210


@dataclass(frozen=True)
class Plan:
    """What is sealed when, and what goes wrong."""

    rows: list[int]
    up: list[str]
    down: list[str]
    cuts: list[tuple[float, float]]
    busy: list[bool]


PLANS = st.builds(
    Plan,
    rows=st.lists(st.integers(1, 64), min_size=1, max_size=30),
    up=st.lists(st.sampled_from(UP), max_size=60),
    down=st.lists(st.sampled_from(DOWN), max_size=60),
    cuts=st.lists(st.tuples(st.floats(0, 60), st.floats(0.01, 90)), max_size=4),
    busy=st.lists(st.booleans(), max_size=10),
)


class World:
    """A courier between a simulated spool and a simulated broker."""

    def __init__(self, kind: type[Courier] = Courier, plan: Plan | None = None, **options: int) -> None:
        plan = plan or Plan(rows=[], up=[], down=[], cuts=[], busy=[])
        self.clock = SimClock()
        self.link = SimLink(self.clock, site="x", device="d", up=plan.up, down=plan.down)
        self.spool = SimSpool(epoch=EPOCH, store=self.link.store, busy=iter(plan.busy))
        self.desired: list[bytes] = []
        self.courier = kind(
            self.link, self.spool, site="x", device="d",
            greeting=lambda: [Letter(topic="el/v1/x/d/birth", payload=b"{}", retain=True)],
            on_desired=self.desired.append, clock=self.clock, **options,
        )  # fmt: skip

    def step(self, n: int = 1) -> None:
        for _ in range(n):
            self.courier.step(0.2)

    def sent(self) -> list[bytes]:
        return [letter.payload for letter in self.link.seen if "/rec/" in letter.topic]


def check(kind: type[Courier], plan: Plan) -> None:
    """Run the plan, let it heal, and hold it against the promise."""
    world = World(kind, plan, max_batches=8)
    for at, for_s in plan.cuts:
        world.clock.at(at, lambda for_s=for_s: world.link.cut(for_s))  # type: ignore[misc]
    for n, rows in enumerate(plan.rows):
        world.spool.seal(rows)
        world.step(n % 4)
    for _ in range(40_000):
        world.step()
        if world.courier.is_drained() and world.clock() > 200:
            break
        assert world.courier._flight_bytes == sum(len(f.letter.payload) for f in world.courier._flights.values())
        assert len(world.courier._flights) <= 8
    assert world.spool.lost == [], "deleted before the store had it"
    assert world.spool.sealed <= world.link.store, "never reached the store"
    assert world.spool.batches == {}, "acknowledged, and still there"
    assert world.courier.is_drained()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLANS)
def test_every_batch_reaches_the_store_and_is_deleted_only_then(plan: Plan) -> None:
    check(Courier, plan)


@pytest.mark.planted
@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_property_catches(mutant: type[Courier]) -> None:
    @settings(max_examples=300, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck), report_multiple_bugs=False)  # fmt: skip
    @given(PLANS)
    def prop(plan: Plan) -> None:
        check(mutant, plan)

    with pytest.raises(AssertionError):
        prop()


def test_batches_go_out_in_order_and_within_both_caps() -> None:
    world = World(max_batches=4, max_bytes=10_000)
    world.link.cut(0.0)
    for _ in range(20):
        world.spool.seal(3)
    world.step()
    assert len(world.sent()) <= 4
    world.step(40)
    firsts = [int(payload.split()[1]) for payload in world.sent()]
    assert firsts == sorted(firsts)
    assert world.courier.is_drained()
    one = len(payload_of((EPOCH, 1, 3)))
    small = World(max_bytes=one + 1)
    small.spool.seal(3)
    small.spool.seal(3)
    small.step()
    assert len(small.sent()) == 1  # one may always fly, the second does not fit beside it
    small.step(5)
    assert small.courier.is_drained()


def test_nothing_is_sent_twice_where_all_goes_well() -> None:
    world = World()
    for _ in range(50):
        world.spool.seal(2)
        world.step()
    world.step(500)
    assert len(world.sent()) == 50


def test_a_lost_batch_waits_longer_each_time_and_a_reconnection_sends_it_at_once() -> None:
    world = World(plan=Plan(rows=[], up=["lost"] * 9, down=[], cuts=[], busy=[]))
    world.spool.seal(2)
    times = []
    for _ in range(2000):
        before = len(world.sent())
        world.step()
        if len(world.sent()) > before:
            times.append(world.clock())
    waits = [round(b - a) for a, b in pairwise(times)]
    assert waits[:4] == [20, 40, 80, 160]
    count = len(world.sent())
    world.link.cut(1.0)
    world.step(8)
    assert len(world.sent()) == count + 1


def test_an_ack_of_one_shortens_the_wait_of_the_others() -> None:
    world = World(plan=Plan(rows=[], up=["lost"] * 4, down=[], cuts=[], busy=[]))
    world.spool.seal(2)
    world.step(800)  # 160 s: sent at 0, 20, 60 and 140
    count = len(world.sent())
    world.spool.seal(2)
    world.step(110)
    assert world.courier.is_drained()
    assert len(world.sent()) == count + 2


def sent_to_a_slow_store(kind: type[Courier]) -> float:
    """How often each batch goes out where 90 s pass from batch to acknowledgement, and the first wait is 20 s."""
    world = World(kind)
    world.link.commit_after_s = 90.0
    for _ in range(300):
        world.spool.seal(2)
        world.step(5)
    world.step(2000)
    assert world.courier.is_drained()
    return len(world.sent()) / 300


def test_a_slow_store_is_not_given_each_batch_many_times() -> None:
    assert sent_to_a_slow_store(Courier) < 1.5


@pytest.mark.planted
def test_a_wait_that_learns_nothing_is_caught() -> None:
    assert sent_to_a_slow_store(NeverLearns) > 3


def test_a_slow_link_is_not_flooded_with_the_same_batches() -> None:
    world = World()
    world.link.queue = 1000
    world.spool.seal(2)
    world.link._arrive = lambda *_: None  # type: ignore[method-assign]  # the broker takes nothing, yet is there
    world.step(3000)
    assert len(world.sent()) == 1


def test_the_greeting_comes_first_on_each_connection_and_when_announced() -> None:
    world = World()
    world.spool.seal(1)
    world.step(3)
    world.link.cut(1.0)
    world.step(10)
    world.courier.announce()
    world.step()
    kinds = [letter.topic.split("/")[4] for letter in world.link.seen]
    assert kinds == ["birth", "rec", "birth", "birth"]


def test_desired_is_handed_on_and_noise_is_counted() -> None:
    world = World()
    world.link.deliver(Message(topic="el/v1/x/d/desired", payload=b"order"))
    world.link.deliver(Message(topic="el/v1/x/other/desired", payload=b"not ours"))
    world.link.deliver(Message(topic="el/v1/x/d/ack", payload=b"noise"))
    world.step()
    assert world.desired == [b"order"]
    assert world.courier.bad_messages == 2


def test_posts_are_bounded_and_dropped_while_there_is_no_link() -> None:
    world = World(max_posts=3)
    for n in range(5):
        world.courier.post(Letter(topic="el/v1/x/d/dec/s", payload=b"%d" % n, qos=0))
    assert world.courier.dropped_posts == 2
    world.step()
    assert [letter.payload for letter in world.link.seen][1:] == [b"0", b"1", b"2"]
    world.link.cut(99.0)
    world.courier.post(Letter(topic="el/v1/x/d/dec/s", payload=b"5", qos=0))
    world.step()
    assert world.courier.dropped_posts == 3


def test_acks_that_come_before_the_sending_after_a_restart_save_it() -> None:
    world = World()
    world.link.cut(99.0)
    for _ in range(3):
        world.spool.seal(2)
    for first in (1, 3, 5):
        world.link.store.add((EPOCH, first, first + 1))
    world.step(2)
    world.link._connect()
    world.link._ack(EPOCH, [(1, 2), (3, 4)])
    world.clock.advance(0.1)
    world.step()
    assert len(world.sent()) == 1
    world.step(3)
    assert world.courier.is_drained()
    assert world.spool.batches == {}
