"""What every operator means, in numpy and float64. One rule: the kernel in csrc/er_ops_*.c agrees, not the reverse.

For tests and tools only: nothing on a device or in training computes a feature here.
"""

from edge_runtime.features.reference import (
    filters,
    filters_fir,
    filters_iir,
    mel,
    order,
    pair,
    row,
    shape,
    spectrum,
    time,
)
from edge_runtime.features.reference.filters import FILTERS
from edge_runtime.features.reference.row import ROWS
from edge_runtime.features.reference.table import OPS, Reference, Tolerance, Window

__all__ = [
    "FILTERS",
    "OPS",
    "ROWS",
    "Reference",
    "Tolerance",
    "Window",
    "filters",
    "filters_fir",
    "filters_iir",
    "mel",
    "order",
    "pair",
    "row",
    "shape",
    "spectrum",
    "time",
]
