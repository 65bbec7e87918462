"""Rows in the core: one record of fields in, float32 cells out. One rule: buffers are bound once, a row is one call.

A batch comes as Arrow columns (`native.arrow` reads them); what an operator means: `edge_runtime.features.reference`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter

from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, TypeAlias
from edge_runtime.native._er import ffi, lib
from edge_runtime.native.operators import Operator, operators
from edge_runtime.native.status import fpu_check, memory, text_of

KINDS = {"number": lib.ER_NUMBER, "text": lib.ER_TEXT}
Value: TypeAlias = float | int | str | None
"""A number field takes what `float()` takes but text, a text field str; None and NaN are missing in both."""

_NAN = float("nan")
_join = "\0".join
_raw_memory = ffi.new_allocator(should_clear_after_alloc=False)


class Rows:
    """The row features of one program. One thread at a time.

    Attributes:
        nbytes: All its memory in the core [bytes]; it never grows.
        names: Of the cells, in order.
        cells: float32 of the last row, live: the next row overwrites it.

    Raises:
        ContractError: The program has no row features, this build cannot run one of them, or this thread flushes
            denormals.
    """

    def __init__(self, program: Program, *, within: tuple[Any, Any] | None = None) -> None:
        """For `program`; `within` (`er_row *`, its cells) belongs to a stream, which then keeps the memory."""
        fpu_check()
        bound, self._keep = checked_rows(program)
        if bound is None:
            raise ContractError("program: no feature reads a field", hint="add a feature on a field, e.g. value")
        self.names = tuple(feature.name for feature in program.features if feature.is_row)
        self.nbytes: int = lib.er_row_size(bound)
        self._handle, self._out = within or self._build(bound)
        self._fields = program.record
        numbers = [i for i, field in enumerate(self._fields) if field.kind == "number"]
        texts = [i for i, field in enumerate(self._fields) if field.kind == "text"]
        self._numbers = ffi.new("double[]", len(numbers))
        self.cells = memoryview(ffi.buffer(self._out, 4 * len(self.names))).cast("f").toreadonly()
        pack = struct.Struct(f"{len(numbers)}d").pack_into
        self._read = len(self._fields), _getter(numbers), _getter(texts), pack, ffi.buffer(self._numbers)
        self._call = lib.er_row_run_joined, self._handle, self._numbers, ffi.NULL, self._out, self.cells

    def _build(self, bound: Any) -> tuple[Any, Any]:
        self._memory = memory(self.nbytes)
        handle = ffi.new("er_row **")
        status = lib.er_row_init(handle, bound, self._memory, self.nbytes)
        if status != lib.ER_OK:
            raise ContractError(f"rows: {text_of(status)}")
        return handle[0], ffi.new("float[]", len(self.names))

    # ---- one row

    def run(self, values: Sequence[Value]) -> memoryview[float]:
        """`cells` after one record.

        Args:
            values: One a field of `Program.record`, in that order; None is missing.

        Raises:
            ValueError: Another number of values.
            TypeError: A value is not of its field's kind; names the field.
        """
        n, numbers_of, texts_of, pack, buffer = self._read
        call, handle, numbers, none_missing, out, cells = self._call
        if len(values) != n:
            raise ValueError(f"row: {len(values)} values, the program has {n} fields")
        try:
            pack(buffer, 0, *numbers_of(values))
            data = _join(texts_of(values)).encode()
            if call(handle, numbers, data, len(data), none_missing, out) == 0:
                return cells
        except (struct.error, TypeError, UnicodeEncodeError):
            pass
        return self._run_any(values)

    def _run_any(self, values: Sequence[Value]) -> memoryview[float]:
        """The same for every value that is allowed: None, a zero character in a text, odd number types."""
        numbers, texts = [], []
        for field, value in zip(self._fields, values, strict=True):
            if field.kind == "number":
                numbers.append(_number(field, value))
            else:
                texts.append(_text(field, value))
        self._numbers[0 : len(numbers)] = numbers
        pinned = [ffi.NULL if text is None else ffi.from_buffer(text) for text in texts]
        sizes = [-1 if text is None else len(text) for text in texts]
        views = ffi.new("er_text[]", list(zip(pinned, sizes, strict=True)))
        lib.er_row_run(self._handle, self._numbers, views, self._out)
        return self.cells

    # ---- many rows

    def columns(self, table: Any) -> memoryview[float]:
        """The cells of every row of `table`: float32, shape (rows, cells), by the code that `run` runs.

        Args:
            table: Anything with `__arrow_c_stream__` or `__arrow_c_array__` (pyarrow, polars, DuckDB, pandas) whose
                columns are found by the fields' names; others are left alone. The GIL is released meanwhile.

        Raises:
            ContractError: A field has no column, or one of another kind.
        """
        from edge_runtime.native.arrow import batches

        with batches(table, self._fields) as (parts, n_rows):
            width = len(self.names)
            out = _raw_memory("float[]", max(1, n_rows * width))
            size = lib.er_row_columns_size(self._handle)
            scratch, at = memory(size), out
            for columns, n, _keep in parts:
                status = lib.er_row_columns(self._handle, columns, n, at, n, scratch, size)
                if status != lib.ER_OK:
                    raise ContractError(f"columns: {text_of(status)}")
                at += n * width
        if not n_rows:
            return memoryview(b"").cast("f")
        return memoryview(ffi.buffer(out)).cast("B").cast("f", (n_rows, width))

    # ---- state: what impute_last holds

    def reset(self) -> None:
        """Forget the records seen."""
        lib.er_row_reset(self._handle)

    def save(self) -> bytes:
        """What operators hold between records, for `restore` on this machine."""
        out = ffi.new("unsigned char[]", lib.er_row_save_size(self._handle))
        lib.er_row_save(self._handle, out, len(out))
        return bytes(ffi.buffer(out))

    def restore(self, state: bytes) -> None:
        """Go on where `save` was called.

        Raises:
            ContractError: Not bytes of `save` by this program; nothing has changed.
        """
        status = lib.er_row_restore(self._handle, ffi.from_buffer(state), len(state))
        if status != lib.ER_OK:
            raise ContractError(f"rows: saved state of {len(state)} bytes: {text_of(status)}")


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """From a row to the values at `places`; a slice where they stand in a row, as that is faster."""
    if not places:
        return itemgetter(slice(0, 0))
    if list(places) == list(range(places[0], places[-1] + 1)):
        return itemgetter(slice(places[0], places[-1] + 1))
    return itemgetter(*places)


def _number(field: Field, value: Any) -> float:
    if value is None:
        return _NAN
    try:
        if not isinstance(value, str | bytes | bytearray):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(f"field {field.name}: {value!r:.60} is no number that float64 holds")


def _text(field: Field, value: Any) -> bytes | None:
    if value is None or value != value:  # noqa: PLR0124  pandas marks a missing text by NaN
        return None
    if not isinstance(value, str):
        raise TypeError(f"field {field.name}: {value!r:.60} is no text")
    return value.encode("utf-8", "surrogatepass")


# ---- binding ----


def checked_rows(program: Program) -> tuple[Any, Any]:
    """(`er_row_program *`, what must live as long), or (None, None) of a program without row features.

    Raises:
        ContractError: Names the field or feature, what it asks for and what there is.
    """
    steps: list[Field | Feature] = [each for each in program.fields if each.is_derived]
    n_stages = len(steps)
    steps += [feature for feature in program.features if feature.is_row]
    if len(steps) == n_stages:
        if n_stages:
            raise ContractError(f"field {steps[0].name}: derived, and no feature reads a field")
        return None, None
    for step in steps:
        _check_sources(step)
    keep: list[Any] = []
    cells = ffi.new("er_cell[]", [_cell(step, keep) for step in steps])
    fields = ffi.new("er_field[]", [(KINDS[field.kind],) for field in program.record])
    bound = ffi.new("er_row_program *")
    bound.n_fields, bound.n_stages, bound.n_cells = len(fields), n_stages, len(steps) - n_stages
    bound.fields, bound.stages, bound.cells = fields, cells, cells + n_stages
    where = ffi.new("uint32_t *")
    status = lib.er_row_check(bound, where)
    if status != lib.ER_OK:
        raise _refused(program, steps[where[0]], status)
    for i, field in enumerate(program.fields):
        kind = "text" if lib.er_row_kind(bound, i) == lib.ER_TEXT else "number"
        if field.kind != kind:
            raise ContractError(f"field {field.name}: its operator gives a {kind}, its kind is {field.kind}")
    return bound, (cells, fields, keep)


def _sources(step: Field | Feature) -> tuple[int, ...]:
    if isinstance(step, Field):
        return step.sources
    return (step.channel,) if step.other is None else (step.channel, step.other)


def _check_sources(step: Field | Feature) -> None:
    """The core cannot tell a second source that is missing from field 0."""
    op = _operator(step)
    want, got = op.n_sources[0], len(_sources(step))
    if got != want:
        raise ContractError(f"{_what(step)}: {op.name} takes {want} field{'s' * (want > 1)}, got {got}")


def _what(step: Field | Feature) -> str:
    return f"{'field' if isinstance(step, Field) else 'feature'} {step.name}"


def _operator(step: Field | Feature) -> Operator:
    found = next((op for op in operators() if op.id == step.op), None)
    if found is None:
        raise ContractError(
            f"{_what(step)}: operator {step.op} is not in this build",
            hint="install the edgeloop version that trained this program, or a newer one",
        )
    return found


def _cell(step: Field | Feature, keep: list[Any]) -> tuple[Any, ...]:
    """The step as an `er_cell`; `keep` gets what it points to."""
    source, other = (*_sources(step), 0)[:2]
    params = ffi.new("double[]", step.params)
    raw = [word.encode() for word in step.words]
    pinned = [ffi.from_buffer(word) for word in raw]
    words = ffi.new("er_text[]", [(pin, len(word)) for pin, word in zip(pinned, raw, strict=True)])
    keep.append((params, raw, pinned, words))
    return step.op, source, other, 0, len(params), len(words), params, words


def _refused(program: Program, step: Field | Feature, status: int) -> ContractError:
    op = _operator(step)
    texts = [program.fields[i].name for i in _sources(step) if program.fields[i].kind == "text"]
    asks_nothing = not op.limits and not step.params and not step.words
    if texts and isinstance(step, Feature) and op.name in {"value", "impute", "impute_last"}:
        return ContractError(
            f"{_what(step)}: {op.name} of {texts[0]} is a text, and a feature is a number",
            hint="go on to a number, as in impute(other)|one_hot(a,b)",
        )
    if status == lib.ER_EOP or (texts and asks_nothing):
        wrong = (
            f"cannot take {texts[0]}, a text" if texts else "does not go from the kind of its source to its result's"
        )
        return ContractError(
            f"{_what(step)}: {op.name} {wrong}",
            hint="a text takes impute, impute_last (on a field), missing, one_hot, unknown, ordinal or hash_bucket",
        )
    got = ", ".join([*(f"{param:g}" for param in step.params), *map(repr, step.words)]) or "no parameters"
    return ContractError(
        f"{_what(step)}: {op.name} cannot take {got}{f', and {texts[0]} is a text' if texts else ''}",
        hint=f"{op.name} wants {op.limits or 'no params and no words'}",
    )
