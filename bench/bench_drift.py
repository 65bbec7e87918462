"""Drift: false alarms of steady worlds, and the delay until a change is told, beside what is used for it elsewhere.

A world is a population of values; baseline and periods are drawn from it, counted into the baseline's own bins as a
device does, 20 features, one score and one label to a stream. A run is a stream of its own with a baseline of its own.

steady    independent normal values, baselines of 5,000, periods of 50, 200 and 1,000 windows, 2,000 periods.
others    baselines of 1,000, periods of 200: 1,000 as such, ties, zero-inflated, heavy tails, 1 % NaN; AR(1) with .9;
          a daily season of 1.5 sd against matched hours (1,000 windows each), and against all hours pooled.
delay     one of 20 features moves after 20 steady periods of 200 windows, baselines of 5,000; median of 200 runs.
triage    100 made-up fleets for each of five causes (tests/drift/causes.py): how many are told as what they are.
rivals    on rows of the same kind: an alarm is a period in which any of the 20 features passes the usual threshold.
          NannyML has packages of its own: RIVALS_PYTHON names an interpreter that has it, and without it says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_trainer.drift import detector
from cloud_trainer.drift.detector import Reference, Rule
from cloud_trainer.export.baseline import bins_of, counts_of
from edge_runtime.contract.baseline import Bins, Stratum
from tests.drift.causes import STORIES, told

F64: TypeAlias = npt.NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, int], F64]
RULE = Rule()
LOG_A = float(np.log(RULE.alarm_periods))
FEATURES, RUNS, PERIODS, POPULATION = 20, 200, 2000, 20_000
NO_PAIRS = np.zeros((2, 0), np.int64)
HOURS, SEASON, RHO, TOLD = 24, 1.5, 0.9, 100
NANNYML_PYTHON = os.environ.get("RIVALS_PYTHON", sys.executable)


def normal(rng: np.random.Generator, n: int) -> F64:
    return np.asarray(rng.standard_normal(n))


def zero_inflated(rng: np.random.Generator, n: int) -> F64:
    return np.where(rng.random(n) < 0.8, 0.0, rng.exponential(size=n))


def with_nan(rng: np.random.Generator, n: int) -> F64:
    return np.where(rng.random(n) < 0.01, np.nan, normal(rng, n))


def ties(rng: np.random.Generator, n: int) -> F64:
    return rng.poisson(2.0, n).astype(np.float64)


def heavy_tails(rng: np.random.Generator, n: int) -> F64:
    return np.asarray(rng.standard_t(1.5, n))


WORLDS: dict[str, Draw] = {
    "reference_1000": normal,
    "ties": ties,
    "zero_inflated": zero_inflated,
    "heavy_tails": heavy_tails,
    "nan": with_nan,
}


def figures(_: dict[str, Any]) -> dict[str, Any]:
    """Every figure, a line each as it is known; the worlds side by side on all cores."""
    out: dict[str, Any] = {}
    if hasattr(os, "sched_setaffinity"):  # these are counts, not times: every core may help
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        waiting = [(task, workers.submit(task.run, *task.args)) for task in tasks()]
        for task, found in waiting:
            values = found.result()
            for (what, key), value in zip(task.figures, values, strict=True):
                print(f"  {what:<70}{value:>10.3g}", flush=True)
                out[key] = round(value, 4)
    out["false_alarm_runs"] = max(out[f"false_alarm_runs_{n}"] for n in (50, 200, 1000))
    out["false_alarm_runs_others"] = max(out[f"false_alarm_runs_{name}"] for name in (*WORLDS, "ar1", "season"))
    out["triage_right"] = min(value for key, value in out.items() if key.startswith("triage_right_"))
    return out


class Task(NamedTuple):
    """What is asked: the words and keys of its figures, and the function that returns them."""

    figures: tuple[tuple[str, str], ...]
    run: Callable[..., tuple[float, ...]]
    args: tuple[Any, ...]


def tasks() -> Iterator[Task]:
    """All of them, the longest first."""

    def alarm(what: str, key: str, run: Callable[..., tuple[float, ...]], *args: Any) -> Task:
        return Task(((f"runs with a false alarm, {what}", f"false_alarm_runs_{key}"),), run, args)

    yield alarm("AR(1) .9", "ar1", autoregressive, True)
    yield alarm("AR(1) .9 where every window counts in full (20 runs)", "ar1_uncorrected", autoregressive, False)
    yield alarm("daily season, matched hours", "season", seasonal, True)
    yield alarm("daily season, all hours pooled (20 runs)", "season_pooled", seasonal, False)
    for n in (50, 200, 1000):
        yield alarm(f"steady, periods of {n}", str(n), steady, normal, n, 5000)
    for name, draw in WORLDS.items():
        yield alarm(name, name, steady, draw, 200, 1000)
    for shift in (0.25, 0.5, 1.0):
        what = f"median delay [periods], one of 20 features by {shift} sd"
        yield Task(((what, f"delay_{round(100 * shift):03}"),), delay, (shift,))
    yield Task((("the same by 0.5 sd, periods of 50", "delay_050_n50"),), delay_of_50, ())
    for cause in STORIES:
        key = cause.replace(" ", "_")
        yield Task(((f"triage: {cause} told of {TOLD} fleets", f"triage_right_{key}"),), triage_right, (cause,))
    for name, rule in RIVALS.items():
        said = (rule.__doc__ or "").rstrip(".")
        yield _rival(said, name, rivals, rule, 200)
        yield _rival(f"{said}, periods of 50", f"{name}_50", rivals, rule, 50)
        what = f"{said}, AR(1) .9: steady periods with an alarm"
        yield Task(((what, f"{name}_ar1_alarm_share"),), rival_on_ar1, (rule,))
    if has_nannyml():
        yield _rival("NannyML, univariate, its defaults", "nannyml", nannyml, 200)
        yield _rival("NannyML, univariate, its defaults, periods of 50", "nannyml_50", nannyml, 50)
    else:
        print(f"  NannyML is not there: RIVALS_PYTHON={NANNYML_PYTHON} cannot import it")


def _rival(said: str, name: str, run: Callable[..., tuple[float, ...]], *args: Any) -> Task:
    figures = ((f"{said}: steady periods with an alarm", f"{name}_alarm_share"),
               (f"{said}: median delay, .5 sd", f"{name}_delay_050"))  # fmt: skip
    return Task(figures, run, args)


# ---- worlds ----


def frozen(values: F64, name: str) -> Bins:
    """Bins of a baseline, by the exporter's own code."""
    return bins_of(name, values.astype(np.float32), NO_PAIRS)


