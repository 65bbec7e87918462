"""Thresholds chosen for a precision or a cost: on validation groups alone, their worth told of the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

from cloud_trainer.datasets import freeze
from cloud_trainer.export.exporter import decided_text, export, summary
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.policies import CostSpec, PolicySpec
from cloud_trainer.project import load
from cloud_trainer.training import Run, train_all
from cloud_trainer.training import policy as policies
from cloud_trainer.training.policy import Scored, choose, cost_matrix, for_cost, for_precision, validation, worth
from cloud_trainer.workspace import Workspace
from edge_runtime.contract.manifest import Policy
from edge_runtime.engines import load_bundle
from edge_runtime.errors import UsageError
from tests.datasets.sample import edit, write_project
from tests.export.made import policy, trained

LABELS = ("idle", "busy")


def noisy(n: int = 1200, *, seed: int = 0) -> Scored:
    """Two labels whose score is the chance of being right: 0.9 is right nine times in ten."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0, 1, n)
    y = (rng.uniform(0, 1, n) < p).astype(np.int32)
    return Scored(scores=np.stack([1 - p, p], axis=1), y=y, recording=[f"r{i * 12 // n}" for i in range(n)])


def precision_of(seen: Scored, told: Any, label: int) -> float:
    return float((seen.y == label)[told == label].mean())


def blurred(n: int = 900, *, estimator: Any = None) -> tuple[Run, FeatureTable]:
    """Two labels that overlap, in twelve recordings."""
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, n).astype(np.int32)
    x = (y[:, None] + rng.normal(scale=1.0, size=(n, 8))).astype(np.float32)
    recording = [f"take{i * 12 // n:02}" for i in range(n)]
    made = estimator or RandomForestClassifier(25, max_depth=4, random_state=0)
    return trained(made, x, y, recording=recording, window=np.arange(n, dtype=np.int64))


def test_the_least_threshold_that_reaches_the_precision_is_taken() -> None:
    seen, spec = noisy(), PolicySpec(precision=0.9)
    thresholds = for_precision(spec, seen, LABELS)
    told = seen.told(thresholds, spec)
    assert all(precision_of(seen, told, label) >= 0.9 for label in (0, 1))
    assert all(0.5 < t / 1e6 < 0.95 for t in thresholds)
    for label in (0, 1):  # one step lower it is missed
        lower = [t for t in policies.tries(seen.scores, label) if t < thresholds[label]]
        less = [lower[-1] if i == label else t for i, t in enumerate(thresholds)]
        assert precision_of(seen, seen.told(less, spec), label) < 0.9
    assert 0 < (told < 0).sum() < len(told)


def test_a_precision_that_is_there_anyway_costs_no_decision() -> None:
    seen, spec = noisy(), PolicySpec(precision=0.5)
    assert for_precision(spec, seen, LABELS) == [0, 0]


def test_k_of_n_counts_in_what_is_chosen() -> None:
    """A vote that holds for three windows is right more often, so a lower threshold does."""
    rng = np.random.default_rng(1)
    y = np.repeat(rng.integers(0, 2, 60), 20).astype(np.int32)
    p = np.clip(y * 0.3 + 0.35 + rng.normal(scale=0.25, size=len(y)), 0, 1)
    seen = Scored(scores=np.stack([1 - p, p], axis=1), y=y, recording=["r"] * len(y))
    alone, voted = (
        sum(for_precision(spec, seen, LABELS))
        for spec in (PolicySpec(precision=0.95), PolicySpec(precision=0.95, k=3, n=4))
    )
    assert voted < alone


def test_a_precision_out_of_reach_is_refused_with_the_best_there_is() -> None:
    rng = np.random.default_rng(0)
    seen = replace(noisy(), y=rng.integers(0, 2, 1200).astype(np.int32))  # the scores say nothing
    with pytest.raises(UsageError, match=r"0\.99 cannot .* idle at most 0\.\d+ \(of \d+ .*; busy") as caught:
        for_precision(PolicySpec(precision=0.99), seen, LABELS)
    assert "lower it to 0." in caught.value.hint


def test_what_is_dear_is_told_later() -> None:
    seen = noisy()
    cheap, dear = (
        PolicySpec(cost=CostSpec(wrong=1, abstain=0.3, of={"idle": {"busy": false_alarm}}))
        for false_alarm in (1.0, 9.0)
    )
    thresholds = [for_cost(spec, seen, cost_matrix(spec.cost or CostSpec(), LABELS)) for spec in (cheap, dear)]
    assert thresholds[1][1] > thresholds[0][1] > 500_000
    matrix = cost_matrix(dear.cost or CostSpec(), LABELS)
    assert matrix.tolist() == [[0, 9, 0.3], [1, 0, 0.3]]

    def mean(found: list[int]) -> float:
        return float(policies.costs(matrix, seen.y, seen.told(found, dear)).mean())

    assert mean(thresholds[1]) < min(mean(thresholds[0]), mean([0, 0]), 0.3)


