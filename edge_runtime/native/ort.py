"""A session of onnxruntime by its C API (ort.h): neither its Python package nor numpy is loaded.

That saves about 20 MB of memory and 4 µs a row. One rule: the library is the one in the installed wheel, found
without importing it.
"""

from __future__ import annotations

from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.status import Floats, floats

if TYPE_CHECKING:
    from pathlib import Path


def ort_library() -> Path | None:
    """The shared library in the installed wheel of onnxruntime; None where there is none."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("onnxruntime")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob("capi/libonnxruntime.so.*")):
            return path
    return None


class OrtSession:
    """One model, one thread: float32 [1, features] "features" in, [1, scores] "scores" out.

    Attributes:
        why: Which way it is run, for a log.

    Raises:
        ContractError: The library cannot be loaded, or it refuses the model, or the shapes are others.
    """

    def __init__(self, library: Path, data: bytes, *, n_features: int, n_scores: int) -> None:
        model = ffi.from_buffer(data)
        handle = lib.el_ort_open(str(library).encode(), model, len(data), n_features, n_scores)
        if handle == ffi.NULL:
            raise MemoryError
        self._handle = ffi.gc(handle, lib.el_ort_close)
        self._n_features = n_features
        self._out = ffi.new("double[]", n_scores)
        if said := self._error():
            raise ContractError(f"model: onnxruntime refuses it: {said}")
        self.why = f"onnxruntime {ffi.string(lib.el_ort_version(self._handle)).decode()} by its C API"

    def scores(self, features: Floats) -> tuple[float, ...]:
        """One score a label, for one vector of float32.

        Raises:
            ContractError: The run failed, or `stop` ended it.
        """
        x, n, _keep = floats(features, what="features")
        if n != self._n_features:
            raise ValueError(f"features: {n} values, the model reads {self._n_features}")
        if not lib.el_ort_run(self._handle, x, self._out):
            raise ContractError(f"model: onnxruntime failed: {self._error()}")
        return tuple(self._out)

    def stop(self) -> None:
        """End the run that another thread waits for, with an error, and every later one until `go_on`."""
        lib.el_ort_stop(self._handle, 1)

    def go_on(self) -> None:
        """Runs are welcome again."""
        lib.el_ort_stop(self._handle, 0)

    def _error(self) -> str:
        said: Any = ffi.string(lib.el_ort_error(self._handle)).decode(errors="replace")
        return (str(said).strip().splitlines() or [""])[0]
