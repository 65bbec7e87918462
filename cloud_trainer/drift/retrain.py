"""When to ask for labels and train again, by `[retrain]` of the project file. Pure, but for reading that file.

labelled loss   labels say that accuracy fell by more than `labelled_loss`, and by their interval it did fall.
expected loss   a stream drifted, and its scores expect more than `expected_loss` less accuracy (CBPE, see `loss`).
input drift     a stream drifted, whatever it costs: only where `input_drift` is set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud_trainer.drift.loss import ASSUMES
from cloud_trainer.drift.verdict import DRIFTED
from cloud_trainer.policies import RetrainPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from cloud_trainer.drift.verdict import Verdict
    from cloud_trainer.labels import Labelled

LABELLED, EXPECTED, INPUT, NONE = "labelled loss", "expected loss", "input drift", ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says of a verdict."""

    rule: str  # that asks for labels; "" where none does
    why: str  # a sentence without a full stop

    @property
    def asks(self) -> bool:
        """Labels are wanted, and then a new model."""
        return self.rule != NONE

    @property
    def told(self) -> str:
        """For a terminal or a report."""
        return f"{'retrain' if self.asks else 'no need to retrain'}: {self.why}"


def policy_beside(workspace: Path, project: Path | None = None) -> RetrainPolicy:
    """That of the project file, which stands beside its workspace unless it is named; the usual one where none is.

    Raises:
        UsageError: The file is no project.
    """
    from cloud_trainer.project import FILE, load

    path = project or workspace.parent / FILE
    return load(path).retrain if project or path.is_file() else RetrainPolicy()


def decide(policy: RetrainPolicy, verdict: Verdict, labelled: Labelled | None = None) -> Decision | None:
    """What to do about a verdict: of the model by its labels, of a stream by its scores; None: nothing to say.

    Args:
        policy: The numbers.
        verdict: Of the model or of a stream.
        labelled: What the labels of the bundle say.
    """
    if not verdict.device:
        return _by_labels(policy, labelled) if labelled else None
    return _by_scores(policy, verdict) if verdict.verdict == DRIFTED else None


def _by_labels(policy: RetrainPolicy, labelled: Labelled) -> Decision | None:
    accuracy, reference = labelled.accuracy, labelled.reference
    if accuracy is None or reference is None:
        return None
    said = (
        f"labelled loss {labelled.loss:.1%} ({reference:.1%} {labelled.reference_of}, {accuracy.value:.1%} by labels)"
    )
    if labelled.loss <= policy.labelled_loss:
        return Decision(rule=NONE, why=f"{said} is not above {policy.labelled_loss:.1%}")
    if accuracy.high >= reference:
        return Decision(
            rule=NONE, why=f"{said} is above {policy.labelled_loss:.1%}, but {accuracy.records} labels may err so far"
        )
    return Decision(rule=LABELLED, why=f"{said} is above {policy.labelled_loss:.1%}")


def _by_scores(policy: RetrainPolicy, verdict: Verdict) -> Decision:
    loss = verdict.loss
    unknown = "how good it was before is not known" if verdict.since else "no score says what it costs"
    said = unknown if math.isnan(loss) else f"expected loss {loss:.1%}, {ASSUMES},"
    if loss > policy.expected_loss:
        return Decision(rule=EXPECTED, why=f"{said} is above {policy.expected_loss:.1%}")
    if policy.input_drift:
        return Decision(rule=INPUT, why=f"{said.rstrip(',')}; the inputs have drifted, which is enough (input_drift)")
    why = "and input drift alone is not enough" if math.isnan(loss) else f"is not above {policy.expected_loss:.1%}"
    return Decision(rule=NONE, why=f"{said} {why}")
