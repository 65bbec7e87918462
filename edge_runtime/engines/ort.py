"""Models that onnxruntime runs. One rule: bytes that were inspected, one thread, the optimiser off, a limit of time.

With the optimiser on, a 1.3 KB file can take 2.6 GB by constant folding, and int8 graphs turn into other ones.
numpy and onnxruntime load on first use.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from edge_runtime.engines.watchdog import Watchdog
from edge_runtime.errors import BudgetError, ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


RUN_LIMIT_S = 1.0
"""Of one run, unless the engine is told otherwise: the slowest model we export takes 1 ms."""


class OrtEngine:
    """One session: float32 [N, features] in, [N, scores] out.

    Attributes:
        name: "onnxruntime".
        why: One line for a log.
        nbytes: Of the model file [bytes].
        model: None: the stream asks this engine for scores.
    """

    name = "onnxruntime"

    def __init__(
        self, data: bytes, *, n_features: int, n_scores: int, why: str = "", run_limit_s: float = RUN_LIMIT_S
    ) -> None:
        """Inspect the model, then load it.

        Args:
            data: The model.
            n_features: Columns of its input "features".
            n_scores: Columns of its output "scores".
            why: One line for a log.
            run_limit_s: A run that takes longer is ended [s]. onnxruntime looks between two operators, so a single
                operator is not cut short.

        Raises:
            ContractError: The model is not on the allow-list or of another shape, or onnxruntime is missing or
                refuses it.
            BudgetError: Its tensors may grow too large.
        """
        from edge_runtime.engines.onnx import inspect_model

        inspect_model(data, n_features=n_features, n_scores=n_scores)
        self._numpy, self._ort, self._session = _session(data)
        self._options, self._stop = _run_options(self._ort)
        self._watchdog = Watchdog(run_limit_s)
        weakref.finalize(self, self._watchdog.close)
        self.model: bytes | None = None
        self.nbytes = len(data)
        self.why = why

    def scores(self, features: memoryview[Any]) -> Sequence[float]:
        """One score a label, for one float32 vector."""
        row = self._numpy.frombuffer(features, "<f4").reshape(1, -1)
        scores: list[float] = self._run(row)[0].tolist()
        return scores

    def scores_batch(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores [N, C] of rows [N, F], in one call. For evaluation, not for a device's decisions."""
        out: npt.NDArray[np.float64] = self._run(rows).astype("<f8")
        return out

    def _run(self, rows: Any) -> Any:
        failure = None
        self._watchdog.begin(self._stop, times=max(1, len(rows)))
        try:
            scores = self._session.run(["scores"], {"features": rows}, self._options)[0]
        except Exception as why:  # onnxruntime's types have no common base
            failure = why
        is_late = self._watchdog.end()
        if is_late:  # the flag stays set in the old ones
            self._options, self._stop = _run_options(self._ort)
        if failure is None:
            return scores
        if not is_late:
            raise failure
        raise BudgetError(
            f"model: a run took over {self._watchdog.limit_s:g} s a row, the limit, and was ended",
            hint="do not run this model on this device: export a smaller one",
        ) from failure


def _run_options(ort: Any) -> tuple[Any, Callable[[], None]]:
    """(options of a run, what ends it)."""
    options = ort.RunOptions()
    options.log_severity_level = 4  # as of the session
    return options, partial(setattr, options, "terminate", True)


def _session(data: bytes) -> tuple[Any, Any, Any]:
    """(numpy, onnxruntime, session)."""
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
        return numpy, ort, ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as why:  # onnxruntime's types have no common base
        first = (str(why).strip().splitlines() or [type(why).__name__])[0]
        raise ContractError(f"model: onnxruntime refuses it: {first}") from why
