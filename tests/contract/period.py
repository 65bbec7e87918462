"""A period as a device counts it: 20 features and 3 scores of many kinds, in the core, in bins as training cuts them.

One rule: streams of the field, none of them kinder than it: half hang together from window to window, some are skewed,
heavy-tailed, mostly zero, constant or missing at times, and their units lie nine powers of ten apart.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.baseline import bins_of
from edge_runtime import native
from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.header import Header
from edge_runtime.contract.manifest import Policy
from tests.native.small import pass_through

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
FEATURES: Final = 20
SCORES: Final = 3
HEADER: Final = Header(
    device="press-07-pump-2", stream="motor", epoch=0x8123456789ABCDEF, bundle="ab" * 32, program="cd" * 32
)
N_TRAINING: Final = 5000


def counted(n_windows: int, seed: int = 0) -> BriefBatch:
    """One period of so many windows."""
    rng = np.random.default_rng(seed)
    pairs = np.stack([np.arange(N_TRAINING - 1), np.arange(1, N_TRAINING)])
    names = [f"c{i}" for i in range(FEATURES + SCORES)]
    trained = np.concatenate([features(rng, N_TRAINING), scores(rng, N_TRAINING)], axis=1)
    bins = [bins_of(name, trained[:, i], pairs) for i, name in enumerate(names)]
    stream = native.Stream(
        pass_through(FEATURES, window=2, hop=2), Policy(thresholds_ppm=(400_000,) * SCORES), bins=bins
    )
    frames: memoryview = np.repeat(features(rng, n_windows), 2, axis=0).data
    own = scores(rng, n_windows).tolist()
    sketch = native.Sketch()
    for window, ns in enumerate(latencies(rng, n_windows)):
        stream.step(frames, 2 * window, 2)
        if stream.status == "scores":  # not where a feature is missing: the model is not asked
            stream.decide(own[window])
        sketch.add(ns)
    rows, label_counts = stream.summary()
    latency_bins, latency_counts = sketch.counts()
    start_ms, first = int(rng.integers(1_780_000_000_000, 1_790_000_000_000)), int(rng.integers(10_000_000))
    return BriefBatch(
        header=HEADER, seq=int(rng.integers(100_000, 10_000_000)), period=int(rng.integers(20_000)), clock=1,
        start_ms=start_ms, end_ms=start_ms + 1280 * n_windows + 3, first_window=first, drops=0,
        last_window=first + n_windows - 1, n_windows=n_windows, label_counts=label_counts, rows=rows,
        latency_bins=latency_bins, latency_counts=latency_counts,
    )  # fmt: skip


def features(rng: np.random.Generator, n: int) -> F32:
    """float32 [n, 20]."""
    normal = rng.standard_normal
    columns = [
        9.81 + 0.02 * normal(n), 0.3 * normal(n), 55 + 4 * following(rng, n, 0.9), 1013 + 6 * following(rng, n, 0.98),
        230 + 2 * following(rng, n, 0.5), 0.08 * np.exp(0.5 * normal(n)), 12 * np.exp(following(rng, n, 0.8)),
        rng.exponential(3, n), rng.gamma(2, 100, n), 0.7 * np.abs(normal(n)), 3 + 0.4 * rng.standard_t(4, n),
        0.05 * following(rng, n, 0.9), rng.beta(2, 5, n), rng.poisson(8, n), rng.poisson(3, n) * (rng.random(n) > 0.7),
        np.ones(n), 40 + 10 * following(rng, n, 0.7), np.round(25 + 3 * following(rng, n, 0.95), 1), rng.random(n),
        1e5 * np.exp(0.2 * normal(n)),
    ]  # fmt: skip
    table = np.stack(columns, axis=1).astype(np.float32)
    table[rng.random(n) < 0.01, 3] = np.nan
    return table


def scores(rng: np.random.Generator, n: int) -> F32:
    """float32 [n, 3]: a softmax of logits that follow each other."""
    power = np.exp(np.stack([2 * following(rng, n, 0.7) for _ in range(SCORES)], axis=1))
    return np.asarray(power / power.sum(axis=1, keepdims=True), np.float32)


def following(rng: np.random.Generator, n: int, rho: float) -> F64:
    """AR(1) of variance 1."""
    values = rng.standard_normal(n)
    for i in range(1, n):
        values[i] = rho * values[i - 1] + math.sqrt(1 - rho * rho) * values[i]
    return values


def latencies(rng: np.random.Generator, n: int) -> list[int]:
    """Times about 18 us; two of a hundred wait for something else [ns]."""
    times = 18e3 * np.exp(0.12 * rng.standard_normal(n))
    late = rng.random(n) < 0.02
    times[late] *= 1 + rng.exponential(4, late.sum())
    return [int(ns) for ns in times]
