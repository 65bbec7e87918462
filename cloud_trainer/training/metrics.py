"""Figures of a classifier. One rule: counts first, every figure is made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    estimator: Any, x: npt.NDArray[np.float32], y: npt.NDArray[np.int32], labels: Sequence[str]
) -> tuple[dict[str, float], npt.NDArray[np.int64]]:
    """Figures and counts of a fitted estimator on windows that it did not see; `x` goes in as float64."""
    import numpy as np

    counts = confusion(y, np.asarray(estimator.predict(x.astype(np.float64)), dtype=np.int32), len(labels))
    return figures(counts, labels, y), counts
