"""Tables of anybody as `er_column`s, by the Arrow C data and stream interfaces (Apache Arrow 1.0..1.4) and PyCapsules.

One rule: nothing is copied, and what was handed over is released when the block ends. No pyarrow, no numpy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge_runtime.contract.program import Field
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any
from edge_runtime.native._er import ffi, lib

_Pointer = ctypes.c_void_p


class _Schema(ctypes.Structure):
    pass


class _Array(ctypes.Structure):
    pass


class _Stream(ctypes.Structure):
    pass


_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", _Pointer),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_Schema))),
    ("dictionary", ctypes.POINTER(_Schema)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(_Schema))),
    ("private_data", _Pointer),
]
_Array._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(_Pointer)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.POINTER(_Array)),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(_Array))),
    ("private_data", _Pointer),
]
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Stream), ctypes.POINTER(_Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Stream), ctypes.POINTER(_Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.POINTER(_Stream))),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(_Stream))),
    ("private_data", _Pointer),
]

NUMBERS = {
    "g": lib.ER_COLUMN_F64,
    "f": lib.ER_COLUMN_F32,
    "l": lib.ER_COLUMN_I64,
    "i": lib.ER_COLUMN_I32,
    "s": lib.ER_COLUMN_I16,
    "c": lib.ER_COLUMN_I8,
    "L": lib.ER_COLUMN_U64,
    "I": lib.ER_COLUMN_U32,
    "S": lib.ER_COLUMN_U16,
    "C": lib.ER_COLUMN_U8,
    "b": lib.ER_COLUMN_BOOL,
}
TIMES = {
    "tss": (lib.ER_COLUMN_I64, 1000.0, 1.0),
    "tsm": (lib.ER_COLUMN_I64, 1.0, 1.0),
    "tsu": (lib.ER_COLUMN_I64, 1.0, 1000.0),
    "tsn": (lib.ER_COLUMN_I64, 1.0, 1000000.0),
    "tdD": (lib.ER_COLUMN_I32, 86400000.0, 1.0),
    "tdm": (lib.ER_COLUMN_I64, 1.0, 1.0),
}
"""Timestamps and dates: (layout, times, per) that make Unix milliseconds; a zone does not change the instant."""
TEXTS = {
    "u": lib.ER_COLUMN_UTF8,
    "z": lib.ER_COLUMN_UTF8,
    "U": lib.ER_COLUMN_UTF8L,
    "Z": lib.ER_COLUMN_UTF8L,
    "vu": lib.ER_COLUMN_VIEW,
    "vz": lib.ER_COLUMN_VIEW,
}

Part = tuple[Any, int, Any]
"""(`er_column[]`, rows, what the columns need alive)."""


@contextmanager
def batches(table: Any, fields: Sequence[Field]) -> Iterator[tuple[list[Part], int]]:
    """(Parts, rows of all) of `table`, valid inside the block.

    Raises:
        ContractError: Not a table, no column of a field's name, or one of another kind.
    """
    held: list[Any] = []
    try:
        schema, arrays = _taken(table, held)
        places = _places(schema, fields)
        parts = [_part(schema, array, fields, places) for array in arrays]
        yield parts, sum(n for _, n, _ in parts)
    finally:
        for each in held:
            if each.release:
                each.release(ctypes.byref(each))


def _taken(table: Any, held: list[Any]) -> tuple[_Schema, list[_Array]]:
    """Schema and batches; `held` gets what must be released."""
    if hasattr(table, "__arrow_c_stream__"):
        capsule = table.__arrow_c_stream__()
        stream = _moved(capsule, b"arrow_array_stream", _Stream, held)
        schema = _Schema()
        _check(stream, stream.get_schema(ctypes.byref(stream), ctypes.byref(schema)))
        held.append(schema)
        arrays = []
        while True:
            array = _Array()
            _check(stream, stream.get_next(ctypes.byref(stream), ctypes.byref(array)))
            if not array.release:
                break
            held.append(array)
            arrays.append(array)
    elif hasattr(table, "__arrow_c_array__"):
        schema_capsule, array_capsule = table.__arrow_c_array__()
        schema = _moved(schema_capsule, b"arrow_schema", _Schema, held)
        arrays = [_moved(array_capsule, b"arrow_array", _Array, held)]
    else:
        raise ContractError(
            f"columns: a {type(table).__name__} has neither __arrow_c_stream__ nor __arrow_c_array__",
            hint="pass a pyarrow, polars, pandas or DuckDB table",
        )
    if schema.format != b"+s":
        raise ContractError(f"columns: Arrow format {schema.format!r} is no table", hint="pass a table, not a column")
    return schema, arrays


def _moved(capsule: Any, name: bytes, kind: Any, held: list[Any]) -> Any:
    """The structure behind `capsule`, ours now: the original is marked released, as the interface says."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = _Pointer, (ctypes.py_object, ctypes.c_char_p)
    try:
        source = kind.from_address(get(capsule, name))
    except ValueError:
        raise ContractError(f"columns: a {type(capsule).__name__} is no {name.decode()} capsule") from None
    if not source.release:
        raise ContractError("columns: the table was read already", hint="open it anew")
    ours = kind()
    ctypes.memmove(ctypes.byref(ours), ctypes.byref(source), ctypes.sizeof(kind))
    ctypes.memset(ctypes.addressof(source) + kind.release.offset, 0, kind.release.size)
    held.append(ours)
    return ours


