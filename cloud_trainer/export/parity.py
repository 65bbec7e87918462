"""The parity check: does what leaves decide as what was trained. One rule: no bundle without it, and no way around it.

Trees: every label equal, and every score to the rounding of float64. Other models: a label may differ only where
the trainer's own margin is at most 1e-5.
int8 is another model by intent: it may differ in 0.5 % of labels and lose 0.5 points of accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export.rows import Rows, Scores, margins
from edge_runtime.errors import ContractError

F64 = npt.NDArray[np.float64]
ROUNDING: Final = 1e-5  # margin below which a float model may choose another label
SUMS: Final = 1e-12  # rounding of a float64 sum of trees and its softmax
HINT: Final = "no bundle was written; choose another estimator of the project file, or report this as a bug"
INT8_LABELS: Final = 0.005  # fraction of labels
INT8_ACCURACY: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of the model as a device or a server runs it.

    Attributes:
        name: "onnx", "native", "onnx int8" or "native int8".
        batch: Rows in one call, "1" or "all".
        is_exact: Every label must be equal.
        scores: Scores [n, C] of rows [n, F].
    """

    name: str
    batch: str
    is_exact: bool
    scores: Scores


def check(forms: Sequence[Form], kinds: Sequence[tuple[Rows, F64]], *, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The evidence table: one row for each form and kind of rows.

    Args:
        forms: What leaves.
        kinds: Rows, and the trainer's scores of each alone.
        labels: Names, for the error.

    Raises:
        ContractError: A label differs where it may not; shows the worst rows.
    """
    table = []
    for form in forms:
        for rows, want in kinds:
            have = form.scores(rows.x)
            table.append(_evidence(form, rows, want, have))
            _refuse(form, rows, want, have, labels=labels)
    return table


def check_int8(
    scores: F64, want: F64, y: npt.NDArray[np.integer[Any]], *, float_scores: F64, name: str = "onnx int8"
) -> tuple[dict[str, Any], str]:
    """(evidence row, why int8 breaks its budget, or "").

    Args:
        scores: By the int8 form, of test rows.
        want: By the trainer.
        y: True label of each.
        float_scores: By the float form.
        name: Of the form.
    """
    differ = scores.argmax(axis=1) != want.argmax(axis=1)
    lost = float((float_scores.argmax(axis=1) == y).mean() - (scores.argmax(axis=1) == y).mean())
    row = _row(name, "1", "test", want, scores) | {"accuracy_lost": round(lost, 6)}
    why = ""
    if differ.mean() > INT8_LABELS:
        why = f"{differ.mean():.2%} of labels differ, at most {INT8_LABELS:.1%} may"
    elif lost > INT8_ACCURACY:
        why = f"accuracy falls by {100 * lost:.2f} points, at most {100 * INT8_ACCURACY:g} may"
    return row, why


def _evidence(form: Form, rows: Rows, want: F64, have: F64) -> dict[str, Any]:
    if have.shape != want.shape or not np.isfinite(have).all():
        raise ContractError(f"parity: {form.name}: scores {have.shape} are not finite {want.shape}")
    return _row(form.name, form.batch, rows.kind, want, have)


def _row(name: str, batch: str, kind: str, want: F64, have: F64) -> dict[str, Any]:
    differ = have.argmax(axis=1) != want.argmax(axis=1)
    return {
        "form": name,
        "batch": batch,
        "kind": kind,
        "rows": len(want),
        "labels_differ": int(differ.sum()),
        "max_score_diff": float(np.abs(have - want).max()),
        "margin": float(margins(want)[differ].max(initial=0.0)),
    }


def _refuse(form: Form, rows: Rows, want: F64, have: F64, *, labels: Sequence[str]) -> None:
    margin = margins(want)
    bad = have.argmax(axis=1) != want.argmax(axis=1)
    if not form.is_exact:
        bad &= margin > ROUNDING
    if not bad.any():
        _refuse_leaves(form, rows, want, have)
        return
    worst = sorted(np.flatnonzero(bad).tolist(), key=lambda i: -margin[i])[:3]
    shown = "; ".join(
        f"row {i}: trainer {labels[want[i].argmax()]!r} by {margin[i]:.3g}, export {labels[have[i].argmax()]!r}"
        for i in worst
    )
    may = "0 may" if form.is_exact else f"only rows with a margin of at most {ROUNDING:g} may"
    raise ContractError(
        f"parity: {form.name}, batch {form.batch}, {rows.kind} rows: {int(bad.sum())} of {len(want)} labels differ, "
        f"{may}; worst: {shown}",
        hint=HINT,
    )


def _refuse_leaves(form: Form, rows: Rows, want: F64, have: F64) -> None:
    """A wrong leaf seldom turns a whole forest's label, but it always shows in the scores."""
    apart = np.abs(have - want).max(axis=1)
    if form.is_exact and apart.max() > SUMS:
        row = int(apart.argmax())
        raise ContractError(
            f"parity: {form.name}, batch {form.batch}, {rows.kind} rows: {int((apart > SUMS).sum())} of {len(want)} "
            f"reach another leaf or sum; worst: row {row}: a score is {apart[row]:.3g} off, {SUMS:g} may be",
            hint=HINT,
        )


def table_text(evidence: Sequence[dict[str, Any]]) -> str:
    """The evidence as an aligned table."""
    head = ("form", "batch", "kind", "rows", "labels differ", "max score diff", "margin")
    keys = ("form", "batch", "kind", "rows", "labels_differ", "max_score_diff", "margin")
    lines = [head, *(tuple(_cell(row.get(key, "")) for key in keys) for row in evidence)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )


def _cell(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
