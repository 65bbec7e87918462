"""The promises of the sampler: unbiased, bounded, resumable, and out only at the end of a period."""

from __future__ import annotations

import math
import tracemalloc
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.records import FAULT
from edge_runtime.errors import ContractError
from edge_runtime.sampling import APART, Sampled, Sampler, weigh

FEATURES = memoryview(array("f", [1.5, -2.0]))
SCORES = memoryview(array("d", [0.75, 0.25]))


def make(k: int = 8, *, stream: str = "a", epoch: int = 7, n_labels: int = 3) -> Sampler:
    return Sampler(k, epoch=epoch, stream=stream, n_labels=n_labels)


def label_of(window: int) -> int:
    return (window % 7 == 0) + (window % 50 == 0)


def is_hard(window: int) -> bool:
    """The model is unsure of it."""
    return window * 37 % 101 < 30


def offer(
    sampler: Sampler, window: int, *, label: int | None = None, margin: float | None = None, apart: int | None = None
) -> None:
    label = label_of(window) if label is None else label
    margin = (window * 37 % 101) / 101 if margin is None else margin
    sampler.offer(
        window, label, vote=label, margin=margin, time_ms=1000 * window, latency_us=12,
        features=FEATURES, scores=SCORES, apart=apart,
    )  # fmt: skip


def run(sampler: Sampler, windows: range, period: int = 0) -> list[Sampled]:
    for window in windows:
        offer(sampler, window)
    return sampler.finish(period)


def test_few_windows_are_all_kept_with_certainty() -> None:
    kept = run(make(8), range(8))
    assert [record.window for record in kept] == list(range(8))
    assert {record.probability for record in kept} == {1.0}
    assert kept[0].features == FEATURES.tobytes()
    assert kept[0].scores == array("f", [0.75, 0.25]).tobytes()


def test_horvitz_thompson_totals_are_unbiased_and_those_without_weights_are_not() -> None:
    """Faults are kept apart, more of them than there is room for; 3,000 seeds."""
    n, k, draws = 120, 12, 3000
    truth = {
        "windows": n,
        "label 1": sum(label_of(window) == 1 for window in range(n)),
        "value": sum(window % 13 for window in range(n)),
    }
    truth["faults"] = len(range(3, n, 10))
    estimates: dict[str, list[float]] = {name: [] for name in truth}
    shares: list[float] = []
    for seed in range(draws):
        sampler = make(k, stream=f"s{seed}")
        for window in range(n):
            offer(sampler, window, apart=FAULT if window % 10 == 3 else None)
        kept = sampler.finish(0)
        apart = [r.window for r in kept if r.reason == FAULT]
        assert apart == [*range(3, 10 * APART, 10)]
        assert len(kept) == k + APART
        assert all(r.probability == 1.0 for r in kept if r.reason == FAULT)
        estimates["faults"].append(sum(1 / r.probability for r in kept if r.window % 10 == 3))
        shares.append(sum(is_hard(r.window) for r in kept) / len(kept))
        estimates["windows"].append(sum(1 / r.probability for r in kept))
        estimates["label 1"].append(sum(1 / r.probability for r in kept if r.label == 1))
        estimates["value"].append(sum(r.window % 13 / r.probability for r in kept))
    for name, want in truth.items():
        mean = sum(estimates[name]) / draws
        error = math.sqrt(sum((x - mean) ** 2 for x in estimates[name]) / (draws - 1) / draws)
        assert abs(mean - want) <= 3 * error, f"{name}: {mean:.2f} is not {want} +- {3 * error:.2f}"
        assert error < 0.05 * want, f"{name}: the test could not tell a bias of 15 %"
    mean = sum(shares) / draws
    error = math.sqrt(sum((x - mean) ** 2 for x in shares) / (draws - 1) / draws)
    assert mean - sum(map(is_hard, range(n))) / n > 20 * error, "without weights the hard look more than they are"


