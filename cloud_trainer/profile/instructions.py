"""Instructions of one decision on a target, estimated from what was counted there. One rule: never from a time.

The sum of taking frames and computing features (the cost model of x86-64, each operator times what it executes on the
target), the steps of the model on the bundle's own golden rows, and the decision with its summary.
`tests/profile/test_instructions.py` counts whole bundles and holds the estimate to `WITHIN`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cloud_trainer.profile.counted import TARGETS
from cloud_trainer.profile.work import Work, work_of
from edge_runtime.engines import program_of
from edge_runtime.errors import ContractError
from edge_runtime.features.cost import cost

if TYPE_CHECKING:
    from edge_runtime.contract.bundle import Bundle
    from edge_runtime.contract.program import Program

WITHIN: Final = 0.25
"""Greatest relative error that is promised; the cost model of the features alone keeps 30 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Of one window.

    Attributes:
        features: Frames, filters, features; a record's fields and cells once.
        model: Its steps; None where onnxruntime runs it.
        decision: Policy and summary.
    """

    features: float
    model: float | None
    decision: float

    @property
    def total(self) -> float | None:
        """All of a window; None where a part is not known."""
        return None if self.model is None else self.features + self.model + self.decision


def instructions(bundle: Bundle, target: str) -> Instructions:
    """The estimate for `bundle` on `target`, a key of `TARGETS`."""
    counted, program = TARGETS[target], program_of(bundle)
    once, score, value = counted["stream"]
    n_features, n_labels = len(program.features), len(bundle.manifest.labels)
    return Instructions(
        features=_features(program, counted),
        model=_model(bundle, counted),
        decision=once + score * n_labels + value * (n_features + n_labels),
    )


def _features(program: Program, counted: dict[str, Any]) -> float:
    of, times = cost(program), counted["operators"]
    on_windows = [feature.op for feature in program.features if not feature.is_row]
    on_fields = [feature.op for feature in program.features if feature.is_row]
    derived = [field.op for field in program.fields if field.is_derived]
    total = counted["frames"] * of.frames + counted["record"] * of.record
    for ops, costs in (
        ([each.op for each in program.filters], of.filters),
        (on_windows, of.features),
        (derived, of.fields),
        (on_fields, of.cells),
    ):
        total += sum(times.get(op, 1.0) * each for op, each in zip(ops, costs, strict=True))
    return float(total)


def _model(bundle: Bundle, counted: dict[str, Any]) -> float | None:
    if bundle.manifest.engine != "native":
        return None
    data = next(bundle.members[name] for name in ("model.erm", "model.erf") if name in bundle.members)
    steps = counted["steps"]
    once, feature = steps[""]
    work = work_of(data, [list(row) for row in bundle.golden().features])
    return float(once + feature * len(program_of(bundle).features) + sum(_of(each, steps) for each in work))


def _of(work: Work, steps: dict[str, tuple[float, ...]]) -> float:
    found = steps.get(work.kind)
    if found is None:  # a variant that nobody counted: as the dearest of its kind
        kin = [row for kind, row in steps.items() if kind.split(" ")[0] == work.kind.split(" ")[0]]
        if not kin:
            raise ContractError(f"model step {work.kind!r} was never counted", hint="python -m tests.csrc.calibrate")
        found = max(kin)
    return sum(unit * each for unit, each in zip(work.units, found, strict=True))
