"""What is needed beside what there is: one table, and one refusal, for exporter, `fit` and daemon.

One rule: whoever refuses shows the whole table, and names each excess by value, limit and next step.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import BudgetError
from edge_runtime.lean import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One row.

    Attributes:
        what: Is needed, such as `state_bytes` or a part of the daemon.
        value: How much, in `unit`.
        limit: At most; None is no limit.
        unit: "bytes", "µs" or "bytes/day".
        how: It came about: exact, measured, estimated, bound.
        hint: What makes it smaller.
    """

    what: str
    value: int
    limit: int | None = None
    unit: str = "bytes"
    how: str = ""
    hint: str = ""

    @property
    def is_over(self) -> bool:
        """More is needed than there is."""
        return self.limit is not None and self.value > self.limit


def table(needs: Sequence[Need]) -> str:
    """The rows as text, each with its limit and how it came about; what is over is marked."""
    width = max(len(need.what) for need in needs)
    head = f"{'need':<{width}}  {'value':>14}  {'limit':>14}  {'unit':<9}  how"
    rows = [
        f"{need.what:<{width}}  {need.value:>14,}  {'-' if need.limit is None else f'{need.limit:,}':>14}  "
        f"{need.unit:<9}  {need.how}{' <- over' if need.is_over else ''}"
        for need in needs
    ]
    return "\n".join((head, *rows))


def check(needs: Sequence[Need], *, name: str) -> None:
    """Refuse what does not fit.

    Raises:
        BudgetError: With every excess, the whole table, and what to do about each.
    """
    over = [need for need in needs if need.is_over]
    if over:
        named = "; ".join(f"{need.what} {need.value} {need.unit}, limit {need.limit}" for need in over)
        hints = dict.fromkeys(need.hint for need in over if need.hint)
        raise BudgetError(f"{name} needs more than there is: {named}\n{table(needs)}", hint="; ".join(hints))
