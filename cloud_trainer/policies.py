"""The `[policy]` of a project: thresholds as written, or what they are to be chosen for. One rule: never both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud_trainer.section import Section
from edge_runtime.errors import UsageError

MANY = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSpec:
    """What decisions cost, in any unit.

    Attributes:
        wrong: A label that is not the true one.
        abstain: No label.
        of: True label -> label told -> cost, where it is not `wrong`.
    """

    wrong: float = 1.0
    abstain: float = 0.5
    of: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """The decision policy: score a vote needs, k of n windows, windows a label is held.

    Attributes:
        threshold: Least score of a vote, 0..1; of one label in `thresholds`.
        precision: Instead of thresholds: share of right ones among the decisions for each label, above 0 and below 1.
        cost: Instead of thresholds: choose those of the least mean cost.
    """

    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    k: int = 1
    n: int = 1
    hold_windows: int = 0
    precision: float | None = None
    cost: CostSpec | None = None

    @property
    def is_chosen(self) -> bool:
        """Whether thresholds are chosen on validation data."""
        return self.precision is not None or self.cost is not None


def read_policy(section: Section) -> PolicySpec:
    """The values of `[policy]`.

    Raises:
        UsageError: A key is unknown or out of range, or thresholds are both written and to be chosen.
    """
    ways = [name for name in ("precision", "cost") if section.has(name)]
    written = [name for name in ("threshold", "thresholds") if section.has(name)]
    if ways and (written or len(ways) > 1):
        raise UsageError(
            f"{section.key(ways[0])}: thresholds are chosen for it, so it cannot stand beside "
            f"{section.key((written or ways[1:])[0])}",
            hint="leave one out: thresholds as written, or policy.precision, or policy.cost",
        )
    n = section.integer("n", 1, low=1, high=16)
    each = section.section("thresholds", optional=True)
    policy = PolicySpec(
        threshold=section.number("threshold", 0.0, low=0, high=1),
        thresholds={name: each.number(name, low=0, high=1) for name in each.rest()},
        k=section.integer("k", 1, low=1, high=n),
        n=n,
        hold_windows=section.integer("hold_windows", 0, low=0, high=65535),
        precision=_precision(section) if "precision" in ways else None,
        cost=_cost(section.section("cost")) if "cost" in ways else None,
    )
    section.done()
    return policy


def _precision(section: Section) -> float:
    value = section.number("precision", low=0, high=1, open_low=True)
    if value >= 1:
        raise section.wrong("precision", "below 1: no data show that a model is never wrong")
    return value


def _cost(section: Section) -> CostSpec:
    wrong = section.number("wrong", 1.0, low=0, high=MANY)
    abstain = section.number("abstain", 0.5, low=0, high=MANY)
    of: dict[str, dict[str, float]] = {}
    for label, row in section.rest().items():
        if not isinstance(row, dict):
            raise section.wrong(label, f"a section [{section.key(label)}] of the true label, with a cost for each told")
        inner = section.section(label)
        of[label] = {told: inner.number(told, low=0, high=MANY) for told in inner.rest()}
    return CostSpec(wrong=wrong, abstain=abstain, of=of)
