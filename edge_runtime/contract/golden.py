"""Golden vectors: feature rows with the answers that they give on any CPU. See FORMAT.md section "golden".

One rule: a device that does not give these answers does not run the bundle.
"""

from __future__ import annotations

from edge_runtime.contract.checks import count, float32s, integers, real, take, wrong
from edge_runtime.contract.document import read_json, write_json
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field

MAX_ROWS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Inputs and answers, one row each.

    Attributes:
        features: 1..1024 rows of equal length 1..1024, values exact in float32.
        labels: The vote of each row alone, -1 (abstain) or 0..63.
        scores: One a class and row, 64-bit; rows of equal length 1..64.
        extra: Fields of a newer minor version.
    """

    features: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        rows = len(self.features)
        count(rows, "golden.features", low=1, high=MAX_ROWS)
        for name, got in (("labels", len(self.labels)), ("scores", len(self.scores))):
            if got != rows:
                raise ContractError(f"golden.{name}: want {rows} (one a row of features), got {got}")
        integers(self.labels, "golden.labels", low=-1, high=63)
        for name, table, high in (("features", self.features, 1024), ("scores", self.scores, 64)):
            count(len(table[0]), f"golden.{name}[0]", low=1, high=high)
            for i, row in enumerate(table):
                if len(row) != len(table[0]):
                    raise ContractError(f"golden.{name}[{i}]: want {len(table[0])} values, got {len(row)}")
        for i, row in enumerate(self.features):
            float32s(row, f"golden.features[{i}]")
        for i, row in enumerate(self.scores):
            for score in row:
                real(score, f"golden.scores[{i}]")

    def to_bytes(self) -> bytes:
        """Canonical JSON. Equal vectors give equal bytes."""
        fields = {"features": self.features, "labels": self.labels, "scores": self.scores}
        return write_json("golden", fields, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_json(data, "golden")
        return cls(
            features=_table(fields, "features"),
            labels=tuple(take(fields, "labels", list, what="golden", high=MAX_ROWS)),
            scores=_table(fields, "scores"),
            extra=fields,
        )


def _table(fields: dict[str, Any], key: str) -> tuple[tuple[float, ...], ...]:
    rows = take(fields, key, list, what="golden", high=MAX_ROWS)
    for i, row in enumerate(rows):
        if not isinstance(row, list):
            raise wrong(f"golden.{key}[{i}]", "list", row)
    return tuple(tuple(real(value, f"golden.{key}") for value in row) for row in rows)
