"""The detector's two numbers: how often it alarms in a steady world, and how soon in one that changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.drift import detector
from cloud_trainer.drift.detector import Array, Reference, Rule, State
from cloud_trainer.drift.periods import counts_of, lag1_of
from edge_runtime.contract.baseline import Bins
from tests.drift import mutants
from tests.drift.world import World, baseline, bins, period

RULE = Rule()
LOG_A = np.log(RULE.alarm_periods)
Step = Callable[..., State]


def run(
    world: World, rng: np.random.Generator, *, runs: int, periods: int, n: int, shares: Array | None = None,
    after: int = 0, ref: Reference | None = None, step: Step = detector.step,
) -> tuple[Array, State]:  # fmt: skip
    """Log of the mean M [periods, runs]; `shares` hold from period `after` on, the world's own before."""
    ref = ref or detector.reference(world.stratum, RULE)
    state = detector.start(ref, RULE, shape=(runs,))
    own = world.shares()
    none = np.full((runs, len(own)), np.nan)
    out = np.empty((periods, runs))
    for t in range(periods):
        p = own if shares is None or t < after else shares
        counts = rng.multinomial(n, p / p.sum(axis=1, keepdims=True), size=(runs, len(p))).astype(np.float64)
        state = step(ref, RULE, state, counts=counts, lag1=none)
        out[t] = detector.log_mean(state.log_m)
    return out, state


def of(*some: Bins) -> Reference:
    """The reference of features, the last of them a score."""
    return detector.reference(baseline(some[:-1] or some, some[-1:]).strata[0], RULE)


