"""Figures of a model on rows that it did not see. One rule: of labels, counts first, every figure is made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cloud_trainer.task import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def confusion(y: npt.NDArray[np.int32], predicted: npt.NDArray[np.int32], n_labels: int) -> npt.NDArray[np.int64]:
    """Counts [n_labels, n_labels]: row = true label, column = predicted; abstained (-1) is in no column."""
    import numpy as np

    counts = np.zeros((n_labels, n_labels), dtype=np.int64)
    np.add.at(counts, (y[predicted >= 0], predicted[predicted >= 0]), 1)
    return counts


def figures(counts: npt.NDArray[np.int64], labels: Sequence[str], y: npt.NDArray[np.int32]) -> dict[str, float]:
    """accuracy, macro_f1 and `recall.<label>`, each 0..1, of counts over the true labels `y`.

    An abstained window is a miss. A label that is neither true nor predicted anywhere has F1 0.
    """
    import numpy as np

    true, predicted, hits = np.bincount(y, minlength=len(labels)), counts.sum(axis=0), counts.diagonal()
    f1 = [2 * h / (t + p) if t + p else 0.0 for h, t, p in zip(hits, true, predicted, strict=True)]
    recall = {f"recall.{name}": h / t if t else 0.0 for name, h, t in zip(labels, hits, true, strict=True)}
    values = {"accuracy": hits.sum() / len(y), "macro_f1": sum(f1) / len(f1), **recall}
    return {name: float(value) for name, value in values.items()}


def evaluate(
    estimator: Any, x: npt.NDArray[np.float32], y: npt.NDArray[Any], labels: Sequence[str], *, task: Task = "labels"
) -> tuple[dict[str, float], list[list[int]]]:
    """Figures and counts of a fitted estimator on windows that it did not see; `x` goes in as float64.

    Of clusters a row of the counts is a true label; of values there are no counts.
    """
    import numpy as np

    predicted = np.asarray(estimator.predict(x.astype(np.float64)))
    if task == "values":
        return _of_values(y, predicted.reshape(y.shape)), []
    if task == "clusters":
        return _of_clusters(y, predicted, len(labels))
    code = np.where(predicted < 0, 1, 0) if task == "outliers" else predicted
    counts = confusion(y, code.astype(np.int32), len(labels))
    return figures(counts, labels, y), counts.tolist()


def _of_values(y: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> dict[str, float]:
    """The errors rmse and mae [unit of the value], and r2, over all values."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    kinds = {"rmse": root_mean_squared_error, "mae": mean_absolute_error, "r2": r2_score}
    return {name: float(figure(y, predicted)) for name, figure in kinds.items()}


def _of_clusters(
    y: npt.NDArray[np.int32], predicted: npt.NDArray[np.int32], n_clusters: int
) -> tuple[dict[str, float], list[list[int]]]:
    """How well clusters and labels agree, at most 1."""
    import numpy as np
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    counts = np.zeros((int(y.max()) + 1, n_clusters), dtype=np.int64)
    np.add.at(counts, (y, predicted), 1)
    agree = {"adjusted_rand": adjusted_rand_score(y, predicted), "v_measure": v_measure_score(y, predicted)}
    return {name: float(value) for name, value in agree.items()}, counts.tolist()
