"""When labels are asked for: each rule of `[retrain]`, its edges, and that the file says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cloud_trainer.drift import DRIFTED, STEADY
from cloud_trainer.drift.loss import Accuracy
from cloud_trainer.drift.retrain import EXPECTED, INPUT, LABELLED, NONE, decide, policy_beside
from cloud_trainer.drift.verdict import WATCH, Verdict
from cloud_trainer.labels import Labelled
from cloud_trainer.policies import RetrainPolicy
from cloud_trainer.project import load, write_template
from edge_runtime.errors import UsageError

POLICY = RetrainPolicy()


def accuracy(value: float, *, half: float = 0.02, records: int = 500) -> Accuracy:
    return Accuracy(value=value, low=value - half, high=value + half, records=records)


def verdict(
    said: str = DRIFTED, *, device: str = "d1", before: float | None = None, since: float | None = None
) -> Verdict:
    return Verdict(
        bundle="ab" * 32, device=device, stream="main" if device else "", verdict=said, periods=9, n_windows=90,
        from_ms=0, to_ms=9, onset_period=3, alarm_period=5, log_m=9.9, log_top=9.9, log_alarm=9.1, ongoing=True,
        evidence=(), before=None if before is None else accuracy(before),
        since=None if since is None else accuracy(since),
    )  # fmt: skip


def labelled(value: float, *, half: float = 0.02, reference: float | None = 0.9) -> Labelled:
    return Labelled(
        bundle="ab" * 32, accuracy=accuracy(value, half=half), random=40, abstained=0, unknown=(), log_evidence=None,
        has_moved=False, reference=reference, reference_of="on its test groups",
    )  # fmt: skip


def rule(policy: RetrainPolicy, one: Verdict, by: Labelled | None = None) -> str:
    decision = decide(policy, one, by)
    assert decision
    return decision.rule


@pytest.mark.parametrize(
    ("value", "half", "want"),
    [
        (0.8, 0.02, LABELLED),  # 10 % lost, and sure
        (0.86, 0.02, NONE),  # 4 %: below 5 %
        (0.84, 0.09, NONE),  # 6 %, but .93 is as likely
        (0.95, 0.02, NONE),  # better than it was tested
    ],
)
@pytest.mark.parametrize("said", [STEADY, WATCH, DRIFTED])
def test_labels_that_say_accuracy_fell_are_a_reason_whatever_the_inputs_do(
    said: str, value: float, half: float, want: str
) -> None:
    assert rule(POLICY, verdict(said, device=""), labelled(value, half=half)) == want


def test_where_nothing_says_how_good_it_was_labels_are_no_reason() -> None:
    assert decide(POLICY, verdict(device=""), labelled(0.1, reference=None)) is None
    assert decide(POLICY, verdict(device="")) is None


@pytest.mark.parametrize(("since", "want"), [(0.87, EXPECTED), (0.89, NONE), (0.95, NONE), (None, NONE)])
def test_a_drifted_stream_is_a_reason_where_its_scores_expect_a_loss_and_never_alone(
    since: float | None, want: str
) -> None:
    decision = decide(POLICY, verdict(before=0.9, since=since))
    assert decision
    assert (decision.rule, decision.asks) == (want, want != NONE)
    assert ("if the scores are calibrated and only inputs moved" in decision.why) is (since is not None)


def test_input_drift_alone_is_a_reason_only_where_the_file_asks_for_it() -> None:
    asked = replace(POLICY, input_drift=True)
    assert rule(asked, verdict()) == INPUT
    assert rule(asked, verdict(before=0.9, since=0.9)) == INPUT
    assert rule(POLICY, verdict()) == NONE
    assert decide(asked, verdict(WATCH)) is None
    assert decide(asked, verdict(STEADY)) is None
    assert rule(POLICY.asking_from(0.0), verdict()) == INPUT
    assert rule(POLICY.asking_from(0.05), verdict(before=0.9, since=0.87)) == NONE


def test_the_policy_stands_in_the_project_file_beside_the_workspace(tmp_path: Path) -> None:
    assert policy_beside(tmp_path / ".edgeloop") == POLICY
    write_template(tmp_path / "edgeloop.toml")
    assert policy_beside(tmp_path / ".edgeloop") == load(tmp_path).retrain == POLICY
    text = (tmp_path / "edgeloop.toml").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(text.replace("input_drift = false", "input_drift = true").replace("records = 1000", "records = 9"))
    assert policy_beside(tmp_path / ".edgeloop", other) == replace(POLICY, input_drift=True, records=9)
    other.write_text(text.replace("expected_loss = 0.02", "expected_loss = 2"))
    with pytest.raises(UsageError, match=r"retrain\.expected_loss: want a number from 0, up to 1, got 2"):
        policy_beside(tmp_path / ".edgeloop", other)
    other.write_text(text.replace("input_drift", "input_drifts"))
    with pytest.raises(UsageError, match="did you mean 'input_drift'"):
        policy_beside(tmp_path / ".edgeloop", other)
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        policy_beside(tmp_path / ".edgeloop", tmp_path / "nowhere.toml")
