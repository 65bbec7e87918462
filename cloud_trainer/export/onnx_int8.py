"""int8 of a multi-layer perceptron in QOperator form. One rule: between quantise and the last sum, integers only.

u8 x u8: right on every CPU (u8 x s8 saturates on x86 without VNNI), with one scale a column of weights. Static
calibration on training rows, so a row's answer does not depend on its batch. ReLU costs nothing: a layer's output
range starts at 0, and the integer kernel clamps there. The scaler before and the softmax after are float.
Not a QDQ graph: with the optimiser off that one multiplies in float between dequantise nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from cloud_trainer.export import graph, runtimes
from cloud_trainer.export.native_forms.ends import sigmoid_or_softmax
from cloud_trainer.export.onnx_float import parts_of
from cloud_trainer.export.steps import Affine, Builder, Dense8, Model, Quantise
from cloud_trainer.export.trainer import search_of
from cloud_trainer.export.trees import affine_of
from edge_runtime.errors import ContractError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Constants = dict[str, npt.NDArray[Any]]
KEEPS: Final = (1.0, 0.9999, 0.999)
BALANCES: Final = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Net:
    """A relu network on float rows: (x - mean) / scale, then layers; `ranges` are the least and greatest inputs."""

    mean: F64 | None
    scale: F64 | None
    weights: list[F64]
    biases: list[F64]
    ranges: list[tuple[float, float]]


def best_int8(
    estimator: Any, calibration: F32, *, scores_of: Callable[[bytes], F64], runtime: str = runtimes.OLDEST
) -> bytes | None:
    """The int8 model, of all pairs of `KEEPS` and `BALANCES`, whose scores of the calibration rows are closest.

    Args:
        estimator: Fitted.
        calibration: Training rows [n, features].
        scores_of: Scores [n, C] of these rows by a model, from the engine that will run it.
        runtime: The oldest onnxruntime that is to read it.

    Raises:
        ContractError: As `int8_model`.
    """
    if int8_model(estimator, calibration) is None:
        return None
    want = search_of(estimator)(calibration)
    best, least = None, np.inf
    for balance, keep in itertools.product(BALANCES, KEEPS):
        model = int8_model(estimator, calibration, keep=keep, balance=balance)
        data = graph.model_bytes(runtimes.stamped(model, runtime))
        apart = float(np.abs(scores_of(data) - want).mean())
        if apart < least:
            best, least = data, apart
    return best


def int8_model(estimator: Any, calibration: F32, *, keep: float = 1.0, balance: float = 0.0) -> Any | None:
    """ModelProto of an MLPClassifier or MLPRegressor, bare or behind a StandardScaler; None of any other estimator.

    Args:
        estimator: Fitted.
        calibration: Training rows [n, features]; their ranges become the scales.
        keep: Fraction of a layer's inputs inside its range, the rest is clipped, 0.5..1.
        balance: How much of the spread between a layer's inputs moves into its weights, 0..1.

    Raises:
        ContractError: Its hidden activation is not relu: only that one is exact in integers.
    """
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    scaler, model = parts_of(estimator)
    if not isinstance(model, MLPClassifier | MLPRegressor):
        return None
    if isinstance(model, MLPRegressor) and model.out_activation_ != "identity":
        raise ContractError(f"int8: output activation {model.out_activation_!r}: want 'identity'")
    if model.activation != "relu":
        raise ContractError(f"int8: hidden activation {model.activation!r}: want 'relu'")
    net = _net(model, scaler, calibration, keep=keep, balance=balance)
    factor = None if net.scale is None else 1 / net.scale  # a device multiplies ten times as fast as it divides
    nodes, constants = graph.scaling(net.mean, None, source="features", target="scaled", factor=factor)
    constants["scale_0"], constants["zero_0"] = _affine(*net.ranges[0])
    nodes.append(graph.node("Cast", ["scaled"], ["scaled_f"], to=graph.FLOAT))
    nodes.append(graph.node("QuantizeLinear", ["scaled_f", "scale_0", "zero_0"], ["q_0"]))
    last = len(net.weights) - 1
    for i, (weights, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        constants |= _layer(i, weights, bias, float(constants[f"scale_{i}"]))
        inputs = [f"q_{i}", f"scale_{i}", f"zero_{i}", f"w_{i}", f"w_scale_{i}", f"w_zero_{i}", f"bias_{i}"]
        if i < last:
            constants[f"scale_{i + 1}"], constants[f"zero_{i + 1}"] = _affine(*net.ranges[i + 1])
            inputs += [f"scale_{i + 1}", f"zero_{i + 1}"]
        end = "raw" if isinstance(model, MLPClassifier) else "scores"
        output = end if i == last else f"q_{i + 1}"
        nodes.append(graph.node("QGemm", inputs, [output], domain="com.microsoft"))
    return _ended(nodes, constants, model)


def int8_steps(data: bytes) -> Model:
    """The steps of an int8 model: the same integers, then the link in float64.

    Args:
        data: `int8_model`'s bytes; the steps take its constants, so that both compute the same.
    """
    proto = onnx.load_from_string(data)
    c = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    b = Builder(proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value)
    scaling = Affine(sub=c.get("mean"), mul=c.get("factor"))
    span = b.features if scaling.is_nothing else b.over(scaling, b.features)
    span = b.over(Quantise(scale=float(c["scale_0"]), zero=int(c["zero_0"])), span)
    for i in range(sum(name.startswith("w_zero_") for name in c)):
        is_last = f"scale_{i + 1}" not in c
        layer = Dense8(
            scale_x=float(c[f"scale_{i}"]),
            zero_x=int(c[f"zero_{i}"]),
            scale_y=None if is_last else float(c[f"scale_{i + 1}"]),
            zero_y=0 if is_last else int(c[f"zero_{i + 1}"]),
            scale_w=c[f"w_scale_{i}"],
            zero_w=c[f"w_zero_{i}"],
            bias=c[f"bias_{i}"],
            weights=c[f"w_{i}"],
        )
        span = b.new(layer, span, len(layer.bias))
    is_values = "scores" in proto.graph.node[-1].output and proto.graph.node[-1].op_type == "QGemm"
    return b.model(span if is_values else sigmoid_or_softmax(b, span), takes_nan=False)


def _net(model: Any, scaler: Any, rows: F32, *, keep: float, balance: float) -> Net:
    """The network with its inputs balanced: x / s and rows of weights * s are the same sums.

    Of a hidden layer 1 / s moves into the layer before, since relu(x / s) = relu(x) / s; of the first into the
    scaler. Source: Xiao and others, SmoothQuant, 2023.
    """
    mean, scale = affine_of(scaler)
    x = rows.astype(np.float64)
    x = x if mean is None else x - mean
    x = x if scale is None else x / scale
    weights = [w.astype(np.float64) for w in model.coefs_]
    biases = [b.astype(np.float64) for b in model.intercepts_]
    ranges = []
    for i in range(len(weights)):
        if balance:
            s = _balance(np.abs(x).max(axis=0), np.abs(model.coefs_[i]).max(axis=1), balance)
            x, weights[i] = x / s, weights[i] * s[:, None]
            if i == 0:
                scale = s if scale is None else scale * s
            else:
                weights[i - 1], biases[i - 1] = weights[i - 1] / s, biases[i - 1] / s
        low, high = np.quantile(x, [1 - keep, keep])
        ranges.append((min(0.0, float(low)), max(0.0, float(high))))
        x = np.maximum(x @ weights[i] + biases[i], 0)
    return Net(mean, scale, weights, biases, ranges)


def _balance(inputs: F64, weights: F64, share: float) -> F64:
    """Divisor of each input; 1 where it is always 0 or not used."""
    used = (inputs > 0) & (weights > 0)
    raw = np.where(used, inputs, 1) ** share / np.where(used, weights, 1) ** (1 - share)
    return np.where(used, np.clip(raw, 1e-6, 1e6), 1.0)


def _ended(nodes: list[Any], constants: Constants, model: Any) -> Any:
    """The model with softmax, or sigmoid and its complement where there are two classes; values are as they are."""
    n_classes = len(getattr(model, "classes_", ()))
    if n_classes == 2:
        nodes += [
            graph.node("Sigmoid", ["raw"], ["second"]),
            graph.node("Sub", ["one", "second"], ["first"]),
            graph.node("Concat", ["first", "second"], ["scores"], axis=1),
        ]
        constants["one"] = np.array(1, np.float32)
    elif n_classes:
        nodes.append(graph.node("Softmax", ["raw"], ["scores"], axis=-1))
    return graph.model_of(
        nodes,
        constants,
        n_features=model.n_features_in_,
        n_scores=n_classes or model.n_outputs_,
        score_type=graph.FLOAT,
    )


def _affine(low: float, high: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """(scale, zero point) that spread u8 over low..high."""
    scale = np.float32(max(high - low, 1e-12) / 255)
    return np.asarray(scale), np.asarray(np.uint8(np.clip(np.rint(-low / scale), 0, 255)))


def _layer(i: int, weights: F64, bias: F64, input_scale: float) -> Constants:
    """Constants of one QGemm: u8 weights with scale and zero point a column, int32 bias in the product's scale."""
    low, high = np.minimum(weights.min(axis=0), 0), np.maximum(weights.max(axis=0), 0)
    scale = (np.maximum(high - low, 1e-12) / 255).astype(np.float32)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return {
        f"w_{i}": np.clip(np.rint(weights / scale) + zero, 0, 255).astype(np.uint8),
        f"w_scale_{i}": scale,
        f"w_zero_{i}": zero.astype(np.uint8),
        f"bias_{i}": np.rint(bias / (input_scale * scale.astype(np.float64))).astype(np.int32),
    }
