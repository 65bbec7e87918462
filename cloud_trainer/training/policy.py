"""Thresholds chosen for a precision or a cost. One rule: on validation groups, never on test, by the core's own policy.

The validation scores are out of fold: each group of the training side is scored by a twin of the estimator that was
fitted without it. What the thresholds are worth is said of the test groups, which took no part in choosing them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.decide import decide_rows
from cloud_trainer.policies import CostSpec, PolicySpec
from cloud_trainer.section import did_you_mean
from cloud_trainer.task import task_of
from edge_runtime.contract.manifest import Policy
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from cloud_trainer.features import FeatureTable
    from cloud_trainer.training.track import Run

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
FOLDS: Final = 4
TRIES: Final = 24
"""Thresholds tried of a label: the quantiles of its best scores."""
PASSES: Final = 4
LEAST: Final = 10
"""Decisions for a label from which on a precision counts."""
PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Rows in the order of their recordings, with scores of a model that did not see them.

    Attributes:
        scores: [n, labels].
        y: True label of each.
        recording: Of each row: the policy begins anew with a recording.
    """

    scores: F64
    y: I32
    recording: Sequence[str]

    def told(self, thresholds: Sequence[int], spec: PolicySpec) -> I32:
        """The label that the core's policy gives each row, -1 = abstain."""
        policy = Policy(thresholds_ppm=tuple(thresholds), k=spec.k, n=spec.n, hold_windows=spec.hold_windows)
        return decide_rows(policy, self.scores, self.recording)[0]


def choose(spec: PolicySpec, run: Run, table: FeatureTable) -> Policy:
    """The policy of a run.

    Args:
        spec: With `precision` or `cost`.
        run: Of labels, with probabilities.
        table: That it was trained on.

    Raises:
        UsageError: The scores are no probabilities, the training side has one group only, a label of `cost` is not
            there, or the precision cannot be reached: names the best that can.
    """
    seen = validation(run, table)
    if spec.precision is not None:
        return _policy(spec, for_precision(spec, seen, run.labels))
    return _policy(spec, for_cost(spec, seen, cost_matrix(spec.cost or CostSpec(), run.labels)))


def _policy(spec: PolicySpec, thresholds: Sequence[int]) -> Policy:
    return Policy(thresholds_ppm=tuple(thresholds), k=spec.k, n=spec.n, hold_windows=spec.hold_windows)


