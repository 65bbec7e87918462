"""Which engine runs a bundle. One rule: the manifest says it; nothing is guessed from what happens to be installed."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime import native
from edge_runtime.contract.manifest import NATIVE
from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from edge_runtime.contract.bundle import Bundle
    from edge_runtime.contract.manifest import Manifest
    from edge_runtime.contract.program import Program


class Engine(Protocol):
    """Features in, scores out.

    Attributes:
        name: "native" or "onnxruntime".
        why: One line for a log: what runs, at which precision.
        nbytes: Of the model [bytes].
        model: `model.erm` or `model.erf` where the model runs inside `native.Stream`, else None.
    """

    name: str
    why: str
    nbytes: int
    model: bytes | None

    def scores(self, features: memoryview[Any]) -> Sequence[float]:
        """One score a label, for one float32 feature vector."""
        ...


class NativeEngine:
    """A model of the C core. A stream runs it inside its own step; `scores` is for single vectors."""

    name = "native"

    def __init__(self, data: bytes) -> None:
        self._model = native.Model(data)
        self.model: bytes | None = data
        self.nbytes = self._model.nbytes
        trees = f" of {self._model.n_trees} trees" if self._model.n_trees else ""
        self.why = f"{', '.join(self._model.steps)}{trees} in the core"

    def scores(self, features: memoryview[Any]) -> Sequence[float]:
        """One score a label."""
        return self._model.scores(features)


def open_engine(bundle: Bundle, *, program: Program | None = None) -> Engine:
    """The engine that the bundle's manifest names, its model loaded.

    Args:
        bundle: As loaded.
        program: Its program, where that was read already.

    Raises:
        ContractError: The model is malformed or does not fit the program and labels, or onnxruntime is missing.
    """
    manifest, program = bundle.manifest, program or program_of(bundle)
    shape, name = (len(program.features), len(manifest.labels)), needed(manifest)[1]
    if manifest.engine == "native":
        engine = NativeEngine(_member(bundle, name))
        have = (engine._model.n_features, engine._model.n_outputs)
        if have != shape:
            raise ContractError(
                f"{name}: {have[0]} features and {have[1]} outputs, the bundle declares {shape[0]} and {shape[1]}"
            )
        return engine
    from edge_runtime.engines.ort import OrtEngine

    return OrtEngine(_member(bundle, name), n_features=shape[0], n_scores=shape[1], why=f"{name}, {manifest.precision}")


def needed(manifest: Manifest) -> tuple[str, str]:
    """The members that are asked for a decision: the program, and the model of the engine that runs."""
    if manifest.engine == "native":
        return "program.json", next((m.name for m in manifest.members if m.name in NATIVE), NATIVE[0])
    return "program.json", "model.int8.onnx" if manifest.precision == "int8" else "model.onnx"


def needed_to_run(manifest: Manifest) -> tuple[str, ...]:
    """Those, and the bins that a summary counts into."""
    return (*needed(manifest), "baseline.json")


def program_of(bundle: Bundle) -> Program:
    """The bundle's feature program.

    Raises:
        ContractError: Malformed.
    """
    return bundle.program()


def _member(bundle: Bundle, name: str) -> bytes:
    try:
        return bundle.members[name]
    except KeyError:
        raise ContractError(f"bundle {bundle.manifest.name}: member {name} is missing") from None
