"""The report: one HTML file that says how a model fares in the field, and shows why."""

from cloud_trainer.report.facts import Facts
from cloud_trainer.report.gather import gather
from cloud_trainer.report.page import render

__all__ = ["Facts", "gather", "render"]
