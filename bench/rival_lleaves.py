"""lleaves on a LightGBM model, a row a call from Python and all rows in one call of what it compiled [µs a row, CPU].

A program of its own, as it may run by another interpreter: lleaves 1.3 wants an llvmlite below 0.44.
Usage: rival_lleaves.py MODEL.txt ROWS.npy
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

ROUNDS = 15


def timed(run: Callable[[], Any], n_rows: int) -> float:
    """Median of the rounds, after one that warms up [µs a row]."""
    took = []
    for _ in range(ROUNDS + 1):
        before = time.process_time()
        run()
        took.append(1e6 * (time.process_time() - before) / n_rows)
    return median(took[1:])


def main(model: str, rows: str) -> dict[str, float]:
    """The figures; the scores of the rows lie beside them in ROWS.npy.scores.npy."""
    import lleaves

    compiled = lleaves.Model(model_file=model)
    compiled.compile(use_fp64=False)
    x = np.load(rows)
    np.save(f"{rows}.scores.npy", compiled.predict(x, n_jobs=1))
    given = [np.ascontiguousarray(row[None]) for row in x]
    return {
        "lleaves_us": timed(lambda: [compiled.predict(one, n_jobs=1) for one in given], len(x)),
        "lleaves_batch_us": timed(lambda: compiled.predict(x, n_jobs=1), len(x)),
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
