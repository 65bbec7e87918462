"""Made-up worlds: normal features, a baseline of finite size, summaries as the device makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm  # type: ignore[import-untyped,unused-ignore]

from cloud_trainer.drift.periods import Period, Tallies, Tally
from edge_runtime.contract.baseline import Baseline, Bins, Stratum
from edge_runtime.contract.strata import strata_over

Array = NDArray[np.float64]
N_BINS = 10
NAN = float("nan")
START_MS = 1_699_999_200_000  # a full hour
PERIOD_MS = 3_600_000


def tally(x: Array, edges: Sequence[float], *, centre: float = 0.0, scale: float = 1.0) -> Tally:
    """What the device counts of the values of one feature in a period."""
    good = x[~np.isnan(x)]
    z = [int(v) for v in np.clip(np.rint((good - centre) / scale * 65536), -(2**20), 2**20)]
    counts = [int((good < edges[0]).sum()), *np.histogram(good, edges)[0].tolist(), int((good > edges[-1]).sum())]
    return Tally(
        n=len(z), n_nan=len(x) - len(z), min=float(good.min()) if z else NAN, max=float(good.max()) if z else NAN,
        first=z[0] if z else 0, last=z[-1] if z else 0, sum=sum(z), sum_sq=sum(v * v for v in z),
        sum_lag=sum(a * b for a, b in pairwise(z)), counts=tuple(counts),
    )  # fmt: skip


def bins(x: Array, name: str = "f", *, lag1: float = 0.0) -> Bins:
    """Frozen bins of a feature's training values, at their quantiles."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, N_BINS + 1)).astype(np.float32).astype(np.float64))
    if len(edges) < 2:
        edges = np.array([edges[0], np.nextafter(np.float32(edges[0]), np.float32(np.inf)).astype(np.float64)])
    centre, scale = float(np.float32(x.mean())), float(np.float32(x.std() or 1.0))
    found = tally(x, edges.tolist())
    return Bins(name=name, edges=tuple(edges.tolist()), counts=found.counts, n_nan=found.n_nan, centre=centre,
                scale=scale, lag1=lag1)  # fmt: skip


def baseline(features: Sequence[Bins], scores: Sequence[Bins]) -> Baseline:
    n = sum(features[0].counts)
    return Baseline(strata=(Stratum(name="all", n_windows=n, features=tuple(features), scores=tuple(scores),
                                    label_counts=(n, 0)),))  # fmt: skip


@dataclass(frozen=True)
class World:
    """Independent normal features and a score, a model that always decides the same, for fast simulation of counts."""

    stratum: Stratum

    @classmethod
    def make(cls, rng: np.random.Generator, *, n_features: int = 20, n_base: int = 2000) -> World:
        *features, score = (bins(x, f"f{i}") for i, x in enumerate(rng.normal(size=(n_features + 1, n_base))))
        return cls(baseline(features, [score]).strata[0])

    def shares(self, *, shift: float = 0.0, only: int | None = None) -> Array:
        """[F, B] true shares of features, score and label; `only` the first few features shifted [sd]."""
        edges = np.array([b.edges for b in (*self.stratum.features, *self.stratum.scores)])
        moved = np.zeros((len(edges), 1))
        moved[: len(self.stratum.features) if only is None else only] = shift
        cdf = norm.cdf(edges - moved)
        none = np.zeros((len(edges), 1))
        known = np.concatenate([cdf[:, :1], np.diff(cdf, axis=1), 1 - cdf[:, -1:], none], axis=1)
        return np.concatenate([known, np.eye(1, known.shape[1])])


def period(values: Array, features: Sequence[Bins], *, number: int, device: str = "fan-7", stream: str = "main",
           bundle: str = "ab" * 32, epoch: str = "1") -> Period:  # fmt: skip
    """A period in which the features had these values [F, n]."""
    n = values.shape[1]
    return Period(
        bundle=bundle, device=device, stream=stream, epoch=epoch, period=number, first_window=number * n,
        start_ms=START_MS + PERIOD_MS * number, end_ms=START_MS + PERIOD_MS * (number + 1), n_windows=n,
        strata=strata_over(START_MS + PERIOD_MS * number, START_MS + PERIOD_MS * (number + 1), 0), label_counts=(n, 0),
        tallies=Tallies.of_rows([
            tally(x, b.edges, centre=b.centre, scale=b.scale) for x, b in zip(values, features, strict=True)
        ]),
    )  # fmt: skip
