"""Training: a feature table in, runs out. One rule: a group is in training or in test, never in both."""

from cloud_trainer.training.metrics import confusion, evaluate
from cloud_trainer.training.split import SplitRows, split
from cloud_trainer.training.track import Run, load_run
from cloud_trainer.training.train import best, train_all

__all__ = ["Run", "SplitRows", "best", "confusion", "evaluate", "load_run", "split", "train_all"]
