"""From a run to a bundle: ONNX, native form, proof, baseline, budget. One rule: what is not proven is not written."""

from cloud_trainer.export.exporter import Exported, export
from cloud_trainer.export.onnx_float import float_model

__all__ = ["Exported", "export", "float_model"]
