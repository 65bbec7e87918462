"""The parity check: does what leaves decide as what was trained. One rule: no bundle without it, and no way around it.

Trees: every label equal, and every score to the rounding of their sums. Other models: a label may differ only where
the trainer's own margin is at most 1e-5 of the score range; values, by as much of the value or of their range.
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
SUMS32: Final = 1e-5  # of sums and links in float32, where the trainer itself has those
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What may differ.

    Attributes:
        labels: Names of the labels, or of the values.
        is_values: There is no label: values are compared.
        unit: The score range: 1 of probabilities.
        sums: Most that a score of trees may be off, of its size if that is above 1.
    """

    labels: Sequence[str]
    is_values: bool = False
    unit: float = 1.0
    sums: float = SUMS


def check(forms: Sequence[Form], kinds: Sequence[tuple[Rows, F64]], rule: Rule) -> list[dict[str, Any]]:
    """The evidence table: one row for each form and kind of rows.

    Args:
        forms: What leaves.
        kinds: Rows, and the trainer's scores of each alone.
        rule: What may differ.

    Raises:
        ContractError: A label or a value differs where it may not; shows the worst rows.
    """
    table = []
    for form in forms:
        for rows, want in kinds:
            have = form.scores(rows.x)
            table.append(_evidence(form, rows, want, have, is_values=rule.is_values))
            _refuse(form, rows, want, have, rule)
    return table


def check_int8(
    scores: F64,
    want: F64,
    y: npt.NDArray[Any],
    *,
    float_scores: F64,
    name: str = "onnx int8",
    is_values: bool = False,
) -> tuple[dict[str, Any], str]:
    """(evidence row, why int8 breaks its budget, or ""): labels and points of accuracy, or of r2 where it is values.

    Args:
        scores: By the int8 form, of test rows.
        want: By the trainer.
        y: True label, or value(s), of each.
        float_scores: By the float form.
        name: Of the form.
        is_values: It answers with values.
    """
    if is_values:
        return _check_values(scores, want, y, float_scores=float_scores, name=name)
    differ = scores.argmax(axis=1) != want.argmax(axis=1)
    lost = float((float_scores.argmax(axis=1) == y).mean() - (scores.argmax(axis=1) == y).mean())
    row = {"form": name, "batch": "1", "kind": "test", "rows": len(want), **_differing(want, scores)}
    row["accuracy_lost"] = round(lost, 6)
    why = ""
    if differ.mean() > INT8_LABELS:
        why = f"{differ.mean():.2%} of labels differ, at most {INT8_LABELS:.1%} may"
    elif lost > INT8_ACCURACY:
        why = f"accuracy falls by {100 * lost:.2f} points, at most {100 * INT8_ACCURACY:g} may"
    return row, why


def _check_values(
    scores: F64, want: F64, y: npt.NDArray[Any], *, float_scores: F64, name: str
) -> tuple[dict[str, Any], str]:
    lost = metric(float_scores, y, is_values=True) - metric(scores, y, is_values=True)
    row = {"form": name, "batch": "1", "kind": "test", "rows": len(want), **_apart(want, scores)}
    apart = 1 - metric(scores, want, is_values=True)
    why = ""
    if apart > INT8_LABELS:
        why = f"{apart:.2%} of the variance of the trainer's values is lost, at most {INT8_LABELS:.1%} may be"
    elif lost > INT8_ACCURACY:
        why = f"r2 falls by {100 * lost:.2f} points, at most {100 * INT8_ACCURACY:g} may"
    return row | {"r2_lost": round(lost, 6)}, why


def metric(scores: F64, y: npt.NDArray[Any], *, is_values: bool) -> float:
    """Accuracy, or r2 of values."""
    if not is_values:
        return float((scores.argmax(axis=1) == y).mean())
    from sklearn.metrics import r2_score

    return float(r2_score(y.reshape(scores.shape), scores))


def _evidence(form: Form, rows: Rows, want: F64, have: F64, *, is_values: bool) -> dict[str, Any]:
    if have.shape != want.shape or not np.isfinite(have).all():
        raise ContractError(f"parity: {form.name}: scores {have.shape} are not finite {want.shape}")
    row = {"form": form.name, "batch": form.batch, "kind": rows.kind, "rows": len(want)}
    return row | (_apart(want, have) if is_values else _differing(want, have))


def _apart(want: F64, have: F64) -> dict[str, Any]:
    return {"max_score_diff": float(np.abs(have - want).max())}


def _differing(want: F64, have: F64) -> dict[str, Any]:
    differ = have.argmax(axis=1) != want.argmax(axis=1)
    margin = float(margins(want)[differ].max(initial=0.0))
    return {"labels_differ": int(differ.sum()), **_apart(want, have), "margin": margin}


def _refuse(form: Form, rows: Rows, want: F64, have: F64, rule: Rule) -> None:
    if not rule.is_values:
        _refuse_labels(form, rows, want, have, rule)
    if rule.is_values or form.is_exact:
        _refuse_scores(form, rows, want, have, rule)


def _refuse_labels(form: Form, rows: Rows, want: F64, have: F64, rule: Rule) -> None:
    margin, labels = margins(want), rule.labels
    bad = have.argmax(axis=1) != want.argmax(axis=1)
    if not form.is_exact:
        bad &= margin > ROUNDING * rule.unit
    if not bad.any():
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


def _refuse_scores(form: Form, rows: Rows, want: F64, have: F64, rule: Rule) -> None:
    """A wrong leaf seldom turns a whole forest's label, but it always shows in the scores."""
    share, least = (rule.sums, 1.0) if form.is_exact else (ROUNDING, rule.unit)
    size = np.maximum(least, np.abs(want).max(axis=1))
    apart = np.abs(have - want).max(axis=1) / size
    if apart.max() > share:
        row = int(apart.argmax())
        what = "reach another leaf or sum" if form.is_exact else "have another value"
        raise ContractError(
            f"parity: {form.name}, batch {form.batch}, {rows.kind} rows: {int((apart > share).sum())} of {len(want)} "
            f"{what}; worst: row {row}: a score is {apart[row] * size[row]:.3g} off, {share * size[row]:.3g} may be",
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
