"""The drift detector: pure functions from counts of a period to evidence against "nothing changed".

Its one rule: a false alarm comes on average at most once in `Rule.alarm_periods`, by theorem (iid windows).
Per feature a bet e_t on each period, fair or worse while the world stays within a tolerance of the baseline:

    log e_t = sum_b c_b log(q_b / p_b) - n log(1 + sqrt(delta2) sqrt(chi2(q, p)))
    log M_t = log e_t + logaddexp(log M_{t-1}, 0)            alarm: log mean M > log A

p: baseline shares. q: half baseline, half what the past periods make of it. chi2(q, p) = sum (q-p)^2 / p. The second
term pays for what the baseline cannot know: for every world p* with chi2(p*, p) <= delta2 the expectation of e_t
is at most 1 (Cauchy-Schwarz). A mean of e-detectors is one: averaging over features, devices and over bets of long and
of short memory keeps the promise. So does a baseline that changes from period to period by the hour of the day: the
bet carries over by how many times more than expected each category was counted.
Source: Shin, Ramdas, Rinaldo, "E-detectors", 2022; e-BH: Wang, Ramdas, 2022.

Arrays are [..., features, categories]; a category is below, one of the inner bins, above, or NaN. K: the bets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Stratum

Array: TypeAlias = NDArray[np.float64]
MAX_LAG1 = 0.99
LABEL = "label"  # the name of the last row: which label was decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The detector's numbers."""

    alarm_periods: float = 8760.0  # A: average run length to a false alarm [periods], one year of hours
    keep: tuple[float, ...] = (0.9, 0.5)  # EWMA of each bet: share of the past that stays each period
    pseudo_counts: float = 200.0  # weight of the baseline in the bet [windows]
    floor: float = 0.015  # least delta2: a change this small is not worth a word
    level: float = 0.999  # quantile of the baseline's own sampling error
    discovery_rate: float = 0.05  # e-BH: which devices and features are named

    @property
    def watch_periods(self) -> float:
        """Threshold of "watch": the same detector at sqrt(A); its false hints are so many periods apart."""
        return float(np.sqrt(self.alarm_periods))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a stratum of the bundle's baseline says of each feature, then each score, then the label."""

    names: tuple[str, ...]
    p: Array  # [F, B] shares, 0 only where a feature has fewer bins than the widest
    delta: Array  # [F] sqrt(delta2)
    lag1: Array  # [F] 0..MAX_LAG1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything the detector remembers of one device's stream; period 0 is `start()`."""

    log_sr: Array  # [K, ..., F] Shiryaev-Roberts e-detector of each bet
    log_s: Array  # [K, ..., F] fixed-start e-process, the part that has started
    past: Array  # [K, ..., F, B] EWMA of counts
    expected: Array  # [K, ..., F, B] the same of what the baseline expected
    lag1: Array  # [..., F] EWMA of the periods' autocorrelation
    log_e: Array  # [..., F] the last period's bet, mean of the K
    periods: int

    @property
    def log_m(self) -> Array:
        """[..., F] log of the e-detector of each row."""
        return log_mean(self.log_sr, axis=0)


def reference(stratum: Stratum, rule: Rule) -> Reference:
    """The reference of a stratum: its features, its scores, and how often each label was decided.

    One count is added to every category (Laplace): an empty bin breaks nothing, and the mass beyond the largest
    of n values is 1/n on average (with half a count, 5 of 40 steady runs on 300 baseline windows alarmed).
    The label's autocorrelation is the largest of the scores'.
    """
    from scipy.special import gammaincinv  # type: ignore[import-untyped,unused-ignore]

    bins = (*stratum.features, *stratum.scores)
    rows = [(*b.counts, b.n_nan) for b in bins] + [stratum.label_counts]
    known = [b.lag1 if np.isfinite(b.lag1) else 0.0 for b in bins]
    lag1 = np.clip([*known, max(known[len(stratum.features) :])], 0.0, MAX_LAG1)
    p = np.zeros((len(rows), max(map(len, rows))))
    delta2 = np.empty(len(rows))
    for row, counts in enumerate(rows):
        total = sum(counts)
        p[row, : len(counts)] = (np.array(counts, dtype=np.float64) + 1.0) / (total + len(counts))
        n_base = max(1.0, total * _independent(lag1[row]))
        quantile = 2.0 * float(gammaincinv((len(counts) - 1) / 2, rule.level))  # of chi-square
        delta2[row] = max(rule.floor, quantile / n_base)
    return Reference(names=(*(b.name for b in bins), LABEL), p=p, delta=np.sqrt(delta2), lag1=lag1)


def mixture(parts: Sequence[tuple[Reference, float]]) -> Reference:
    """The reference of a period that lies in several strata, with its part in each; the parts add up to 1.

    chi2 is convex in both shares together, so a world within the tolerance of each stratum is within the mean of them.
    """
    (first, _), *more = parts
    if not more:
        return first
    return Reference(
        names=first.names,
        p=np.sum([part * ref.p for ref, part in parts], axis=0),
        delta=np.sqrt(np.sum([part * ref.delta**2 for ref, part in parts], axis=0)),
        lag1=np.max([ref.lag1 for ref, _ in parts], axis=0),
    )


