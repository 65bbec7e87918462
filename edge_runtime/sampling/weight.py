"""How much a decision is worth keeping. One rule: a weight may hang on earlier decisions, never on the draw.

That rule keeps Horvitz-Thompson totals unbiased: given the weight, the window's random number alone decides.
"""

from __future__ import annotations

FLOOR = 1.0
CLASS_CAP = 8.0
UNCERTAIN = 4.0


def weigh(margin: float, *, n_of_label: int, n_total: int, n_classes: int) -> tuple[float, int]:
    """The weight of a decision, 1..12, and the reason (see `contract.records.REASONS`) of its largest part.

    floor 1, so that every window can be drawn; plus `(n_total + 1) / (n_classes * (n_of_label + 1)) - 1`,
    0..7, so that a rare label is not drowned; plus `4 * (1 - margin)^2`, 0..4, so that what the model is
    unsure of comes first.

    Args:
        margin: Best score minus the second, 0..; above 1 counts as 1.
        n_of_label: Decisions of this label so far in the period.
        n_total: Decisions so far in the period.
        n_classes: Labels of the model plus one for abstain.
    """
    rare = min(CLASS_CAP, (n_total + 1) / (n_classes * (n_of_label + 1))) - 1.0
    unsure = UNCERTAIN * (1.0 - min(1.0, max(0.0, margin))) ** 2
    parts = (FLOOR, max(0.0, rare), unsure)
    return sum(parts), parts.index(max(parts))
