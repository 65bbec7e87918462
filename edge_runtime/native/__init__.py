"""The C core (csrc/) as Python sees it. One rule: nothing else imports the compiled module, and no pointer leaves here.

Standard library alone at import. What an operator means: `edge_runtime.features.reference`; what a document
means: `edge_runtime.contract`.
"""

from edge_runtime.native.model import Model
from edge_runtime.native.operators import Operator, operators
from edge_runtime.native.ort import OrtSession, ort_library
from edge_runtime.native.program import batch, channel_pace, check_program, state_bytes
from edge_runtime.native.rows import Rows
from edge_runtime.native.sketch import Sketch
from edge_runtime.native.status import fpu_check, one_heap, trim
from edge_runtime.native.stream import FAR, NAN, Decision, Stream
from edge_runtime.native.walk import FILLED, RESET, ClockCounts, Walked, batch_at

__all__ = [
    "FAR",
    "FILLED",
    "NAN",
    "RESET",
    "ClockCounts",
    "Decision",
    "Model",
    "Operator",
    "OrtSession",
    "Rows",
    "Sketch",
    "Stream",
    "Walked",
    "batch",
    "batch_at",
    "channel_pace",
    "check_program",
    "fpu_check",
    "one_heap",
    "operators",
    "ort_library",
    "state_bytes",
    "trim",
]
