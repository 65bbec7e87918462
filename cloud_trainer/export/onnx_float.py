"""`model.onnx` of a fitted classifier. One rule: the scores decide as the trainer's do; `parity` proves it.

Trees and linear models are built here: skl2onnx rounds thresholds to nearest (rows on a split take the wrong
leaf), adds leaves in float32 (tied votes flip) and scales in float32. What has a native form is made of its steps
(`onnx_steps`), networks and the rest go through skl2onnx.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import graph
from cloud_trainer.export.native_forms import native_form
from cloud_trainer.export.trees import Ensemble, Tree, affine_of, ensemble, leaf_table
from edge_runtime.errors import ContractError

_EXACT = 1 << 24  # a leaf's number travels as float32, exact up to here


def parts_of(estimator: Any) -> tuple[Any, Any]:
    """(scaler, model) of an estimator or of a Pipeline(StandardScaler, model); (None, estimator) of any other."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        if len(steps) == 1:
            return None, steps[0]
        if len(steps) == 2 and isinstance(steps[0], StandardScaler):
            return steps[0], steps[1]
    return None, estimator


def float_model(estimator: Any, *, n_features: int) -> tuple[Any, str]:
    """(ModelProto, precision of its sums "float64" | "float32").

    Raises:
        ContractError: The estimator has no export.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    from cloud_trainer.export.onnx_steps import steps_model

    scaler, model = parts_of(estimator)
    trees = ensemble(model, scaler)
    if trees is not None:
        return tree_model(trees), "float64"
    if isinstance(model, LogisticRegression):
        return _linear(model, scaler), "float64"
    if isinstance(model, MLPClassifier):
        return graph.behind(graph.from_skl2onnx(model, n_features), scaler), "float32"
    steps = native_form(estimator)
    if steps is not None:
        return steps_model(steps), "float32" if steps.is_float32 else "float64"
    return graph.from_skl2onnx(estimator, n_features), "float32"


def tree_model(e: Ensemble) -> Any:
    """Trees that name a leaf each; the leaves' float64 values are added in the trainer's order.

    TreeEnsembleRegressor has one target a tree and writes the leaf's number there, so its float32 sums are exact.
    CumSum adds along one axis in order, whatever the batch or the number of threads. ai.onnx.ml 5 TreeEnsemble
    is smaller and adds in float64 itself, but needs onnxruntime 1.21; this form runs on 1.11.
    """
    table, indices = leaf_table(e.trees)
    if len(table) > _EXACT:
        raise ContractError(f"forest: {len(table)} distinct leaves, at most {_EXACT} fit this ONNX form")
    steps, attributes = len(e.trees) // e.n_raw, tree_attributes(e.trees, indices)
    constants: dict[str, npt.NDArray[Any]] = {"axis": np.array(1, np.int64), "last": np.array(steps - 1, np.int64)}
    nodes = [
        graph.node("TreeEnsembleRegressor", ["features"], ["leaf_f"], domain="ai.onnx.ml", **attributes),
        graph.node("Cast", ["leaf_f"], ["leaf"], to=graph.INT64),
    ]
    if e.link == "mean":
        constants |= {"leaves": table, "count": np.array(float(len(e.trees)))}
        nodes += [graph.node("Gather", ["leaves", "leaf"], ["values"], axis=0)]
    else:
        constants |= {"leaves": table[:, 0], "shape": np.array([-1, steps, e.n_raw], np.int64)}
        nodes += [graph.node("Gather", ["leaves", "leaf"], ["flat"], axis=0)]
        nodes += [graph.node("Reshape", ["flat", "shape"], ["values"])]
    nodes += [
        graph.node("CumSum", ["values", "axis"], ["sums"]),
        graph.node("Gather", ["sums", "last"], ["raw"], axis=1),
    ]
    if e.link == "mean":
        nodes += [graph.node("Div", ["raw", "count"], ["scores"])]
    else:
        link_nodes, more = _link(e.link)
        nodes, constants = nodes + link_nodes, constants | more
    return graph.model_of(nodes, constants, n_features=e.n_features, n_scores=e.n_outputs, score_type=graph.DOUBLE)


def _link(name: str) -> tuple[list[Any], dict[str, Any]]:
    """From float64 "raw" to "scores"."""
    if name == "softmax":
        return [graph.node("Softmax", ["raw"], ["scores"], axis=-1)], {}
    nodes = [
        graph.node("Sigmoid", ["raw"], ["second"]),
        graph.node("Sub", ["one", "second"], ["first"]),
        graph.node("Concat", ["first", "second"], ["scores"], axis=1),
    ]
    return nodes, {"one": np.array(1.0)}


def tree_attributes(trees: Sequence[Tree], indices: list[Any]) -> dict[str, Any]:
    """The trees as ai.onnx.ml 3 spells them: flat lists over all nodes."""
    sizes = [len(tree) for tree in trees]
    tree_of = np.repeat(np.arange(len(sizes)), sizes)
    node_of = np.concatenate([np.arange(n) for n in sizes])
    feature = np.concatenate([tree.feature for tree in trees])
    right = np.concatenate([tree.right for tree in trees])
    missing = np.concatenate([tree.missing_left for tree in trees])
    leaf = feature < 0
    out: dict[str, Any] = {
        "nodes_treeids": tree_of.tolist(),
        "nodes_nodeids": node_of.tolist(),
        "nodes_featureids": np.maximum(feature, 0).tolist(),
        "nodes_values": np.concatenate([tree.threshold for tree in trees]).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, node_of + 1).tolist(),
        "nodes_falsenodeids": right.tolist(),
        "target_treeids": tree_of[leaf].tolist(),
        "target_nodeids": node_of[leaf].tolist(),
        "target_ids": tree_of[leaf].tolist(),
        "target_weights": np.concatenate(indices).astype(np.float64).tolist(),
        "n_targets": len(sizes),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }
    if missing.any():
        out["nodes_missing_value_tracks_true"] = missing.astype(int).tolist()
    return out


def _linear(model: Any, scaler: Any) -> Any:
    """Logistic regression as Gemm in float64, then softmax, or sigmoid where there are two classes."""
    nodes, constants = graph.scaling(*affine_of(scaler), source="features", target="scaled")
    constants |= {"weights": model.coef_.T.astype(np.float64), "bias": model.intercept_.astype(np.float64)}
    nodes.append(graph.node("Gemm", ["scaled", "weights", "bias"], ["raw"]))
    link_nodes, more = _link("sigmoid" if len(model.classes_) == 2 else "softmax")
    return graph.model_of(
        nodes + link_nodes,
        constants | more,
        n_features=model.n_features_in_,
        n_scores=len(model.classes_),
        score_type=graph.DOUBLE,
    )