def in_bins(values: F64, bins: Bins) -> F64:
    """Counts by category, NaN last."""
    known = values[~np.isnan(values)].astype(np.float32)
    return np.append(counts_of(known, np.array(bins.edges, np.float32)), len(values) - len(known)).astype(np.float64)


def stratum(bins: list[Bins], n: int, name: str = "all") -> Stratum:
    """A baseline's stratum: the last bins are of the score, and the model always decides the same."""
    return Stratum(name=name, n_windows=n, features=tuple(bins[:-1]), scores=tuple(bins[-1:]), label_counts=(n, 0))


def stacked(refs: list[Reference]) -> Reference:
    """The references of all runs as one, so that a step judges every run."""
    width = max(ref.p.shape[1] for ref in refs)
    p = np.stack([np.pad(ref.p, ((0, 0), (0, width - ref.p.shape[1]))) for ref in refs])
    delta, lag1 = np.stack([ref.delta for ref in refs]), np.stack([ref.lag1 for ref in refs])
    return Reference(names=refs[0].names, p=p, delta=delta, lag1=lag1)


def padded(rows: list[F64], width: int) -> F64:
    """Rows of one run as [F + 2, width], the label's row last; every window has the first label."""
    label = np.eye(1, width)[0] * rows[0].sum()
    return np.stack([*(np.pad(row, (0, width - len(row))) for row in rows), label])


def pool(draw: Draw, *, n_base: int, seed: int) -> tuple[list[list[Bins]], F64]:
    """Bins of every run's rows [run][row], and the population."""
    rng = np.random.default_rng(seed)
    population = draw(rng, POPULATION)
    return [
        [frozen(rng.choice(population, n_base), f"f{i}") for i in range(FEATURES + 1)] for _ in range(RUNS)
    ], population  # fmt: skip


def alarms(refs: list[Reference], shares: list[F64], *, n: int, periods: int, seed: int = 1) -> F64:
    """Log of the mean M [periods, runs]; reference and true shares of period t are those of t modulo their number."""
    rng = np.random.default_rng(seed)
    state = detector.start(refs[0], RULE, shape=(len(refs[0].p),))
    none = np.full(refs[0].p.shape[:2], np.nan)
    out = np.empty((periods, len(refs[0].p)))
    for t in range(periods):
        counts = rng.multinomial(n, shares[t % len(shares)]).astype(np.float64)
        state = detector.step(refs[t % len(refs)], RULE, state, counts=counts, lag1=none)
        out[t] = detector.log_mean(state.log_m)
    return out


def normalised(counts: F64) -> F64:
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))


