"""Small programs, baselines and forests for the tests of the core's face."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.baseline import Bins
from edge_runtime.contract.program import Channel, Feature, Program

RATE = 20.0


def pass_through(n_channels: int = 1, *, window: int = 2, hop: int = 1) -> Program:
    """One feature a channel: the greatest value of the window."""
    return Program(
        rate_hz=RATE,
        channels=tuple(Channel(name=f"c{i}", unit="x") for i in range(n_channels)),
        window_frames=window,
        hop_frames=hop,
        features=tuple(Feature(name=f"c{i}.max", op=5, channel=i) for i in range(n_channels)),
    )


def bins(name: str, edges: Sequence[float], *, centre: float = 0.0, scale: float = 1.0) -> Bins:
    """A row of a baseline with nothing counted."""
    empty = (0,) * (len(edges) + 1)
    return Bins(name=name, edges=tuple(edges), counts=empty, n_nan=0, centre=centre, scale=scale, lag1=0.0)


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree as arrays in pre-order; feature -1 marks a leaf."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]


def floor32(t: float) -> np.float32:
    """The greatest float32 <= t."""
    near = np.float32(t)
    return near if float(near) <= t else np.nextafter(near, np.float32(-np.inf))


def encode(trees: Sequence[Tree], n_features: int) -> bytes:
    """FORMAT.md "forest", written a second time and plainly: the exporter's oracle."""
    leaves: dict[bytes, int] = {}
    roots, nodes = [], b""
    for tree in trees:
        roots.append(len(nodes) // 8)
        for i, feature in enumerate(tree.feature):
            if feature < 0:
                leaf = leaves.setdefault(tree.value[i].astype("<f8").tobytes(), len(leaves))
                nodes += struct.pack("<IHH", leaf, 0xFFFF, 0)
            else:
                nodes += struct.pack("<fHH", floor32(tree.threshold[i]), feature, tree.right[i] - i)
    table = struct.pack(f"<{len(roots)}I", *roots)
    table += bytes(-len(table) % 8)
    body = table + nodes + b"".join(leaves)
    n_outputs = len(next(iter(leaves))) // 8
    counts = (len(trees), len(nodes) // 8, len(leaves))
    return struct.pack("<4sHHIIIIQ", b"ERF1", n_features, n_outputs, *counts, 0, 32 + len(body)) + body


def stump_forest(n_features: int, n_outputs: int, *, n_trees: int = 3, seed: int = 0) -> bytes:
    """Trees of depth 1 with random splits and leaves."""
    rng = np.random.default_rng(seed)
    trees = [
        Tree(
            feature=np.array([rng.integers(n_features), -1, -1]),
            threshold=rng.standard_normal(3),
            right=np.array([2, 0, 0]),
            value=rng.dirichlet(np.ones(n_outputs), 3),
        )
        for _ in range(n_trees)
    ]
    return encode(trees, n_features)
