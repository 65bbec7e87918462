"""Made-up fleets of which one thing changes, for triage: a thermometer, an accelerometer and a text field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cloud_trainer.drift import conversion, triage
from cloud_trainer.drift.detector import Rule
from cloud_trainer.drift.periods import Period
from cloud_trainer.drift.verdict import Verdict, judge_model
from tests.drift.world import Array, baseline, bins, period

NAMES = ("temp.mean", "temp.std", "acc.rms", "mode.unknown", "score")
DEVICES, PERIODS, WINDOWS, N_BASE = 8, 40, 100, 3000
Change = Callable[[Array, np.random.Generator], None]  # of the rows above, in place


def values(rng: np.random.Generator, n: int) -> Array:
    """[5, n] of a steady world; temperature in C."""
    return np.stack([
        rng.normal(40, 5, n), rng.gamma(9.0, 0.2, n), rng.lognormal(0.0, 0.3, n), np.zeros(n), rng.beta(5, 2, n),
    ])  # fmt: skip


def drawn_sick(rng: np.random.Generator) -> Change:
    kind, by = rng.integers(3), rng.uniform(1, 3) * rng.choice([-1, 1])

    def change(x: Array, rng: np.random.Generator) -> None:
        if kind == 0:  # an offset
            x[0] += 5 * by
        elif kind == 1:  # stuck
            x[0], x[1] = 40.0 + by, 0.0
        else:  # noise
            x[2] *= rng.lognormal(0.5, 0.8, x.shape[1])

    return change


def drawn_conversion(rng: np.random.Generator) -> Change:
    pairs = [*conversion.CONVERSIONS.values()]
    factor, added = pairs[rng.integers(len(pairs))]

    def change(x: Array, _: np.random.Generator) -> None:
        x[0] = factor * x[0] + added
        x[1] *= factor

    return change


def drawn_category(rng: np.random.Generator) -> Change:
    share = rng.uniform(0.1, 0.6)

    def change(x: Array, rng: np.random.Generator) -> None:
        x[3] = rng.random(x.shape[1]) < share

    return change


def drawn_move(rng: np.random.Generator) -> Change:
    by = rng.uniform(0.5, 1.5, 3) * rng.choice([-1, 1], 3) * (rng.permutation(3) < rng.integers(1, 4))

    def change(x: Array, _: np.random.Generator) -> None:
        x[0] += 5 * by[0]
        x[1] += 0.6 * by[1]
        x[2] *= np.exp(0.3 * by[2])

    return change


@dataclass(frozen=True)
class Story:
    """What changes, on how many devices, and whether a release did it."""

    change: Callable[[np.random.Generator], Change]
    devices: tuple[int, ...]  # how many of DEVICES, one of these
    release: bool = False


STORIES = {
    triage.SICK_SENSOR: Story(drawn_sick, (1, 2)),
    triage.UNIT_CHANGE: Story(drawn_conversion, (1, 3, DEVICES)),
    triage.NEW_CATEGORY: Story(drawn_category, (1, 4, DEVICES)),
    triage.BAD_RELEASE: Story(drawn_move, (DEVICES,), release=True),
    triage.MOVED_WORLD: Story(drawn_move, (DEVICES - 1, DEVICES)),
}


def told(cause: str, seed: int) -> list[Verdict]:
    """The verdicts on a fleet to which this happens."""
    rng = np.random.default_rng(seed)
    story = STORIES[cause]
    some = [bins(x, name) for x, name in zip(values(rng, N_BASE), NAMES, strict=True)]
    change, touched = story.change(rng), rng.permutation(DEVICES)[: rng.choice(story.devices)]
    at = 0 if story.release else int(rng.integers(12, 25))
    series: list[Period] = []
    for device in range(DEVICES):
        for number in range(PERIODS - at if story.release else PERIODS):
            x = values(rng, WINDOWS)
            if device in touched and number >= at:
                change(x, rng)
            series.append(period(x, some, number=number, device=f"d{device}"))
    before = {(f"d{device}", "main") for device in range(DEVICES)} if story.release else set()
    return judge_model(Rule(), baseline(some[:4], some[4:]), series, steady_before=before)


def sick_then_moved(seed: int) -> list[Verdict]:
    """The verdicts on a fleet whose first device has a sick thermometer, before the world moves under all."""
    rng = np.random.default_rng(seed)
    some = [bins(x, name) for x, name in zip(values(rng, N_BASE), NAMES, strict=True)]
    series: list[Period] = []
    for device in range(DEVICES):
        for number in range(PERIODS):
            x = values(rng, WINDOWS)
            if device == 0 and number >= 10:
                x[0] = 60.0
            if number >= 25:
                x[2] *= 1.4
            series.append(period(x, some, number=number, device=f"d{device}"))
    return judge_model(Rule(), baseline(some[:4], some[4:]), series)
