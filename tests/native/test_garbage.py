"""A stream in a reference cycle is collected cleanly, whatever its frames came in."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc
from array import array
from edge_runtime.native import Stream
from edge_runtime.contract.manifest import Policy
from tests.update.bundles import PROGRAM, forest

class Knot:
    pass

for _ in range(200):
    knot = Knot()
    knot.frames = memoryview(array("f", bytes(4 * 32)))
    knot.stream = Stream(PROGRAM, Policy(thresholds_ppm=(0, 0)), model=forest())
    knot.stream.step(knot.frames, 0, 32)
    knot.view = knot.stream.features
    knot.self = knot
    del knot
gc.collect()
print("whole")
"""


def test_a_stream_in_a_cycle_is_collected_without_a_crash() -> None:
    """A pointer that pins a memoryview itself crashed a daemon at its exit (see `native.status.floats`)."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")
