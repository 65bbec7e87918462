"""What turns features into scores: the native core, or onnxruntime. One rule: whoever decides, decides by `advance`.

So daemon, evaluation and preflight make the same decisions.

Not here: features and the decision policy (`native.Stream`), nor whether a bundle may be trusted (`update`).
"""

from edge_runtime.engines.engine import Engine, NativeEngine, open_engine, program_of
from edge_runtime.engines.ort import OrtEngine
from edge_runtime.engines.pipeline import advance, blank_record, decide_all, load_bundle, stream_for

__all__ = [
    "Engine",
    "NativeEngine",
    "OrtEngine",
    "advance",
    "blank_record",
    "decide_all",
    "load_bundle",
    "open_engine",
    "program_of",
    "stream_for",
]
