"""Models that onnxruntime runs. One rule: bytes in, one thread, optimiser off; numpy and onnxruntime load on first use.

With the optimiser on, a 1.3 KB file can take 2.6 GB by constant folding, and int8 graphs turn into other ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class OrtEngine:
    """One session: float32 [N, features] in, [N, scores] out.

    Attributes:
        name: "onnxruntime".
        why: One line for a log.
        nbytes: Of the model file [bytes].
        forest: None: the stream asks this engine for scores.
    """

    name = "onnxruntime"

    def __init__(self, data: bytes, *, n_features: int, n_scores: int, why: str = "") -> None:
        """Load the model.

        Raises:
            ContractError: onnxruntime is missing or refuses the model, or its shape is another.
        """
        numpy, session = _session(data)
        self._numpy, self._session = numpy, session
        self._input, self._output = _ends(session, n_features, n_scores)
        self.forest: bytes | None = None
        self.nbytes = len(data)
        self.why = why

    def scores(self, features: memoryview[Any]) -> Sequence[float]:
        """One score a label, for one float32 vector."""
        row = self._numpy.frombuffer(features, "<f4").reshape(1, -1)
        scores: list[float] = self._session.run(self._output, {self._input: row})[0][0].tolist()
        return scores

    def scores_batch(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores [N, C] of rows [N, F], in one call. For evaluation, not for a device's decisions."""
        out: npt.NDArray[np.float64] = self._session.run(self._output, {self._input: rows})[0].astype("<f8")
        return out


def _session(data: bytes) -> tuple[Any, Any]:
    try:
        import numpy
        import onnxruntime as ort
    except ImportError as why:
        raise ContractError(
            f"this bundle needs onnxruntime, which is not installed ({why})",
            hint="pip install edgeloop[onnx], or export a forest (native)",
        ) from why
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return numpy, ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as why:  # onnxruntime's types have no common base
        first = (str(why).strip().splitlines() or [type(why).__name__])[0]
        raise ContractError(f"model: onnxruntime refuses it: {first}") from why


def _ends(session: Any, n_features: int, n_scores: int) -> tuple[str, list[str]]:
    """(input, [output]) by name, their shapes checked."""
    inputs = {one.name: one for one in session.get_inputs()}
    outputs = {one.name: one for one in session.get_outputs()}
    for what, have, name, width in (
        ("input", inputs, "features", n_features),
        ("output", outputs, "scores", n_scores),
    ):
        if name not in have:
            raise ContractError(f"model: {what} {name!r} is missing, it has {sorted(have)}")
        shape = have[name].shape
        if len(shape) != 2 or shape[1] != width:
            raise ContractError(f"model: {what} {name!r}: want [N, {width}], got {shape}")
    return "features", ["scores"]
