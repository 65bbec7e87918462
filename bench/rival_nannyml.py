"""NannyML's univariate drift calculator by its own defaults, on rows as the rivals of bench_drift have; two figures.

A program of its own, as it may run by another interpreter: NannyML wants older packages than ours.
Usage: rival_nannyml.py RUNS N N_BASE FEATURES
"""

from __future__ import annotations

import json
import os
import sys
import warnings

import numpy as np

BEFORE, AFTER = 20, 59


def main(runs: int, n: int, n_base: int, features: int) -> dict[str, float]:
    """Share of steady chunks with an alert, and the median delay after a shift of one column by .5 sd."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # it would tell its makers
    import nannyml
    import pandas as pd

    warnings.simplefilter("ignore")
    rng = np.random.default_rng(11)
    names = [f"f{i}" for i in range(features)]
    steady: list[bool] = []
    late: list[int] = []
    for _ in range(runs):
        rows = rng.standard_normal(((BEFORE + AFTER) * n, features))
        rows[BEFORE * n :, 0] += 0.5
        calculator = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=n)
        calculator.fit(pd.DataFrame(rng.standard_normal((n_base, features)), columns=names))
        found = calculator.calculate(pd.DataFrame(rows, columns=names)).filter(period="analysis").to_df()
        alerts = found.xs("alert", axis=1, level=-1).to_numpy(dtype=bool)
        steady += alerts[:BEFORE].any(axis=1).tolist()
        after = alerts[BEFORE:, 0]
        late.append(int(after.argmax()) + 1 if after.any() else AFTER + 1)
    return {"alarm_share": float(np.mean(steady)), "delay_050": float(np.median(late))}


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
