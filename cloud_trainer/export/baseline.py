"""The baseline of a bundle: features and scores as they were, in frozen bins. One rule: bins hold equal shares.

Twelve shares of one quantile each: below, ten inner bins, above. Equal quantiles merge, so a value that many
windows share makes fewer and heavier bins. A constant feature gets one bin around its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_runtime.contract.baseline import Baseline, Bins, Stratum

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
N_BINS: Final = 10
AROUND: Final = 1e-3  # half width of a constant's bin, of its absolute value, at least 1e-6 [unit of the feature]


def baseline_of(
    *,
    features: F32,
    feature_names: Sequence[str],
    recording: Sequence[str],
    window: npt.NDArray[np.int64],
    scores: F64,
    score_names: Sequence[str],
    score_rows: npt.NDArray[np.int64],
    label_counts: Sequence[int],
) -> Baseline:
    """The one stratum "all".

    Args:
        features: float32 [n, F], every window of the table.
        feature_names: F names.
        recording: Of each window.
        window: Its number in the recording.
        scores: [m, C] of some of the windows.
        score_names: C labels.
        score_rows: Which windows: m row numbers.
        label_counts: Windows by decided label, abstain last, of those m.
    """
    code = np.unique(np.asarray(recording), return_inverse=True)[1]
    pairs = neighbours(code, window)
    own = neighbours(code[score_rows], window[score_rows])
    narrow = scores.astype(np.float32)
    stratum = Stratum(
        name="all",
        n_windows=len(features),
        features=tuple(bins_of(name, features[:, i], pairs) for i, name in enumerate(feature_names)),
        scores=tuple(bins_of(name, narrow[:, i], own) for i, name in enumerate(score_names)),
        label_counts=tuple(int(n) for n in label_counts),
    )
    return Baseline(strata=(stratum,))


def bins_of(name: str, values: F32, pairs: npt.NDArray[np.int64]) -> Bins:
    """Frozen bins of one column; `pairs` [2, p] are the rows of neighbouring windows."""
    known = values[~np.isnan(values)]
    edges = edges_of(known)
    centre, scale = _moments(known)
    return Bins(
        name=name,
        edges=tuple(edges.tolist()),
        counts=tuple(counts_of(known, edges).tolist()),
        n_nan=len(values) - len(known),
        centre=centre,
        scale=scale,
        lag1=lag1_of(values, pairs),
    )


def edges_of(values: F32, n_bins: int = N_BINS) -> F32:
    """Strictly ascending edges, 2..n_bins + 1, of finite float32 values; [0, 1] of none."""
    if not len(values):
        return np.array([0, 1], np.float32)
    low, high = values.min(), values.max()
    if low == high:
        around = np.float32(max(abs(float(low)) * AROUND, 1e-6))
        return np.array([low - around, low + around], np.float32)
    shares = np.arange(1, n_bins + 2) / (n_bins + 2)
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf").astype(np.float32))
    if len(edges) == 1:  # nearly all windows share one value: a bin for it alone
        edges = np.array([edges[0], np.nextafter(edges[0], np.float32(np.inf))], np.float32)
    return edges


def counts_of(values: F32, edges: F32) -> npt.NDArray[np.int64]:
    """Counts [n_bins + 2]: below, bins, above; the last bin holds its upper edge, as in the core."""
    place = np.searchsorted(edges, values, side="right")
    place[values == edges[-1]] = len(edges) - 1
    return np.bincount(place, minlength=len(edges) + 1)


def neighbours(recording: npt.NDArray[Any], window: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows [2, p] of windows w and w + 1 of one recording."""
    order = np.lexsort((window, recording))
    a, b = order[:-1], order[1:]
    beside = (recording[a] == recording[b]) & (window[b] == window[a] + 1)
    return np.stack([a[beside], b[beside]])


def _moments(values: F32) -> tuple[float, float]:
    """(mean, standard deviation or 1 where it is 0), exact in float32.

    Not median and quartiles: of a rate that is mostly 0 the quartiles are 0 and every other z would be clamped.
    """
    if not len(values):
        return 0.0, 1.0
    wide = values.astype(np.float64)
    scale = np.float32(wide.std())
    return float(np.float32(wide.mean())), float(scale) if np.isfinite(scale) and scale > 0 else 1.0


def lag1_of(values: F32, pairs: npt.NDArray[np.int64]) -> float:
    """Autocorrelation of neighbouring windows about the mean of all, -1..1; 0 where it has no meaning."""
    wide = values.astype(np.float64)
    centred = wide - np.nanmean(wide) if len(wide) else wide
    a, b = centred[pairs[0]], centred[pairs[1]]
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float(np.clip((a * b).sum() / size, -1, 1)) if size > 0 and np.isfinite(size) else 0.0
