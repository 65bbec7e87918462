"""A program that can show itself; equal to the plain one of the contract, which knows no operators and so cannot."""

from __future__ import annotations

from edge_runtime.contract.program import Program
from edge_runtime.features.show import describe, describe_html


class FeatureProgram(Program):
    """What the builder and the words of a project give; everything that takes a `Program` takes it."""

    __slots__ = ()

    def describe(self) -> str:
        """A table: derived channels, features, units, bytes of state, cost."""
        return describe(self)

    def _repr_html_(self) -> str:
        return describe_html(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.digest)
