"""From frames to a decision, one window at a time: 6 x 256 frames -> 150 features -> scaler -> a network 64-64.

core               the whole of it in one call of the C core, from Python, the decision policy and its margin included
numpy_sklearn      features vectorised over the channels by hand in float32, then predict_proba of one row by its own
                   pipeline
numpy_onnxruntime  the same features, then a session of onnxruntime: skl2onnx's own float32 graph, zipmap off, one
                   thread, its optimiser on
Each window is another one; `labels_differ` says how often a rival decides otherwise. The ratios are of medians of
turns: ten windows each, one contestant after the other, so that all meet the same moments of a shared machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from itertools import cycle
from statistics import median
from typing import Any

import numpy as np

from bench import monitor
from bench.bench_features import CHANNELS, WINDOW
from edge_runtime import native

N_WINDOWS = 200


def windows() -> Any:
    return monitor.windows()[0][:N_WINDOWS]


def by_core() -> Callable[[int], int]:
    stream = native.Stream(monitor.program(), monitor.POLICY, model=monitor.erm())
    block = windows().reshape(-1)

    def decide(k: int) -> int:
        stream.step(block, k * WINDOW, WINDOW)
        return stream.decision.label

    return decide


def by_sklearn() -> Callable[[int], int]:
    answer = monitor.fitted().predict_proba
    x = windows()
    return lambda k: int(answer(monitor.row_by_numpy(x[k])[None])[0].argmax())


@cache
def session() -> Any:
    import onnxruntime
    from skl2onnx import to_onnx

    made = to_onnx(
        monitor.fitted(), monitor.rows()[:1], options={"zipmap": False}, target_opset={"": 22, "ai.onnx.ml": 3}
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(made.SerializeToString(), options)


def by_onnxruntime() -> Callable[[int], int]:
    run, x = session().run, windows()

    def decide(k: int) -> int:
        row = monitor.row_by_numpy(x[k]).astype(np.float32, copy=False)[None]
        return int(run(["probabilities"], {"X": row})[0][0].argmax())

    return decide


def through(benchmark: Any, decide: Callable[[int], int]) -> None:
    """A window a call, each in its turn."""
    turn = cycle(range(N_WINDOWS))
    benchmark.group = f"{CHANNELS} x {WINDOW} frames -> {monitor.N_FEATURES} features -> network 64-64 -> label"
    benchmark.extra_info["prefix"] = "e2e_"
    benchmark(lambda: decide(next(turn)))


def test_core(benchmark: Any) -> None:
    """One call."""
    through(benchmark, by_core())


def test_numpy_sklearn(benchmark: Any) -> None:
    """Features by hand, then scikit-learn."""
    through(benchmark, by_sklearn())


def test_numpy_onnxruntime(benchmark: Any) -> None:
    """Features by hand, then onnxruntime."""
    through(benchmark, by_onnxruntime())


def figures(_results: dict[str, float]) -> dict[str, float]:
    """The ratios in turns, and how many of the windows a rival decides otherwise."""
    contestants = {"core": by_core(), "numpy_sklearn": by_sklearn(), "numpy_onnxruntime": by_onnxruntime()}
    labels = {name: [decide(k) for k in range(N_WINDOWS)] for name, decide in contestants.items()}
    differ = sum(a != b for name in contestants for a, b in zip(labels["core"], labels[name], strict=True))
    times = in_turns(contestants)
    ratios = {f"e2e_x_{name}": round(times[name] / times["core"], 2) for name in times if name != "core"}
    for name, ratio in ratios.items():
        print(f"  in turns: {name} {ratio}")
    return ratios | {"labels_differ": differ, "labels_compared": 2 * N_WINDOWS}


def in_turns(
    contestants: dict[str, Callable[[int], int]], *, rounds: int = 200, n_windows: int = 10
) -> dict[str, float]:
    """Median CPU time of a turn [s]."""
    turn, times = cycle(range(N_WINDOWS)), {name: list[float]() for name in contestants}
    for _ in range(rounds):
        some = [next(turn) for _ in range(n_windows)]
        for name, decide in contestants.items():
            before = time.process_time()
            for k in some:
                decide(k)
            times[name].append(time.process_time() - before)
    return {name: median(taken) for name, taken in times.items()}