def test_hard_and_rare_windows_come_first() -> None:
    counts = {"hard": 0, "rare": 0}
    for seed in range(60):
        sampler = make(10, stream=f"s{seed}")
        for window in range(200):
            offer(sampler, window, label=int(window % 40 == 3), margin=0.0 if window % 20 == 0 else 0.95)
        kept = sampler.finish(0)
        counts["hard"] += sum(record.window % 20 == 0 for record in kept)
        counts["rare"] += sum(record.label == 1 for record in kept)
        assert {r.reason for r in kept if r.window % 20 == 0} <= {2}
    assert counts["hard"] > 3 * 60 * 10 / 20  # three times their share
    assert counts["rare"] > 2 * 60 * 10 / 40


@given(st.floats(allow_nan=False), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(2, 65))
def test_a_weight_has_a_floor_and_a_cap(margin: float, of_label: int, more: int, classes: int) -> None:
    weight, reason = weigh(margin, n_of_label=of_label, n_total=of_label + more, n_classes=classes)
    assert 1.0 <= weight <= 12.0
    assert reason in (0, 1, 2)


@given(cut=st.integers(0, 120), k=st.integers(1, 12))
def test_a_restart_inside_a_period_gives_the_same_records(cut: int, k: int) -> None:
    straight, first, second = make(k), make(k), make(k)
    for window in range(120):
        offer(straight, window, apart=FAULT if window % 9 == 4 else None)
    for window in range(cut):
        offer(first, window, apart=FAULT if window % 9 == 4 else None)
    second.restore(first.save())
    for window in range(cut, 120):
        offer(second, window, apart=FAULT if window % 9 == 4 else None)
    assert second.finish(0) == straight.finish(0)
    assert run(second, range(120, 200), 1) == run(straight, range(120, 200), 1)


def test_a_window_made_again_is_chosen_again() -> None:
    first, again = run(make(5), range(500, 700)), run(make(5), range(500, 700))
    assert first == again
    assert [r.window for r in run(make(5, stream="b"), range(500, 700))] != [r.window for r in first]


def test_memory_is_bounded_by_k() -> None:
    sampler = make(16)
    for window in range(100):
        offer(sampler, window)
    size = len(sampler.save())
    tracemalloc.start()
    for window in range(100, 4000):
        offer(sampler, window)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sampler.save()) == size
    assert grown < 16 * 1024


def test_a_period_is_finished_once_and_the_next_starts_empty() -> None:
    sampler = make(4)
    assert len(run(sampler, range(10), 3)) == 4
    with pytest.raises(ValueError, match="already finished"):
        sampler.finish(3)
    assert sampler.finish(4) == []
    assert [r.probability for r in run(sampler, range(2), 5)] == [1.0, 1.0]


def test_a_foreign_or_cut_state_is_refused_and_changes_nothing() -> None:
    sampler = make(4)
    for window in range(10):
        offer(sampler, window)
    before = sampler.save()
    for other in (make(5), make(4, stream="b"), make(4, n_labels=4)):
        with pytest.raises(ContractError, match="do not fit"):
            other.restore(before)
    for cut in range(len(before)):
        with pytest.raises(ContractError):
            sampler.restore(before[:cut])
    assert sampler.save() == before


def test_a_period_goes_on_under_a_new_epoch() -> None:
    sampler, other = make(4), make(4, epoch=8)
    for window in range(10):
        offer(sampler, window)
    other.restore(sampler.save())
    assert other.finish(0) == sampler.finish(0)


def test_abstain_is_a_class_of_its_own() -> None:
    sampler = make(4)
    offer(sampler, 1, label=-1, margin=0.0)
    (record,) = sampler.finish(0)
    assert (record.label, record.vote) == (-1, -1)


@pytest.mark.parametrize(("k", "n_labels"), [(0, 1), (65537, 1), (1, 0)])
def test_a_bad_size_is_refused(k: int, n_labels: int) -> None:
    with pytest.raises(ValueError, match="is"):
        make(k, n_labels=n_labels)
