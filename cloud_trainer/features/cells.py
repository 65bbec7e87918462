"""Row features of records, by the code that runs on the device. One rule: every record, in order, as it comes there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge_runtime import native
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.datasets.content import FieldColumn
    from edge_runtime.contract.program import Program


def cells_of(program: Program, columns: Mapping[str, FieldColumn]) -> npt.NDArray[np.float32]:
    """The row features of every record: float32 [n, n_cells]; NaN where one has no answer.

    Args:
        program: With features on fields.
        columns: Field -> one value a record; other columns are left alone.

    Raises:
        ContractError: A field of the program is not there, or of another kind.
    """
    import numpy as np
    from arro3.core import Array, DataType, Table

    rows = native.Rows(program)
    needed: dict[str, Any] = {}
    for field in program.record:
        values = columns.get(field.name)
        if values is None or isinstance(values, list) != (field.kind == "text"):
            there = ", ".join(columns) or "none"
            raise ContractError(f"field {field.name}: no column of {field.kind}s has its name", hint=f"fields: {there}")
        needed[field.name] = (
            Array(values, type=DataType.string()) if isinstance(values, list) else Array.from_numpy(values)
        )
    cells: Any = rows.columns(Table.from_pydict(needed))
    return np.frombuffer(cells, dtype=np.float32).reshape(-1, len(rows.names))
