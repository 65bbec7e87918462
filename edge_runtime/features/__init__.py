"""Feature programs from words. One rule: a program names operators; the C core computes them, in training and live.

What an operator means stands in `edge_runtime.features.reference`, for tests and tools only.
"""

from edge_runtime.features.builder import ProgramBuilder
from edge_runtime.features.program import build_program
from edge_runtime.features.show import describe, describe_html
from edge_runtime.features.shown import FeatureProgram

__all__ = ["FeatureProgram", "ProgramBuilder", "build_program", "describe", "describe_html"]
