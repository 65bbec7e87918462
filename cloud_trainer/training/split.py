"""The split by group. One rule: every label is on both sides, and no group is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.features import FeatureTable
    from cloud_trainer.project import Split


ANY = "any"
"""The label of every row where the split does not look at labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRows:
    """Row numbers of a feature table, ascending, and the groups that are test."""

    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    test_groups: tuple[str, ...]


def split(table: FeatureTable, spec: Split, *, by_label: bool = True) -> SplitRows:
    """The rows of both sides; without `by_label`, of all rows alike.

    Raises:
        UsageError: A group that `spec` names is not in the table.
        ContractError: A label cannot be on both sides.
    """
    labels = table.labels if by_label else (ANY,)
    names = [table.labels[i] for i in table.y.tolist()] if by_label else [ANY] * len(table.y)
    _check_labels(labels, names, table.groups, needed=2 if by_label else 1)
    test = _named(spec.test, table) if spec.test else choose(names, table.groups, spec.test_fraction, seed=spec.seed)
    rows = rows_of(table, test)
    for side, kept in (("training", rows.train), ("test", rows.test)):
        missing = set(labels) - {names[i] for i in kept.tolist()}
        if missing:
            label = min(missing)
            groups = sorted({g for g, name in zip(table.groups, names, strict=True) if name == label})
            raise ContractError(
                f"label {label!r} has no window in {side}: its groups are {', '.join(groups)}",
                hint="change split.test, or record the label in more groups",
            )
    return rows


def rows_of(table: FeatureTable, test_groups: Sequence[str]) -> SplitRows:
    """The rows of both sides, given the groups that are test."""
    import numpy as np

    is_test = np.isin(np.array(table.groups), list(test_groups))
    return SplitRows(
        train=np.flatnonzero(~is_test), test=np.flatnonzero(is_test), test_groups=tuple(sorted(test_groups))
    )


def choose(labels: Sequence[str], groups: Sequence[str], fraction: float, *, seed: int) -> tuple[str, ...]:
    """Groups for the test: of every label about `fraction` of its groups, at least one, never all.

    A group's place in the draw is a hash of seed and name, so that a new group does not reshuffle the others.
    """
    groups_of: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        groups_of.setdefault(label, set()).add(group)
    chosen: set[str] = set()
    for label in sorted(groups_of, key=lambda label: (len(groups_of[label]), label)):
        own = sorted(groups_of[label], key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
        wanted = min(max(1, round(fraction * len(own))), len(own) - 1)
        for group in own:
            if len(chosen & groups_of[label]) >= wanted:
                break
            if all(others - chosen - {group} for others in groups_of.values()):
                chosen.add(group)
    return tuple(sorted(chosen))


def _check_labels(labels: Sequence[str], names: Sequence[str], groups: Sequence[str], *, needed: int) -> None:
    if len(labels) < needed:
        raise ContractError(
            f"labels: {', '.join(labels)!r} is all there is, training needs 2 or more",
            hint="add recordings of another label to data.files",
        )
    for label in labels:
        own = [group for name, group in zip(names, groups, strict=True) if name == label]
        if not own:
            raise ContractError(
                f"label {label!r} has no window: no stretch of it is as long as a window",
                hint="lower features.window_frames, record more of it, or put it into labels.ignore",
            )
        if len(set(own)) == 1:
            raise ContractError(
                f"label {label!r} occurs in one group only ({own[0]!r}, {len(own)} windows): it cannot be in "
                "training and in test, want 2 groups",
                hint="record it in another group, or put it into labels.ignore",
            )


def _named(test: Sequence[str], table: FeatureTable) -> tuple[str, ...]:
    known = sorted(set(table.groups))
    for group in test:
        if group not in known:
            raise UsageError(f"split.test: there is no group {group!r}", hint=f"groups: {', '.join(known)}")
    return tuple(sorted(set(test)))
