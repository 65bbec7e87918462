"""What turns features into scores: the native core, or onnxruntime. One rule: whoever decides, decides by `advance`.

So daemon, evaluation and preflight make the same decisions.

Not here: features and the decision policy (`native.Stream`), nor whether a bundle may be trusted (`update`).
"""

from edge_runtime.engines.engine import Engine, NativeEngine, needed, needed_to_run, open_engine, program_of
from edge_runtime.engines.pipeline import advance, blank_record, decide_all, load_bundle, stream_for, told
from edge_runtime.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.engines.ort import OrtEngine

__all__ = [
    "Engine",
    "NativeEngine",
    "OrtEngine",
    "advance",
    "blank_record",
    "decide_all",
    "load_bundle",
    "needed",
    "needed_to_run",
    "open_engine",
    "program_of",
    "stream_for",
    "told",
]


def __getattr__(name: str) -> object:
    """`OrtEngine`, when somebody asks: a device with a native model does not."""
    if name == "OrtEngine":
        from edge_runtime.engines.ort import OrtEngine

        return OrtEngine
    raise AttributeError(f"module {__name__} has no {name}")