def steady(draw: Draw, n: int, n_base: int) -> tuple[float]:
    """Share of runs that ever alarm in a world of independent values."""
    runs, population = pool(draw, n_base=n_base, seed=n + n_base)
    ref = stacked([detector.reference(stratum(bins, n_base), RULE) for bins in runs])
    shares = np.stack([padded([in_bins(population, b) for b in bins], ref.p.shape[-1]) for bins in runs])
    log_m = alarms([ref], [normalised(shares)], n=n, periods=PERIODS)
    return (float((log_m.max(axis=0) > LOG_A).mean()),)


def delay(shift: float, *, n: int = 200, n_base: int = 5000, before: int = 20, after: int = 60) -> tuple[float]:
    """Median number of periods from a shift of one feature [sd] to the alarm; a false alarm counts as never."""
    runs, population = pool(normal, n_base=n_base, seed=7)
    ref = stacked([detector.reference(stratum(bins, n_base), RULE) for bins in runs])
    own = normalised(np.stack([padded([in_bins(population, b) for b in bins], ref.p.shape[-1]) for bins in runs]))
    moved = own.copy()
    for run, bins in enumerate(runs):
        counts = in_bins(population + shift, bins[0])
        moved[run, 0, : len(counts)] = counts / counts.sum()
    log_m = alarms([ref], [own] * before + [moved] * after, n=n, periods=before + after)
    above = log_m > LOG_A
    late = np.where(above[before:].any(axis=0), above[before:].argmax(axis=0) + 1, after)
    return (float(np.median(np.where(above[:before].any(axis=0), after, late))),)


def delay_of_50() -> tuple[float]:
    """The delay of .5 sd at periods of 50 windows, as the rivals have it."""
    return delay(0.5, n=50)


def seasonal(matched: bool, *, n: int = 200, n_base: int = 1000) -> tuple[float]:
    """Share of runs that alarm where every feature follows the hour; against its own hour, or against all of them."""
    rng = np.random.default_rng(3)
    population = normal(rng, POPULATION)
    level = SEASON * np.sin(np.arange(HOURS) / HOURS * 2 * np.pi)
    n_runs = RUNS if matched else 20
    refs: list[list[Reference]] = [[] for _ in range(HOURS)]
    shares: list[list[F64]] = [[] for _ in range(HOURS)]
    for _ in range(n_runs):
        values = rng.choice(population, (FEATURES + 1, HOURS, n_base)) + level[:, None]
        bins = [frozen(row.ravel(), f"f{i}") for i, row in enumerate(values)]
        pooled = detector.reference(stratum(bins, HOURS * n_base), RULE)
        for hour in range(HOURS):
            own = [_counted(b, row[hour]) for b, row in zip(bins, values, strict=True)]
            refs[hour].append(detector.reference(stratum(own, n_base, "hour"), RULE) if matched else pooled)
            true = [in_bins(population[:20_000] + level[hour], b) for b in bins]
            shares[hour].append(padded(true, pooled.p.shape[1]))
    by_hour = [normalised(np.stack(s)) for s in shares]
    log_m = alarms([stacked(r) for r in refs], by_hour, n=n, periods=PERIODS)
    return (float((log_m.max(axis=0) > LOG_A).mean()),)


def _counted(bins: Bins, values: F64) -> Bins:
    """The same bins with the counts of some of the values."""
    counts = in_bins(values, bins).astype(int).tolist()
    return replace(bins, counts=tuple(counts[:-1]), n_nan=counts[-1])


def autoregressive(corrected: bool, *, n: int = 200, n_base: int = 1000) -> tuple[float]:
    """Share of runs that alarm where windows follow each other by AR(1); the device's sums tell the correlation."""
    rng = np.random.default_rng(5)
    n_runs = RUNS if corrected else 20
    rows = FEATURES + 1
    x = rng.standard_normal((n_runs, rows))
    noise = np.sqrt(1 - RHO**2)

    def values(count: int) -> F64:
        nonlocal x
        out = np.empty((count, n_runs, rows), np.float32)
        for i in range(count):
            x = RHO * x + noise * rng.standard_normal(x.shape)
            out[i] = x
        return out

    series = values(n_base)
    pairs = np.stack([np.arange(n_base - 1), np.arange(1, n_base)])
    bins = [[bins_of(f"f{i}", series[:, run, i], pairs) for i in range(rows)] for run in range(n_runs)]
    ref = stacked([detector.reference(stratum(some, n_base), RULE) for some in bins])
    edges = np.array([[b.edges for b in some] for some in bins], np.float32)
    if not corrected:
        ref = replace(ref, lag1=np.zeros_like(ref.lag1))
    state = detector.start(ref, RULE, shape=(n_runs,))
    top = np.full(n_runs, -np.inf)
    for _ in range(PERIODS):
        v = values(n)
        passed = np.stack([(v >= edges[..., k]).sum(axis=0) for k in range(edges.shape[-1])], axis=-1)
        counts = np.zeros(ref.p.shape)
        counts[:, :rows, : edges.shape[-1] + 1] = -np.diff(passed, axis=-1, prepend=n, append=0)
        counts[:, -1, 0] = n
        known = detector.autocorrelation(
            n=np.full(v.shape[1:], float(n)), total=v.sum(axis=0), square=(v * v).sum(axis=0),
            lag=(v[1:] * v[:-1]).sum(axis=0), first=v[0], last=v[-1],
        )  # fmt: skip
        lag1 = np.concatenate([known, known[:, -1:]], axis=1) if corrected else np.full(counts.shape[:2], np.nan)
        state = detector.step(ref, RULE, state, counts=counts, lag1=lag1)
        top = np.maximum(top, detector.log_mean(state.log_m))
    return (float((top > LOG_A).mean()),)


