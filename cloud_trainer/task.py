"""What a model is asked: a label, values, whether a row is an outlier, or a cluster. One rule: the estimator says it.

A bundle knows two of them: outliers and clusters are labels to a device.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from edge_runtime.errors import ContractError

Task = Literal["labels", "values", "outliers", "clusters"]
NORMAL, OUTLIER = SIDES = ("normal", "outlier")
"""The labels of an outlier detector, in the order of its scores."""
_KINDS: Final[dict[str, Task]] = {
    "classifier": "labels",
    "regressor": "values",
    "outlier_detector": "outliers",
    "clusterer": "clusters",
}


def task_of(estimator: Any) -> Task:
    """What it answers, fitted or not.

    Raises:
        ContractError: It is no model.
    """
    from sklearn.utils import get_tags

    kind = get_tags(estimator).estimator_type
    if kind not in _KINDS:
        raise ContractError(
            f"{type(estimator).__name__}: it predicts nothing",
            hint="end with a classifier, a regressor, an outlier detector or a clustering",
        )
    return _KINDS[kind]
