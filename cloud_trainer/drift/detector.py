"""The drift detector: pure functions from counts of a period to evidence against "nothing changed".

Its one rule: a false alarm comes on average at most once in `Rule.alarm_periods`, by theorem (iid windows).
Per feature a bet e_t on each period, fair or worse while the world stays within a tolerance of the baseline:

    log e_t = sum_b c_b log(q_b / p_b) - n log(1 + sqrt(delta2) sqrt(chi2(q, p)))
    log M_t = log e_t + logaddexp(log M_{t-1}, 0)            alarm: log mean M > log A

p: baseline shares. q: half baseline, half an EWMA of past periods. chi2(q, p) = sum (q-p)^2 / p. The second
term pays for what the baseline cannot know: for every world p* with chi2(p*, p) <= delta2 the expectation of e_t
is at most 1 (Cauchy-Schwarz). A mean of e-detectors is one: averaging over features and devices keeps the promise.
Source: Shin, Ramdas, Rinaldo, "E-detectors", 2022; e-BH: Wang, Ramdas, 2022.

Arrays are [..., features, categories]; a category is below, one of the inner bins, above, or NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Bins

Array: TypeAlias = NDArray[np.float64]
MAX_LAG1 = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The detector's numbers."""

    alarm_periods: float = 8760.0  # A: average run length to a false alarm [periods], one year of hours
    keep: float = 0.9  # EWMA: share of the past that stays each period
    pseudo_counts: float = 200.0  # weight of the baseline in the bet [windows]
    floor: float = 0.02  # least delta2: a change this small is not worth a word
    level: float = 0.999  # quantile of the baseline's own sampling error
    discovery_rate: float = 0.05  # e-BH: which devices and features are named

    @property
    def watch_periods(self) -> float:
        """Threshold of "watch": the same detector at sqrt(A); its false hints are so many periods apart."""
        return float(np.sqrt(self.alarm_periods))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the bundle's baseline says of each feature (then each score)."""

    names: tuple[str, ...]
    p: Array  # [F, B] shares, 0 only where a feature has fewer bins than the widest
    delta: Array  # [F] sqrt(delta2)
    lag1: Array  # [F] 0..MAX_LAG1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything the detector remembers of one device's stream; period 0 is `start()`."""

    log_m: Array  # [..., F] Shiryaev-Roberts e-detector
    log_s: Array  # [..., F] fixed-start e-process, the part that has started
    past: Array  # [..., F, B] EWMA of counts
    lag1: Array  # [..., F] EWMA of the periods' autocorrelation
    log_e: Array  # [..., F] the last period's bet
    periods: int


def reference(bins: Sequence[Bins], rule: Rule) -> Reference:
    """The reference of a baseline's stratum: `stratum.features + stratum.scores`.

    One count is added to every category (Laplace): an empty bin breaks nothing, and the mass beyond the largest
    of n values is 1/n on average (with half a count, 5 of 40 steady runs on 300 baseline windows alarmed).
    """
    from scipy.stats import chi2  # type: ignore[import-untyped,unused-ignore]

    width = max(len(b.counts) for b in bins) + 1
    p = np.zeros((len(bins), width))
    delta2 = np.empty(len(bins))
    lag1 = np.clip([b.lag1 if np.isfinite(b.lag1) else 0.0 for b in bins], 0.0, MAX_LAG1)
    for row, b in enumerate(bins):
        counts = np.array([*b.counts, b.n_nan], dtype=np.float64)
        total = counts.sum()
        p[row, : len(counts)] = (counts + 1.0) / (total + len(counts))
        n_base = max(1.0, total * _independent(lag1[row]))
        delta2[row] = max(rule.floor, float(chi2.ppf(rule.level, len(counts) - 1)) / n_base)
    return Reference(names=tuple(b.name for b in bins), p=p, delta=np.sqrt(delta2), lag1=lag1)


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


def start(ref: Reference, *, shape: tuple[int, ...] = ()) -> State:
    """The state before the first period, for one stream or for `shape` of them side by side."""
    rows = (*shape, len(ref.names))
    nothing = np.full(rows, -np.inf)
    return State(
        log_m=nothing, log_s=nothing, log_e=np.zeros(rows), periods=0,
        past=np.zeros((*rows, ref.p.shape[1])), lag1=np.broadcast_to(ref.lag1, rows),
    )  # fmt: skip


def bet(ref: Reference, rule: Rule, past: Array) -> Array:
    """q: where the next period's windows are expected if the past goes on."""
    total = past.sum(axis=-1, keepdims=True)
    q: Array = 0.5 * ref.p + 0.5 * (past + rule.pseudo_counts * ref.p) / (total + rule.pseudo_counts)
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
        ref: The baseline.
        rule: The detector's numbers.
        state: Before the period.
        counts: [..., F, B] windows by category, NaN last.
        lag1: [..., F] the period's own autocorrelation, NaN where it has none.
    """
    scale = _independent(np.maximum(ref.lag1, np.clip(state.lag1, 0.0, MAX_LAG1)))
    effective = counts * np.asarray(scale)[..., None]
    log_e = log_wealth(ref, bet(ref, rule, state.past), effective)
    periods = state.periods + 1
    log_weight = -np.log(periods * (periods + 1.0))
    return State(
        log_m=log_e + np.logaddexp(state.log_m, 0.0),
        log_s=log_e + np.logaddexp(state.log_s, log_weight),
        log_e=log_e,
        past=rule.keep * state.past + counts,
        lag1=np.where(np.isnan(lag1), state.lag1, rule.keep * state.lag1 + (1 - rule.keep) * lag1),
        periods=periods,
    )


def log_mean(values: Array) -> Array:
    """Log of the mean over the last axis of values given as logs."""
    top = values.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        mean: Array = np.log(np.exp(values - top).mean(axis=-1)) + top[..., 0]
    return mean


def log_fixed_start(state: State) -> Array:
    """Log of the e-process of each row: start times mixed with weights 1/(t(t+1)), which sum to 1.

    Unlike M it does not grow with time by construction, so it may be compared between rows and devices.
    """
    log_e: Array = np.logaddexp(state.log_s, -np.log(state.periods + 1.0))
    return log_e


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