def triage_right(cause: str) -> tuple[float]:
    """Share of made-up fleets of which the cause is told."""
    return (float(np.mean([told(cause, seed)[0].cause == cause for seed in range(1000, 1000 + TOLD)])),)


# ---- rivals: baseline [n_base] and period [n] values of one feature to "it alarms" ----


def ks(baseline: F64, values: F64) -> bool:
    """Kolmogorov-Smirnov, p < .05."""
    from scipy.stats import ks_2samp  # type: ignore[import-untyped,unused-ignore]

    return bool(ks_2samp(baseline, values).pvalue < 0.05)


def _tenths(baseline: F64, values: F64) -> tuple[F64, F64]:
    edges = np.quantile(baseline, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    return np.histogram(baseline, edges)[0].astype(np.float64), np.histogram(values, edges)[0].astype(np.float64)


def psi(baseline: F64, values: F64) -> bool:
    """Population stability index over ten equal shares, > .2."""
    p, q = (np.maximum(counts, 0.5) / counts.sum() for counts in _tenths(baseline, values))
    return bool(((q - p) * np.log(q / p)).sum() > 0.2)


def chi_square(baseline: F64, values: F64) -> bool:
    """Chi-square of two samples at our nominal rate: one in A periods over all features."""
    from scipy.stats import chi2_contingency

    table = np.stack(_tenths(baseline, values))
    return bool(chi2_contingency(table).pvalue < 1 / RULE.alarm_periods / FEATURES)


RIVALS: dict[str, Callable[[F64, F64], bool]] = {"ks": ks, "psi": psi, "chi_square": chi_square}


def rivals(alarm: Callable[[F64, F64], bool], n: int, *, runs: int = 10, n_base: int = 5000) -> tuple[float, float]:
    """Share of steady periods with an alarm, and the median delay after a shift of one feature by .5 sd.

    The baseline of 5,000 and periods of 200 windows are those of our own delays.
    """
    rng = np.random.default_rng(11)
    steady_alarms, late = [], []
    for _ in range(runs):
        base = rng.standard_normal((FEATURES, n_base))
        worlds = rng.standard_normal((20, FEATURES, n))
        steady_alarms += [any(alarm(b, v) for b, v in zip(base, world, strict=True)) for world in worlds]
        found = (t for t in range(1, 60) if alarm(base[0], rng.standard_normal(n) + 0.5))
        late.append(next(found, 60))
    return float(np.mean(steady_alarms)), float(np.median(late))


def rival_on_ar1(alarm: Callable[[F64, F64], bool], *, runs: int = 10, n: int = 200) -> tuple[float]:
    """Share of steady periods with an alarm where windows follow each other; a baseline of 5,000 of the same."""
    from scipy.signal import lfilter  # type: ignore[import-untyped,unused-ignore]

    rng = np.random.default_rng(13)
    found = []
    for _ in range(runs):
        noise = np.sqrt(1 - RHO**2) * rng.standard_normal((FEATURES, 1000 + 5000 + 20 * n))
        series = lfilter([1.0], [1.0, -RHO], noise)[:, 1000:]
        base, later = series[:, :5000], series[:, 5000:].reshape(FEATURES, 20, n)
        found += [any(alarm(b, v) for b, v in zip(base, later[:, t], strict=True)) for t in range(20)]
    return (float(np.mean(found)),)


def has_nannyml() -> bool:
    """The interpreter that RIVALS_PYTHON names (or this one) can import it."""
    return not subprocess.run([NANNYML_PYTHON, "-c", "import nannyml"], capture_output=True, check=False).returncode


def nannyml(n: int, *, runs: int = 10, n_base: int = 5000) -> tuple[float, float]:
    """The same two figures of NannyML's univariate calculator with its own defaults."""
    words = [NANNYML_PYTHON, str(Path(__file__).parent / "rival_nannyml.py"), *map(str, (runs, n, n_base, FEATURES))]
    found = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
    return found["alarm_share"], found["delay_050"]
