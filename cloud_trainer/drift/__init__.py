"""Drift: has the world changed under the model? Alarms with a stated rate, and what to relabel."""

from cloud_trainer.drift.detector import Rule
from cloud_trainer.drift.judge import RetrainRequest, judge, retrain_request
from cloud_trainer.drift.verdict import DRIFTED, STEADY, WATCH, Verdict

__all__ = ["DRIFTED", "STEADY", "WATCH", "RetrainRequest", "Rule", "Verdict", "judge", "retrain_request"]
