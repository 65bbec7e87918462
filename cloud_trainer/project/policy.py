"""The decision policy of a bundle, from what the project says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloud_trainer.policies import PolicySpec
from cloud_trainer.section import did_you_mean
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from cloud_trainer.features import FeatureTable
    from cloud_trainer.project.spec import Project
    from cloud_trainer.training import Run
    from edge_runtime.contract.manifest import Policy


def policy_for(project: Project, labels: Sequence[str]) -> Policy:
    """The decision policy of the manifest for these labels, where its thresholds are written.

    Raises:
        UsageError: `policy.thresholds` names a label that there is not, or the thresholds are to be chosen.
    """
    from edge_runtime.contract.manifest import Policy

    spec = project.policy
    if spec.is_chosen:
        raise UsageError(
            "policy: its thresholds are chosen on a run and its rows", hint="call policy_of(project, run, table)"
        )
    if project.train.task == "values" and spec != PolicySpec():
        raise UsageError(
            "policy: values are not decided on, they are the answer", hint="take [policy] out of the project file"
        )
    for label in spec.thresholds:
        if label not in labels:
            raise UsageError(
                f"policy.thresholds.{label}: there is no such label{did_you_mean(label, labels)}",
                hint=f"labels: {', '.join(labels)}",
            )
    thresholds = [round(spec.thresholds.get(label, spec.threshold) * 1_000_000) for label in labels]
    return Policy(thresholds_ppm=tuple(thresholds), k=spec.k, n=spec.n, hold_windows=spec.hold_windows)


def policy_of(project: Project, run: Run, table: FeatureTable) -> Policy:
    """The decision policy of a run: as written, or chosen on its validation groups.

    Raises:
        UsageError: As `policy_for`, and `training.policy.choose`.
    """
    if not project.policy.is_chosen:
        return policy_for(project, run.labels)
    from cloud_trainer.training.policy import choose

    return choose(project.policy, run, table)
