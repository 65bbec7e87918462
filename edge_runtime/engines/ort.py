"""Models that onnxruntime runs. One rule: bytes that were inspected, one thread, the optimiser off, a limit of time.

With the optimiser on, a 1.3 KB file can take 2.6 GB by constant folding, and int8 graphs turn into other ones.
A row goes through the C API of the wheel's own library, which loads neither numpy nor onnxruntime's package; where that
library is not found, and for batches, through the package.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial

from edge_runtime import native
from edge_runtime.engines.watchdog import Watchdog
from edge_runtime.errors import BudgetError, ContractError
from edge_runtime.lean import TYPE_CHECKING, Any, Protocol

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
        self._data = data
        self._package: PackageSession | None = None
        self._session: Session = _session(data, n_features, n_scores) or self._by_package()
        self._watchdog = Watchdog(run_limit_s)
        weakref.finalize(self, self._watchdog.close)
        self.model: bytes | None = None
        self.nbytes = len(data)
        self.why = ", ".join(filter(None, (why, self._session.why)))

    def scores(self, features: memoryview[Any]) -> Sequence[float]:
        """One score a label, for one float32 vector."""
        scores: Sequence[float] = self._watched(self._session, partial(self._session.scores, features))
        return scores

    def scores_batch(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Scores [N, C] of rows [N, F], in one call. For evaluation, not for a device's decisions."""
        package = self._by_package()
        out: npt.NDArray[np.float64] = self._watched(package, partial(package.run, rows), times=max(1, len(rows)))
        return out.astype("<f8")

    def _by_package(self) -> PackageSession:
        if self._package is None:
            self._package = PackageSession(self._data)
        return self._package

    def _watched(self, session: Session, run: Callable[[], Any], *, times: int = 1) -> Any:
        failure, scores = None, None
        self._watchdog.begin(session.stop, times=times)
        try:
            scores = run()
        except Exception as why:  # onnxruntime's types have no common base
            failure = why
        is_late = self._watchdog.end()
        if is_late:
            session.go_on()
        if failure is None:
            return scores
        if not is_late:
            raise failure
        raise BudgetError(
            f"model: a run took over {self._watchdog.limit_s:g} s a row, the limit, and was ended",
            hint="do not run this model on this device: export a smaller one",
        ) from failure


class Session(Protocol):
    """One model loaded by onnxruntime.

    Attributes:
        why: Which way it is run, for a log.
    """

    why: str

    def scores(self, features: memoryview[Any], /) -> Sequence[float]:
        """Of one row."""
        ...

    def stop(self) -> None:
        """End the run that another thread waits for."""

    def go_on(self) -> None:
        """Runs are welcome again."""


def _session(data: bytes, n_features: int, n_scores: int) -> Session | None:
    library = native.ort_library()
    if library is None:
        return None
    return native.OrtSession(library, data, n_features=n_features, n_scores=n_scores)


class PackageSession:
    """Through the Python package.

    Attributes:
        why: Which way it is run, for a log.

    Raises:
        ContractError: It is not installed, or refuses the model.
    """

    def __init__(self, data: bytes) -> None:
        self._numpy, self._ort, self._session = _loaded(data)
        self.why = f"onnxruntime {self._ort.__version__} by its Python package"
        self.go_on()

    def run(self, rows: Any) -> Any:
        """Scores [N, C] of rows [N, F]."""
        return self._session.run(["scores"], {"features": rows}, self._options)[0]

    def scores(self, features: memoryview[Any]) -> Sequence[float]:
        """Of one row."""
        scores: list[float] = self.run(self._numpy.frombuffer(features, "<f4").reshape(1, -1))[0].tolist()
        return scores

    def stop(self) -> None:
        """End the run that another thread waits for."""
        self._options.terminate = True

    def go_on(self) -> None:
        """Runs are welcome again: the flag stays set in the old options."""
        self._options = self._ort.RunOptions()
        self._options.log_severity_level = 4  # as of the session


WHEELS = ("x86_64", "amd64", "aarch64", "arm64")
"""Machines that onnxruntime has wheels for, with glibc 2.28 or newer, on Windows and on a Mac."""


def _way_out() -> str:
    import platform

    machine, is_musl = platform.machine(), sys.platform == "linux" and platform.libc_ver()[0] != "glibc"
    if machine.lower() in WHEELS and not is_musl:
        return "pip install edgeloop[onnx], or export a model that has a native form"
    return (
        f"there is none for {machine}{' with musl' if is_musl else ''}: export a model that has a native form, "
        "as trees, linear models and networks do"
    )


def _loaded(data: bytes) -> tuple[Any, Any, Any]:
    """(numpy, onnxruntime, session)."""
    try:
        import numpy
        import onnxruntime as ort
    except ImportError as why:
        raise ContractError(f"this bundle needs onnxruntime, which is not installed ({why})", hint=_way_out()) from why
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # as by the C API: memory that grows, stays
    try:
        return numpy, ort, ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as why:  # onnxruntime's types have no common base
        first = (str(why).strip().splitlines() or [type(why).__name__])[0]
        raise ContractError(f"model: onnxruntime refuses it: {first}") from why
