"""Feature programs from words. One rule: a program names operators; the C core computes them, in training and live.

What an operator means stands in `edge_runtime.features.reference`, for tests and tools only.
"""

from edge_runtime.features.program import build_program, describe

__all__ = ["build_program", "describe"]
