"""The layout in which a target gets its trees. One rule: the answers are the same, so bytes alone decide.

`fast` compares floats, and has both children of a node side by side. `small` compares ranks: fewer bytes, and a
search for each feature before the first tree.
"""

from __future__ import annotations

from typing import Final

from cloud_trainer.export import steps as op
from cloud_trainer.export.erm import erm_bytes
from edge_runtime.errors import ContractError

SHARE: Final = 2  # a target is bound by memory where the fast layout alone takes more than 1 / SHARE of a limit


def laid_out(model: op.Model, *, model_bytes: int | None = None, memory_bytes: int | None = None) -> tuple[bytes, str]:
    """(`model.erm`, why its trees are laid out so, "" of a model without trees).

    Args:
        model: The steps.
        model_bytes: That the target has for the model.
        memory_bytes: That it has for all; without a limit on bytes the layout is fast.

    Raises:
        ContractError: No layout has room for the trees.
    """
    if not any(isinstance(step.op, op.Trees) for step in model.steps):
        return erm_bytes(model), ""
    try:
        small = erm_bytes(model, "small")
    except ContractError as refused:
        return erm_bytes(model), f"trees fast: there is no small layout ({refused})"
    try:
        fast = erm_bytes(model)
    except ContractError as refused:
        return small, f"trees small: there is no fast layout ({refused})"
    limits = {"model_bytes": model_bytes, "memory_bytes": memory_bytes}
    bound = [f"{name} {limit}" for name, limit in limits.items() if limit is not None and SHARE * len(fast) > limit]
    facts = f"small {len(small)} bytes, fast {len(fast)}, the same bits"
    if bound and len(small) < len(fast):
        return small, f"trees small: the target is bound by {' and '.join(bound)} ({facts})"
    return fast, f"trees fast: {'no limit on bytes is near' if not bound else 'small is no smaller'} ({facts})"
