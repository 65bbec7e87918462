"""What the summary costs in the hot call: a window with the counts against the same window without.

tally_ns   a feature or score of a window: 20 features of the training data's spread, 3 scores, ten bins each
sketch_ns  the time of a decision into the sketch, by the call from Python
"""

from __future__ import annotations

import random
import timeit
from array import array
from itertools import pairwise

from edge_runtime import native
from edge_runtime.contract.baseline import Bins
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Program

FEATURES, SCORES, WINDOWS, REPEATS = 20, 3, 50, 600  # short pieces: some of them run undisturbed
MAX_OP = 5  # of two frames: next to nothing, so that the counts are most of the call


def figures() -> dict[str, float]:
    """Both, in ns; least of interleaved repeats."""
    program = Program(
        rate_hz=100.0, window_frames=2, hop_frames=2,
        channels=tuple(Channel(name=f"c{i}", unit="1") for i in range(FEATURES)),
        features=tuple(Feature(name=f"c{i}.max", op=MAX_OP, channel=i) for i in range(FEATURES)),
    )  # fmt: skip
    rng = random.Random(1)  # noqa: S311
    frames = memoryview(array("f", [rng.gauss(0, 1) for _ in range(2 * WINDOWS * FEATURES)]))
    policy = Policy(thresholds_ppm=(0,) * SCORES)
    rows = tuple(_bins(f"r{i}") for i in range(FEATURES + SCORES))
    with_counts, without = (native.Stream(program, policy, bins=bins) for bins in (rows, ()))
    best = {True: float("inf"), False: float("inf")}
    for _ in range(REPEATS):
        for counts, stream in ((True, with_counts), (False, without)):
            best[counts] = min(best[counts], timeit.timeit(lambda one=stream: _play(one, frames), number=1))  # type: ignore[misc]
    sketch = native.Sketch()
    calls = min(timeit.repeat(lambda: sketch.add(15_123), number=WINDOWS, repeat=REPEATS))
    return {
        "tally_ns": round(1e9 * (best[True] - best[False]) / WINDOWS / (FEATURES + SCORES), 1),
        "sketch_ns": round(1e9 * calls / WINDOWS, 1),
    }


def _play(stream: native.Stream, frames: memoryview) -> None:
    scores = (0.7, 0.2, 0.1)
    for window in range(WINDOWS):
        stream.step(frames, 2 * window, 2)
        stream.decide(scores)


def _bins(name: str) -> Bins:
    edges = (-1.4, -1.0, -0.7, -0.4, -0.2, 0.0, 0.2, 0.4, 0.7, 1.0, 1.4)
    exact = tuple(array("f", edges))
    assert all(a < b for a, b in pairwise(exact))
    return Bins(name=name, edges=exact, counts=(0,) * 12, n_nan=0, centre=0.0, scale=1.0, lag1=0.0)


if __name__ == "__main__":
    for key, value in figures().items():
        print(f"  {key:<36}{value:>12}")