def _check(stream: _Stream, status: int) -> None:
    if status:
        why = stream.get_last_error(ctypes.byref(stream)) or b""
        raise ContractError(f"columns: the table's stream failed with {status}: {why.decode(errors='replace')}")


def _places(schema: _Schema, fields: Sequence[Field]) -> list[int]:
    children = [schema.children[i].contents.name for i in range(schema.n_children)]
    names = [(name or b"").decode(errors="replace") for name in children]
    places = {name: i for i, name in enumerate(names)}
    for field in fields:
        if field.name not in places:
            raise ContractError(f"columns: no column {field.name!r}", hint=f"columns: {', '.join(places)}"[:200])
        if names.count(field.name) > 1:
            raise ContractError(f"columns: two columns are called {field.name!r}", hint="rename one")
    return [places[field.name] for field in fields]


def _check_rows(array: _Array) -> None:
    """A table is a struct, which may lack whole rows; what stands below them is nothing."""
    if not array.null_count or not array.buffers[0]:
        return
    end = array.offset + array.length
    valid = int.from_bytes(ctypes.string_at(array.buffers[0], (end + 7) // 8), "little") % (1 << end)
    missing = array.length - (valid >> array.offset).bit_count()
    if missing:
        raise ContractError(f"columns: {missing} of {array.length} rows are missing", hint="drop them")


def _part(schema: _Schema, array: _Array, fields: Sequence[Field], places: Sequence[int]) -> Part:
    _check_rows(array)
    columns = ffi.new("er_column[]", len(fields))
    keep: list[Any] = []
    for column, field, place in zip(columns, fields, places, strict=True):
        child = array.children[place].contents
        _fill(column, field, schema.children[place].contents, child, keep)
        column.start = child.offset + array.offset
    return columns, array.length, keep


def _fill(column: Any, field: Field, schema: _Schema, array: _Array, keep: list[Any]) -> None:
    """`column` <- one Arrow array, its start left to the caller."""
    form = (schema.format or b"").decode(errors="replace")
    column.times = column.per = 1.0
    if field.kind == "number" and not schema.dictionary:
        if form in NUMBERS:
            column.type = NUMBERS[form]
        elif form.partition(":")[0] in TIMES:
            column.type, column.times, column.per = TIMES[form.partition(":")[0]]
        else:
            raise _unfit(field, form)
    elif field.kind == "text" and schema.dictionary:
        words, inner = array.dictionary.contents, schema.dictionary.contents
        if form not in NUMBERS or (inner.format or b"").decode(errors="replace") not in TEXTS:
            raise _unfit(field, form)
        column.type, column.n_words = NUMBERS[form], words.length
        column.memo = memo = ffi.new("uint64_t[]", max(1, words.length))
        column.dictionary = dictionary = ffi.new("er_column *")
        _fill(dictionary, field, inner, words, keep)
        dictionary.start = words.offset
        keep += [memo, dictionary]
    elif field.kind == "text" and form in TEXTS:
        column.type = TEXTS[form]
        column.data = _pointer(array, 2, "char *") if column.type != lib.ER_COLUMN_VIEW else ffi.NULL
        if column.type == lib.ER_COLUMN_VIEW:  # validity, views, then data buffers, last their sizes
            column.n_buffers = max(0, array.n_buffers - 3)
            column.buffers = ffi.cast("void **", ctypes.addressof(array.buffers.contents)) + 2
    else:
        raise _unfit(field, form)
    column.values = _pointer(array, 1, "void *")
    column.valid = _pointer(array, 0, "uint8_t *") if array.null_count else ffi.NULL


def _pointer(array: _Array, i: int, kind: str) -> Any:
    return ffi.cast(kind, array.buffers[i] or 0)


def _unfit(field: Field, form: str) -> ContractError:
    return ContractError(
        f"columns: field {field.name} is a {field.kind}, its column has the Arrow format {form!r}",
        hint="cast the column: numbers to float64, times to a timestamp, texts to utf8",
    )