def check(spec: PolicySpec, estimators: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Refuse what thresholds could not be chosen for, before anything is fitted.

    Raises:
        UsageError: An estimator gives no probabilities, or a label of `cost` is not there.
    """
    if not spec.is_chosen:
        return
    for name, estimator in estimators.items():
        if task_of(estimator) != "labels" or not hasattr(estimator, "predict_proba"):
            raise UsageError(
                f"policy: thresholds can only be chosen for labels with probabilities, {name!r} gives none",
                hint="write the thresholds, or train.estimators with probabilities, such as forest or calibrated",
            )
    if spec.cost is not None:
        cost_matrix(spec.cost, labels)


# ---- validation


def validation(run: Run, table: FeatureTable) -> Scored:
    """Out-of-fold scores of the training side."""
    from sklearn.base import clone
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    import cloud_trainer.training.estimators as zoo

    check(PolicySpec(precision=0.5), {run.name: run.estimator}, run.labels)
    groups = np.asarray(table.groups)
    rows = np.flatnonzero(~np.isin(groups, run.test_groups))
    names = sorted(set(groups[rows].tolist()))
    if len(names) < 2:
        raise UsageError(
            f"policy: training has {len(names)} group; thresholds are chosen on other groups than fitted, so want 2",
            hint="record more groups, lower split.test_fraction, or write the thresholds",
        )
    fold_of = {name: i % min(FOLDS, len(names)) for i, name in enumerate(names)}
    folds = np.array([fold_of[name] for name in groups[rows]])
    scores = np.zeros((len(rows), len(run.labels)))
    for fold in range(folds.max() + 1):
        out = folds == fold
        twin = clone(run.estimator)
        with threadpool_limits(limits=1):
            zoo.fit(run.name, twin, table.x[rows[~out]], table.y[rows[~out]])
            found = twin.predict_proba(table.x[rows[out]].astype(np.float64))
        scores[np.ix_(out, np.asarray(twin.classes_, np.int64))] = found
    recording = np.asarray(table.recording)[rows]
    order = np.lexsort((table.window[rows], recording))
    return Scored(scores=scores[order], y=np.asarray(table.y)[rows][order], recording=recording[order].tolist())


# ---- choosing


def tries(scores: F64, label: int) -> list[int]:
    """Thresholds worth trying for a label, ascending [1e-6]; 0 is first."""
    best = scores[scores.argmax(axis=1) == label, label]
    found = np.quantile(best, np.linspace(0, 1, TRIES), method="nearest") if len(best) else np.array([])
    return sorted({0, *(int(min(PPM, np.floor(value * PPM))) for value in found)})


def for_precision(spec: PolicySpec, seen: Scored, labels: Sequence[str]) -> list[int]:
    """The least thresholds with which each label is right so often where it is told.

    Raises:
        UsageError: With none; names the best precision of each such label.
    """
    target = spec.precision or 0.0
    thresholds = [0] * len(labels)
    best: dict[str, tuple[float, int]] = {}
    for _ in range(PASSES):
        before = list(thresholds)
        best = {}
        for label, name in enumerate(labels):
            reached = None
            for each in tries(seen.scores, label):
                thresholds[label] = each
                told = seen.told(thresholds, spec) == label
                n, right = int(told.sum()), int((told & (seen.y == label)).sum())
                if n >= LEAST:
                    best[name] = max(best.get(name, (0.0, 0)), (right / n, n))
                    if right >= target * n:
                        reached = each
                        break
            thresholds[label] = before[label] if reached is None else reached
            if reached is not None:
                best.pop(name, None)
            else:
                best.setdefault(name, (0.0, 0))
        if best or thresholds == before:
            break
    if best:
        named = "; ".join(f"{name} at most {p:.3f} (of {n} decisions)" for name, (p, n) in best.items())
        lowest = min(p for p, _ in best.values())
        raise UsageError(
            f"policy.precision: {target:g} cannot be reached on validation groups (of {LEAST} decisions on): {named}",
            hint=f"lower it to {np.floor(lowest * 1000) / 1000:g}, raise policy.n and policy.k, or record more",
        )
    return thresholds


def for_cost(spec: PolicySpec, seen: Scored, cost: F64) -> list[int]:
    """Thresholds of the least mean cost, one label after the other until nothing gets cheaper."""
    n_labels = cost.shape[0]
    thresholds = [0] * n_labels

    def mean(candidate: Sequence[int]) -> float:
        return float(costs(cost, seen.y, seen.told(candidate, spec)).mean())

    least = mean(thresholds)
    for _ in range(PASSES):
        before = list(thresholds)
        for label in range(n_labels):
            for each in [*tries(seen.scores, label), PPM]:
                candidate = [*thresholds[:label], each, *thresholds[label + 1 :]]
                now = mean(candidate)
                if now < least - 1e-12:
                    least, thresholds = now, candidate
        if thresholds == before:
            break
    return thresholds


def cost_matrix(spec: CostSpec, labels: Sequence[str]) -> F64:
    """[true label, label told; the last column is abstain].

    Raises:
        UsageError: A label that there is not.
    """
    cost = np.full((len(labels), len(labels) + 1), spec.wrong, np.float64)
    np.fill_diagonal(cost, 0.0)
    cost[:, -1] = spec.abstain
    for true, row in spec.of.items():
        for name, where in ((true, true), *((told, f"{true}.{told}") for told in row)):
            if name not in labels:
                raise UsageError(
                    f"policy.cost.{where}: there is no such label{did_you_mean(name, labels)}",
                    hint=f"labels: {', '.join(labels)}",
                )
        for told, value in row.items():
            cost[list(labels).index(true), list(labels).index(told)] = value
    return cost


def costs(cost: F64, y: I32, told: I32) -> F64:
    """Of each row."""
    return cost[y, told]  # abstain is -1: the last column


# ---- what it is worth


def worth(spec: PolicySpec, labels: Sequence[str], *, y: I32, told: I32, recording: Sequence[str]) -> dict[str, Any]:
    """Figures of decisions on rows that nothing was chosen on, each with its 95 % interval [value, low, high].

    Returns:
        `windows`, `abstained`, `precision` of all that was told and `precision.<label>`; with a cost also `cost`, the
        mean. An interval is the wider of that of windows (Wilson 1927; of the cost, normal) and of 1000 draws of whole
        recordings, as neighbouring windows are not independent.
    """
    is_told = told >= 0
    right = (told == y).astype(np.float64)
    figures: dict[str, Any] = {
        "windows": len(y),
        "abstained": int((~is_told).sum()),
        "precision": _share(right, is_told, recording),
    }
    for label, name in enumerate(labels):
        figures[f"precision.{name}"] = _share(right, told == label, recording)
    if spec.cost is not None:
        each = costs(cost_matrix(spec.cost, labels), y, told)
        half = 1.96 * float(each.std()) / np.sqrt(max(1, len(each)))
        mean = float(each.mean())
        figures["cost"] = _wider(mean, mean - half, mean + half, _drawn(each, np.ones(len(each), bool), recording))
    return figures


def _share(right: F64, of: npt.NDArray[np.bool_], recording: Sequence[str]) -> list[float] | None:
    n = int(of.sum())
    if n == 0:
        return None
    p, z2 = float(right[of].mean()), 1.96**2
    middle, half = p + z2 / (2 * n), 1.96 * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (float((middle + sign * half) / (1 + z2 / n)) for sign in (-1, 1))
    return _wider(p, low, high, _drawn(right, of, recording))


def _drawn(values: F64, of: npt.NDArray[np.bool_], recording: Sequence[str]) -> tuple[float, float]:
    """95 % of the means over recordings drawn with replacement."""
    _, place = np.unique(np.asarray(recording)[of], return_inverse=True)
    n = np.bincount(place)
    sums = np.bincount(place, weights=values[of])
    draws = np.random.default_rng(0).integers(len(n), size=(1000, len(n)))
    low, high = np.quantile(sums[draws].sum(axis=1) / n[draws].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _wider(value: float, low: float, high: float, drawn: tuple[float, float]) -> list[float]:
    return [round(each, 6) for each in (value, min(low, drawn[0]), max(high, drawn[1]))]
