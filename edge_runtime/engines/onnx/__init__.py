"""ONNX models, read and judged without onnx. One rule: what `inspect_model` has not passed reaches no onnxruntime."""

from edge_runtime.engines.onnx.inspect import inspect_model

__all__ = ["inspect_model"]
