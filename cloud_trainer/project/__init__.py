"""The project file: `load` it, and ask it for its feature program and decision policy."""

from cloud_trainer.project.policy import policy_for, policy_of
from cloud_trainer.project.read import FILE, load, write_template
from cloud_trainer.project.spec import RUNTIME, Features, FieldSpec, Intervals, Project, Split

__all__ = [
    "FILE", "RUNTIME", "Features", "FieldSpec", "Intervals", "Project", "Split", "load", "policy_for", "policy_of",
    "write_template",
]  # fmt: skip
