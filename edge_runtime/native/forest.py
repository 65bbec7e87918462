"""A forest of the core (FORMAT.md "forest"): bytes checked once, then scores."""

from __future__ import annotations

from array import array
from typing import Any

from edge_runtime.errors import ContractError
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.status import Floats, floats, memory


class Forest:
    """One tree ensemble, read in place.

    Attributes:
        nbytes: Of the file [bytes].
        n_trees: Trees.
        n_features: Length of a row.
        n_outputs: Scores of a row.

    Raises:
        ContractError: The bytes break the format.
    """

    def __init__(self, data: bytes) -> None:
        self.nbytes = len(data)
        self._bytes: Any = ffi.from_buffer(data)
        if int(ffi.cast("uintptr_t", self._bytes)) % 8:
            self._bytes = memory(self.nbytes)
            ffi.memmove(self._bytes, data, self.nbytes)
        self._view = ffi.new("er_forest *")
        if lib.er_forest_open(self._view, self._bytes, self.nbytes) != lib.ER_OK:
            raise ContractError(
                f"forest: {self.nbytes} bytes that break the format ERF1", hint="export the bundle again"
            )
        self.n_trees: int = self._view.n_trees
        self.n_features: int = self._view.n_features
        self.n_outputs: int = self._view.n_outputs
        self._out = ffi.new("double[]", self.n_outputs)

    def scores(self, features: Floats) -> tuple[float, ...]:
        """Mean of the trees' leaves for one row, added in double in tree order.

        Args:
            features: float32, `n_features` values, none of them NaN.
        """
        x, n, _keep = floats(features, what="features")
        if n != self.n_features:
            raise ValueError(f"features: {n} values, the forest reads {self.n_features}")
        lib.er_forest_scores(self._view, x, self._out)
        return tuple(self._out)

    def scores_batch(self, rows: Floats) -> array[float]:
        """Scores of every row, row-major; the same numbers as one row at a time.

        Args:
            rows: float32, row-major, a whole number of rows.
        """
        x, n, _keep = floats(rows, what="rows")
        n_rows, rest = divmod(n, self.n_features)
        if rest:
            raise ValueError(f"rows: {n} values are no whole number of rows of {self.n_features}")
        out = array("d", bytes(8 * n_rows * self.n_outputs))
        scores = ffi.from_buffer("double[]", out)
        for row in range(n_rows):
            lib.er_forest_scores(self._view, x + row * self.n_features, scores + row * self.n_outputs)
        return out
