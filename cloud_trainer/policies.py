"""The policies of a project: `[policy]` from scores to a label, `[retrain]` when to ask for labels.

One rule: thresholds of `[policy]` are written or chosen for something, never both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPolicy:
    """The numbers of the rules.

    Attributes:
        labelled_loss: Accuracy lost by labels, 0..1: ask above it.
        expected_loss: Accuracy lost by the scores since a drift, 0..1: ask above it.
        input_drift: Ask at any drift, whatever it costs.
        records: So many a request names, 1..1000000.
    """

    labelled_loss: float = 0.05
    expected_loss: float = 0.02
    input_drift: bool = False
    records: int = 1000

    def asking_from(self, least_loss: float | None) -> RetrainPolicy:
        """The same with another `expected_loss`; 0 asks at any drift."""
        if least_loss is None:
            return self
        return replace(self, expected_loss=least_loss, input_drift=self.input_drift or least_loss <= 0)


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


def read_retrain(section: Section) -> RetrainPolicy:
    """The values of `[retrain]`.

    Raises:
        UsageError: A key is unknown or out of range.
    """
    usual = RetrainPolicy()
    policy = RetrainPolicy(
        labelled_loss=section.number("labelled_loss", usual.labelled_loss, low=0, high=1),
        expected_loss=section.number("expected_loss", usual.expected_loss, low=0, high=1),
        input_drift=section.flag("input_drift", default=usual.input_drift),
        records=section.integer("records", usual.records, low=1, high=1_000_000),
    )
    section.done()
    return policy
