"""What the rows of a table are asked. One rule: the answer of a row follows from its label, whatever the estimator.

Outliers: every label that the project does not call normal. Values: the label's own numbers. Clusters are not
trained on labels; they are judged by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cloud_trainer.section import did_you_mean
from cloud_trainer.task import SIDES, Task
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.features import FeatureTable


def answers(task: Task, table: FeatureTable, normal: Sequence[str] = ()) -> npt.NDArray[Any]:
    """One answer a row of the table: int32 label, 1 for an outlier, or float64 value(s)."""
    import numpy as np

    if task != "outliers":
        return table.y
    return (~is_normal(table, normal)).astype(np.int32)


def is_normal(table: FeatureTable, normal: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether a row's label is among `normal`; without any, every row is normal.

    Raises:
        UsageError: A label that there is not.
    """
    import numpy as np

    for label in normal:
        if label not in table.labels:
            raise UsageError(
                f"train.normal: there is no label {label!r}{did_you_mean(label, table.labels)}",
                hint=f"labels: {', '.join(table.labels)}",
            )
    known = list(normal or table.labels)
    return np.isin(np.array(table.labels)[table.y], known)


def labels(task: Task, table: FeatureTable, estimator: Any) -> tuple[str, ...]:
    """Names of the scores, in their order."""
    if task == "outliers":
        return SIDES
    if task == "clusters":
        sizes = (v for key, v in estimator.get_params().items() if key.rpartition("__")[2] == "n_clusters")
        return tuple(f"cluster-{i}" for i in range(next(sizes)))
    return table.labels
