"""A model of the core (FORMAT.md "model" and "forest"): bytes checked once, then scores."""

from __future__ import annotations

import struct
from array import array

from edge_runtime.errors import ContractError
from edge_runtime.lean import Any
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.status import Floats, floats, memory, text_of

STEPS = (
    "trees",
    "affine",
    "dense",
    "dense32",
    "quantise",
    "dense8",
    "unary",
    "softmax",
    "pair",
    "normalise",
    "distance",
    "gauss",
    "lerp",
    "blend",
    "vote",
    "pick",
    "trees_small",
    "trees_paired",
)
"""Kinds of steps by id, from 3000 on."""
_FIRST_STEP = 3000
_HEADER, _STEP = struct.Struct("<4s2H4I2Q"), struct.Struct("<2H5I2Q")


class Model:
    """One model, read in place.

    Attributes:
        nbytes: Of the file [bytes].
        scratch_bytes: That a run works in [bytes].
        steps: Kind of each step in order; ("forest",) for a file of the format ERF1.
        n_trees: Of all its steps.
        n_features: Length of a row.
        n_outputs: Scores of a row.
        takes_nan: A row may hold NaN: a missing value.

    Raises:
        ContractError: The bytes break their format, or this build has no such step.
    """

    def __init__(self, data: bytes) -> None:
        self.nbytes = len(data)
        self._bytes: Any = ffi.from_buffer(data)
        if int(ffi.cast("uintptr_t", self._bytes)) % 8:
            self._bytes = memory(self.nbytes)
            ffi.memmove(self._bytes, data, self.nbytes)
        self._view = ffi.new("er_model *")
        status = lib.er_model_open(self._view, self._bytes, self.nbytes)
        if status == lib.ER_EOP:
            raise ContractError(
                f"model: a step of {sorted(set(_ops(data)))} is not in this build",
                hint="install the edgeloop version that exported this bundle, or a newer one",
            )
        if status != lib.ER_OK:
            what, name = ("forest", "ERF1") if data[:4] == b"ERF1" else ("model", "ERM1")
            raise ContractError(
                f"{what}: {self.nbytes} bytes that break the format {name} ({text_of(status)})",
                hint="export the bundle again",
            )
        self.n_features: int = self._view.n_features
        self.n_outputs: int = self._view.n_outputs
        self.takes_nan = bool(self._view.flags & lib.ER_MODEL_TAKES_NAN)
        self.scratch_bytes: int = lib.er_model_size(self._view)
        self.steps, self.n_trees = _content(data, self._view)
        self._row_bytes = 4 * self.n_features
        self._scratch = memory(self.scratch_bytes)
        self._out = ffi.new("double[]", self.n_outputs)

    def scores(self, features: Floats) -> tuple[float, ...]:
        """The scores of one row.

        Args:
            features: float32, `n_features` values, none of them NaN unless `takes_nan`.
        """
        view = memoryview(features)
        if view.format != "f" or not view.c_contiguous or view.nbytes != self._row_bytes:
            _, n, _keep = floats(features, what="features")
            raise ValueError(f"features: {n} values, the model reads {self.n_features}")
        # Pinned for this call alone: it is every row's path, and in a cold cache each object costs.
        lib.er_model_run(self._view, ffi.from_buffer("float[]", view), self._scratch, self._out)
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
        lib.el_model_rows(self._view, x, n_rows, self._scratch, scores)
        return out


def _ops(data: bytes) -> list[int]:
    """Of a file whose header was found good."""
    n_steps = _HEADER.unpack_from(data)[3]
    return [_STEP.unpack_from(data, _HEADER.size + i * _STEP.size)[0] for i in range(n_steps)]


def _content(data: bytes, view: Any) -> tuple[tuple[str, ...], int]:
    """(kinds of the steps, trees of all of them) of a file that was opened."""
    if not view.n_steps:
        return ("forest",), int(view.shape[0])
    n_trees = 0
    for i, op in enumerate(_ops(data)):
        if STEPS[op - _FIRST_STEP].startswith("trees"):
            at = _STEP.unpack_from(data, _HEADER.size + i * _STEP.size)[7]
            n_trees += struct.unpack_from("<I", data, at)[0]
    return tuple(STEPS[op - _FIRST_STEP] for op in _ops(data)), n_trees