def _independent(lag1: Array | float) -> Array | float:
    """Independent values per value of an AR(1) series with this autocorrelation."""
    return (1.0 - lag1) / (1.0 + lag1)


def autocorrelation(*, n: Array, total: Array, square: Array, lag: Array, first: Array, last: Array) -> Array:
    """Lag-1 autocorrelation of each row from its merged sums; NaN where it has none (n < 8 or constant).

    Moment estimator around the period's own mean, its small-sample bias of -(1 + 3 rho) / n added back
    (Kendall 1954).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        variance = square / n - mean**2
        covariance = (lag - mean * (2 * total - first - last) + (n - 1) * mean**2) / (n - 1)
        rho = (covariance / variance * n + 1.0) / (n - 3.0)
        known = (n >= 8) & (variance > 1e-9 * np.maximum(square / n, 1.0))
    return np.where(known, np.clip(rho, -MAX_LAG1, MAX_LAG1), np.nan)


def start(ref: Reference, rule: Rule, *, shape: tuple[int, ...] = ()) -> State:
    """The state before the first period, for one stream or for `shape` of them side by side."""
    rows = (*shape, len(ref.names))
    bets = (len(rule.keep), *rows)
    nothing = np.full(bets, -np.inf)
    none = np.zeros((*bets, ref.p.shape[-1]))
    return State(
        log_sr=nothing, log_s=nothing, log_e=np.zeros(rows), periods=0, past=none, expected=none,
        lag1=np.broadcast_to(ref.lag1, rows),
    )  # fmt: skip


def bet(ref: Reference, rule: Rule, state: State) -> Array:
    """Q [K, ..., F, B]: where the next period's windows are expected if the past goes on."""
    prior = rule.pseudo_counts * ref.p
    tilted = ref.p * (state.past + prior) / np.where(ref.p > 0, state.expected + prior, 1.0)
    q: Array = 0.5 * ref.p + 0.5 * tilted / tilted.sum(axis=-1, keepdims=True)
    return q


def log_wealth(ref: Reference, q: Array, counts: Array) -> Array:
    """Log e of a period's (effective) counts against the reference."""
    inside = ref.p > 0
    p = np.where(inside, ref.p, 1.0)
    gain = np.where(inside, np.log(np.where(inside, q, 1.0) / p), 0.0)
    chi = np.sqrt(((q - ref.p) ** 2 / p).sum(axis=-1))
    wealth: Array = (counts * gain).sum(axis=-1) - counts.sum(axis=-1) * np.log1p(ref.delta * chi)
    return wealth


def step(ref: Reference, rule: Rule, state: State, *, counts: Array, lag1: Array) -> State:
    """The state after a period.

    The stake is the effective counts: scaled by the share of independent windows, from the autocorrelation of the
    baseline or of the past periods, whichever is larger. The next bet learns from all windows. Bet and scale are fixed
    before the period is seen, which is all that the promise needs of them.

    Args:
        ref: The baseline of the period's stratum.
        rule: The detector's numbers.
        state: Before the period.
        counts: [..., F, B] windows by category, NaN last.
        lag1: [..., F] the period's own autocorrelation, NaN where it has none.
    """
    scale = _independent(np.maximum(ref.lag1, np.clip(state.lag1, 0.0, MAX_LAG1)))
    effective = counts * np.asarray(scale)[..., None]
    log_e = log_wealth(ref, bet(ref, rule, state), effective)
    periods = state.periods + 1
    keep = np.reshape(rule.keep, (-1,) + (1,) * counts.ndim)
    slow = max(rule.keep)
    return State(
        log_sr=log_e + np.logaddexp(state.log_sr, 0.0),
        log_s=log_e + np.logaddexp(state.log_s, -np.log(periods * (periods + 1.0))),
        log_e=log_mean(log_e, axis=0),
        past=keep * state.past + counts,
        expected=keep * state.expected + counts.sum(axis=-1, keepdims=True) * ref.p,
        lag1=np.where(np.isnan(lag1), state.lag1, slow * state.lag1 + (1 - slow) * lag1),
        periods=periods,
    )


def log_mean(values: Array, *, axis: int = -1) -> Array:
    """Log of the mean over an axis of values given as logs."""
    top = values.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean: Array = np.log(np.exp(values - top).mean(axis=axis)) + top.squeeze(axis)
    return mean


def log_fixed_start(state: State) -> Array:
    """Log of the e-process of each row: start times mixed with weights 1/(t(t+1)), which sum to 1.

    Unlike M it does not grow with time by construction, so it may be compared between rows and devices.
    """
    return log_mean(np.logaddexp(state.log_s, -np.log(state.periods + 1.0)), axis=0)


def e_bh(log_e: Array, discovery_rate: float) -> tuple[int, ...]:
    """Indices that e-BH names: the k largest with e >= m / (k q), for the largest such k."""
    order = np.argsort(-log_e, kind="stable")
    m = len(order)
    for k in range(m, 0, -1):
        if log_e[order[k - 1]] >= np.log(m / (k * discovery_rate)):
            return tuple(sorted(int(i) for i in order[:k]))
    return ()


def onset(log_e: Array) -> int:
    """Index of the period where the change most likely began: the best start of a run up to the end."""
    suffix = np.cumsum(log_e[::-1])[::-1]
    return int(np.argmax(suffix))