@pytest.mark.parametrize(("n", "n_base"), [(50, 300), (50, 2000), (200, 2000)])
def test_steady_worlds_raise_no_alarm_more_often_than_promised(n: int, n_base: int) -> None:
    """20 features, 2,000 periods, 8 runs over 2 baselines: 23 % could alarm by the promise (2000 / 8760)."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(2):
        log_m, _ = run(World.make(rng, n_base=n_base), rng, runs=4, periods=2000, n=n)
        alarms += int((log_m.max(axis=0) > LOG_A).sum())
    assert alarms <= 1


@pytest.mark.planted
@pytest.mark.parametrize("wrong", [mutants.believes_the_baseline, mutants.peeks])
def test_the_naive_variants_do_not_keep_the_promise(wrong: object) -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(4):
        world = World.make(rng)
        ref = detector.reference(world.stratum, RULE)
        if wrong is mutants.peeks:
            free = mutants.believes_the_baseline(ref)
            log_m, _ = run(world, rng, runs=2, periods=500, n=200, ref=free, step=mutants.peeks)
        else:
            log_m, _ = run(world, rng, runs=2, periods=500, n=200, ref=mutants.believes_the_baseline(ref))
        alarms += int((log_m.max(axis=0) > LOG_A).sum())
    assert alarms >= 4


@pytest.mark.parametrize(
    ("shift", "only", "n", "median_at_most"),
    [(0.5, 1, 50, 16), (0.5, 20, 50, 9), (1.0, 1, 50, 6), (1.0, 20, 50, 3),
     (0.5, 1, 200, 6), (0.5, 20, 200, 4), (1.0, 1, 200, 3), (1.0, 20, 200, 2)],
)  # fmt: skip
def test_a_shift_is_seen_within_a_few_periods(shift: float, only: int, n: int, median_at_most: int) -> None:
    rng = np.random.default_rng(7)
    world = World.make(rng)
    log_m, _ = run(world, rng, runs=10, periods=60, n=n, shares=world.shares(shift=shift, only=only), after=20)
    assert not (log_m[:20] > LOG_A).any()
    delays = [int(np.argmax(above)) + 1 if above.any() else 99 for above in (log_m[20:] > LOG_A).T]
    assert np.median(delays) <= median_at_most


@pytest.mark.planted
def test_naming_in_a_steady_world_is_rare_and_e_bh_on_sums_is_not() -> None:
    rng = np.random.default_rng(9)
    _, state = run(World.make(rng), rng, runs=20, periods=1000, n=50)
    right = [detector.e_bh(row, RULE.discovery_rate) for row in detector.log_fixed_start(state)]
    assert sum(bool(named) for named in right) <= 1
    # A fair bet of exactly nothing: e = 1 each period. The sum is then the number of periods.
    idle = np.log(np.full(20, 1000.0))
    assert mutants.names_on_sums(idle, RULE.discovery_rate) == tuple(range(20))


def test_the_changed_features_are_named_and_no_others() -> None:
    rng = np.random.default_rng(11)
    world = World.make(rng)
    _, state = run(world, rng, runs=5, periods=60, n=200, shares=world.shares(shift=1.0, only=3), after=30)
    for row in detector.log_fixed_start(state):
        assert detector.e_bh(row, RULE.discovery_rate) == (0, 1, 2)


def test_a_constant_feature_is_steady_and_its_move_is_an_alarm() -> None:
    ref = of(bins(np.full(2000, 3.0)))
    state = detector.start(ref, RULE)
    same, moved = np.zeros(ref.p.shape), np.zeros(ref.p.shape)
    same[0, 1] = moved[0, 0] = 50
    none = np.full(len(ref.p), np.nan)
    for _ in range(2000):
        state = detector.step(ref, RULE, state, counts=same, lag1=none)
        assert state.log_m[0] < np.log(RULE.watch_periods)
    for _ in range(3):
        state = detector.step(ref, RULE, state, counts=moved, lag1=none)
    assert state.log_m[0] > LOG_A


@given(st.lists(st.integers(0, 1000), min_size=13, max_size=13), st.integers(0, 3))
def test_any_counts_give_finite_numbers(counts: list[int], empty: int) -> None:
    some = bins(np.random.default_rng(1).normal(size=60))
    hollow = type(some)(name="g", edges=some.edges, counts=(0,) * len(some.counts), n_nan=0, centre=0.0, scale=1.0,
                        lag1=1.0)  # fmt: skip
    ref = of(some, hollow)
    state = detector.start(ref, RULE)
    period = np.array([counts, counts, counts[:2] + 11 * [0]], dtype=np.float64)
    period[:, :empty] = 0
    for _ in range(3):
        state = detector.step(ref, RULE, state, counts=period, lag1=np.array([np.nan, 0.5, np.nan]))
    assert np.isfinite(state.log_m).all()
    assert np.isfinite(detector.log_fixed_start(state)).all()


@pytest.mark.planted
def test_autocorrelated_windows_count_for_less() -> None:
    """AR(1) with 0.9: the promise holds with the baseline's lag1, and breaks where every window counts in full."""
    rng = np.random.default_rng(3)

    def series(n: int) -> Array:
        noise, x = rng.normal(size=(5, n)) * np.sqrt(1 - 0.9**2), np.zeros((5, n))
        for t in range(1, n):
            x[:, t] = 0.9 * x[:, t - 1] + noise[:, t]
        return x

    features = [bins(x, f"f{i}", lag1=0.9) for i, x in enumerate(series(20_000))]
    right = of(*features)
    wrong = mutants.counts_every_window(right)
    tops = {}
    for name, ref in (("right", right), ("wrong", wrong)):
        state, top = detector.start(ref, RULE), -np.inf
        for t in range(300):
            one = period(series(60), features, number=t)
            lag1 = lag1_of([one])[0] if name == "right" else np.full(6, np.nan)
            state = detector.step(ref, RULE, state, counts=counts_of([one], ref.p.shape[-1])[0], lag1=lag1)
            top = max(top, float(detector.log_mean(state.log_m)))
        tops[name] = top
    assert tops["right"] < LOG_A < tops["wrong"]


def test_the_bet_is_fixed_before_the_period_is_seen() -> None:
    """Same past, two different periods: the number added to log M is linear in the counts."""
    rng = np.random.default_rng(2)
    world = World.make(rng, n_features=1)
    ref = detector.reference(world.stratum, RULE)
    state = detector.step(
        ref, RULE, detector.start(ref, RULE), counts=100 * ref.p[::-1], lag1=np.array([0.3, 0.1, 0.1])
    )
    a, b = rng.integers(0, 20, size=(2, *ref.p.shape)).astype(np.float64)
    none = np.full(3, np.nan)
    one, two, both = (detector.step(ref, RULE, state, counts=c, lag1=none).log_e for c in (a, b, a + b))
    assert np.allclose(one + two, both)


def test_e_bh_by_hand() -> None:
    assert detector.e_bh(np.log([100.0, 1.0, 45.0, 2.0]), 0.05) == (0, 2)
    assert detector.e_bh(np.log([79.0, 1.0, 1.0, 1.0]), 0.05) == ()
    assert detector.e_bh(np.log([81.0, 1.0, 1.0, 1.0]), 0.05) == (0,)


def test_the_onset_is_the_best_start_of_the_run() -> None:
    assert detector.onset(np.array([-1.0, 2.0, -3.0, 1.0, 4.0])) == 3
    assert detector.onset(np.array([5.0, -1.0, 4.0])) == 0