def test_abstaining_that_is_dear_is_never_done() -> None:
    spec = PolicySpec(cost=CostSpec(wrong=1, abstain=5))
    assert (noisy().told(for_cost(spec, noisy(), cost_matrix(spec.cost or CostSpec(), LABELS)), spec) >= 0).all()


def test_a_label_of_the_cost_that_is_not_there_is_named() -> None:
    for of, where in (({"bussy": {"idle": 1.0}}, "bussy"), ({"busy": {"walk": 1.0}}, "busy.walk")):
        with pytest.raises(UsageError, match=rf"policy\.cost\.{where}: there is no such label"):
            cost_matrix(CostSpec(of=of), LABELS)


def test_no_test_row_takes_part_in_choosing() -> None:
    """Other answers of the test groups choose the same thresholds; scores are of rows that no twin was fitted on."""
    run, table = blurred()
    spec = PolicySpec(precision=0.9)
    first = choose(spec, run, table)
    y, is_test = table.y.copy(), np.isin(table.groups, run.test_groups)
    y[is_test] = 1 - y[is_test]
    assert choose(spec, run, replace(table, y=y)) == first
    assert set(validation(run, table).recording).isdisjoint(run.test_groups)
    seen = validation(run, table)
    fitted = run.estimator.predict(run.x_train.astype(np.float64)) == run.y_train
    assert (seen.scores.argmax(axis=1) == seen.y).mean() < fitted.mean(), "its own rows flatter a forest"


def test_without_probabilities_or_groups_nothing_is_chosen() -> None:
    run, table = blurred(estimator=LinearSVC())
    with pytest.raises(UsageError, match="can only be chosen for labels with probabilities"):
        choose(PolicySpec(precision=0.9), run, table)
    run, table = blurred()
    one = replace(table, groups=[g if g in run.test_groups else "all" for g in table.groups])
    with pytest.raises(UsageError, match="training has 1 group"):
        choose(PolicySpec(precision=0.9), run, one)


def test_what_cannot_be_chosen_for_is_refused_before_training(tmp_path: Path) -> None:
    text = "[policy]\nprecision = 0.9\n[split]"
    path = edit(write_project(tmp_path, takes=6), "[split]", text)
    project = load(edit(path, 'estimators = ["logistic", "forest"]', 'estimators = ["forest", "linear_svc"]'))
    ws = Workspace(tmp_path / "ws")
    table = materialise(ws, freeze(project, ws), project.program())
    with pytest.raises(UsageError, match="labels with probabilities, 'linear_svc' gives none"):
        train_all(project, table, ws)
    spec = PolicySpec(cost=CostSpec(of={"bussy": {"idle": 1.0}}))
    with pytest.raises(UsageError, match=r"policy\.cost\.bussy: there is no such label"):
        train_all(replace(project, policy=spec, train=replace(project.train, estimators=("forest",))), table, ws)
    assert not list(ws.artifacts.glob("*/*")), "nothing was fitted"


def test_the_bundle_says_what_its_thresholds_are_worth_on_the_test_rows(tmp_path: Path) -> None:
    run, table = blurred()
    spec = PolicySpec(precision=0.9)
    chosen = choose(spec, run, table)
    made = export(run, table=table, name="m", version=1, policy=chosen, rule=spec, out_dir=tmp_path)
    manifest = load_bundle(made.path).manifest
    decided = manifest.extra["decided"]
    assert manifest.policy == chosen
    assert decided["by"] == "precision 0.9"
    assert decided["windows"] == len(run.y_test)
    assert 0 < decided["abstained"] < decided["windows"]
    value, low, high = decided["precision"]
    assert low < value < high
    assert value > (run.estimator.predict(run.x_test.astype(np.float64)) == run.y_test).mean()
    assert f"precision {value:.3f} ({low:.3f}..{high:.3f})" in decided_text(decided)


def test_an_interval_holds_what_it_says() -> None:
    """Of 200 tests of the same truth, about 95 % of the intervals hold it; recordings that differ make them wider."""
    held, widths = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        told = np.zeros(300, np.int32)
        y = (rng.uniform(size=300) > 0.8).astype(np.int32)
        names = [f"r{i // 15}" for i in range(300)]
        _, low, high = worth(PolicySpec(precision=0.5), LABELS, y=y, told=told, recording=names)["precision"]
        held += low <= 0.8 <= high
        widths.append(high - low)
    assert held >= 186
    y = np.repeat(np.random.default_rng(0).integers(0, 2, 20), 15).astype(np.int32)
    value, low, high = worth(PolicySpec(precision=0.5), LABELS, y=y, told=told, recording=names)["precision"]
    assert min(value - low, high - value) > np.mean(widths)


def test_written_thresholds_are_told_nothing_of(tmp_path: Path) -> None:
    run, table = blurred(300)
    made = export(run, table=table, name="m", version=1, policy=policy(2), rule=PolicySpec(), out_dir=tmp_path)
    assert "decided" not in made.manifest.extra
    value, low, high = made.manifest.extra["tested"]["accuracy"]
    assert 0 < low < value < high <= 1
    assert f"accuracy {value:.3f}" in "\n".join(summary(made))
    assert made.manifest.policy == Policy(thresholds_ppm=(0, 0))
