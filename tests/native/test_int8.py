"""Layers of uint8 in the core have the bits of onnxruntime's QuantizeLinear and QGemm."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import native

N_ROWS = 2000
Layer = dict[str, Any]


def net(sizes: tuple[int, ...], seed: int) -> list[Layer]:
    """Random layers; scales such that sums fill the range, and some leave it."""
    rng = np.random.default_rng(seed)
    layers = []
    for i, (n, m) in enumerate(pairwise(sizes)):
        last = i == len(sizes) - 2
        scale_w = rng.uniform(0.5, 1.5, m).astype(np.float32) / np.float32(64)
        layer = {
            "w": rng.integers(0, 256, (n, m), dtype=np.uint8),
            "zero_w": rng.integers(100, 156, m).astype(np.uint8),
            "scale_w": scale_w,
            "bias": rng.integers(-3000, 3000, m).astype(np.int32),
            "scale_y": None if last else np.float32(rng.uniform(0.4, 0.6) * np.sqrt(n) / 8),
            "zero_y": 0 if last else int(rng.integers(0, 256)),
        }
        layers.append(layer)
    return layers


def graph(layers: list[Layer], scale: np.float32, zero: int) -> bytes:
    """QuantizeLinear and QGemm, as the exporter ships them."""
    from onnx import TensorProto, helper, numpy_helper

    n, m = layers[0]["w"].shape[0], layers[-1]["w"].shape[1]
    constants: dict[str, Any] = {"s": scale, "z": np.uint8(zero)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q0"])]
    a = ["q0", "s", "z"]
    for i, layer in enumerate(layers):
        last = layer["scale_y"] is None
        names = {f"{key}{i}": layer[key] for key in ("w", "scale_w", "zero_w", "bias")}
        if not last:
            names |= {f"scale_y{i}": layer["scale_y"], f"zero_y{i}": np.uint8(layer["zero_y"])}
        constants |= names
        out = "y" if last else f"q{i + 1}"
        inputs = [*a, f"w{i}", f"scale_w{i}", f"zero_w{i}", f"bias{i}"]
        ends = [] if last else [f"scale_y{i}", f"zero_y{i}"]
        nodes.append(helper.make_node("QGemm", inputs + ends, [out], domain="com.microsoft"))
        a = [out, *ends]
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", n])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", m])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString())


def erm(layers: list[Layer], scale: np.float32, zero: int) -> bytes:
    """FORMAT.md "model", written plainly."""
    n = layers[0]["w"].shape[0]
    steps, bodies, at = [(3004, 0, 0, n, n, n)], [struct.pack("<fI", scale, zero)], n
    scale_x, zero_x = scale, zero
    for layer in layers:
        n, m = layer["w"].shape
        scale_y, wide = layer["scale_y"], -m % 8
        body = struct.pack("<fIfI", scale_x, zero_x, scale_y or 0.0, layer["zero_y"])
        for key, kind in (("scale_w", "<f4"), ("zero_w", "u1"), ("bias", "<i4")):
            body += np.pad(layer[key], (0, wide)).astype(kind).tobytes()
        body += np.pad(layer["w"].T, ((0, 0), (0, -n % 16))).tobytes()
        steps.append((3005, int(scale_y is not None), at, n, at + n, m))
        bodies.append(body)
        at += n
        scale_x, zero_x = scale_y, layer["zero_y"]
    start = 40 + 40 * len(steps)
    table = b""
    for step, body in zip(steps, bodies, strict=True):
        table += struct.pack("<2H5I2Q", *step, 0, start, len(body))
        start += len(body)
    n, m = layers[0]["w"].shape[0], layers[-1]["w"].shape[1]
    return struct.pack("<4s2H4I2Q", b"ERM1", n, m, len(steps), at + m, at, 0, start, 0) + table + b"".join(bodies)


def rows_of(n: int, scale: np.float32, seed: int) -> NDArray[np.float32]:
    """Ordinary rows, rows on the halves between two steps and a float beside, and huge ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 60, (N_ROWS, n)).astype(np.float32) * scale
    halves = (rng.integers(-140, 140, (N_ROWS // 4, n)) + np.float32(0.5)).astype(np.float32) * scale
    x[: len(halves)] = halves
    x[: len(halves) : 3] = np.nextafter(x[: len(halves) : 3], np.float32(np.inf))
    x[-5:] *= np.float32(1e30)
    return x


@pytest.mark.parametrize("sizes", [(1, 1), (7, 3), (16, 16, 4), (30, 64, 64, 3), (144, 33, 10), (561, 20, 6)])
def test_layers_have_the_bits_of_onnxruntime(sizes: tuple[int, ...]) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    layers, scale, zero = net(sizes, seed=len(sizes) + sizes[0]), np.float32(0.037), 117
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph(layers, scale, zero), options, providers=["CPUExecutionProvider"])
    rows = rows_of(sizes[0], scale, seed=3)
    want = session.run(None, {"x": rows})[0].astype(np.float64)
    model = native.Model(erm(layers, scale, zero))
    assert model.steps == ("quantise", *["dense8"] * (len(sizes) - 1))
    have = np.frombuffer(model.scores_batch(rows.reshape(-1))).reshape(want.shape)
    assert len(np.unique(want[:, 0])) > 50
    assert have.tobytes() == want.tobytes()
