"""Row operators: the core gives the reference's cells, one record at a time and by the column, whatever comes in."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.errors import ContractError
from edge_runtime.features.reference.row import ROWS, RowReference, Value, murmur3, run_rows
from tests.features.rows import BY_SERIES, NUMBERS, TEXTS, make, one, program, records

ALL = list(ROWS.values())
each_op = pytest.mark.parametrize("op", ALL, ids=lambda op: op.name)
of_numbers = pytest.mark.parametrize("op", [op for op in ALL if op.takes != "text"], ids=lambda op: op.name)
of_texts = pytest.mark.parametrize("op", [op for op in ALL if op.takes != "number"], ids=lambda op: op.name)
NAN_BITS = 0x7FC00000
seeds = st.integers(0, 2**32)


def run(made: Program, rows: list[list[Value]]) -> NDArray[np.float32]:
    """One record at a time."""
    core = native.Rows(made)
    return np.array([list(core.run(row)) for row in rows], dtype=np.float32)


def same(got: NDArray[np.float32], want: NDArray[np.float32], made: Program) -> None:
    """Bit for bit, but for chains with a series in them."""
    if {
        ROWS[call].name for call in [each.op for each in made.fields] + [each.op for each in made.features] if call
    } & BY_SERIES:
        np.testing.assert_allclose(got, want, rtol=1.3e-7, atol=1e-15)
    else:
        np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


def programs_of(op: RowReference) -> list[Program]:
    lists = {"number": op.tries, "text": op.text_tries}
    kinds = lists if op.takes == "both" else (op.takes,)
    return [wrapped(op, kind, params, words) for kind in kinds for params, words in lists[kind]]


def wrapped(op: RowReference, kind: str, params: tuple[float, ...], words: tuple[str, ...]) -> Program:
    """A text's impute gives a text: its hash and its one-hots tell which."""
    if kind == "number" or not op.name.startswith("impute"):
        return one(op.id, kind, params, words, op.n_sources)
    derived = Field(name="d", kind="text", op=op.id, sources=(0,), params=params, words=words)
    cells = [Feature(name="hash", op=2013, channel=1, params=(1e6,)), Feature(name="gone", op=2003, channel=1)]
    cells += [Feature(name=f"is{i}", op=2010, channel=1, words=(w,)) for i, w in enumerate(("red", "", "blue"))]
    return program((Field(name="f", kind="text"), derived), tuple(cells))


# ---- meaning ----


def test_kernel_and_reference_list_the_same_operators() -> None:
    """An operator added on one side only is caught by name."""
    listed = {op.id: (op.name, op.n_sources) for op in native.operators() if op.kind == "row"}
    assert listed == {op.id: (op.name, (op.n_sources, op.n_sources)) for op in ALL}


@of_numbers
@given(numbers=st.lists(st.floats(width=64) | st.sampled_from(NUMBERS), min_size=2, max_size=12))
@settings(max_examples=200, deadline=None)
def test_kernel_matches_reference_on_numbers(op: RowReference, numbers: list[float]) -> None:
    for made in programs_of(op):
        if made.fields[0].kind == "number":
            rows: list[list[Value]] = [[x] if op.n_sources == 1 else [x, y] for x in numbers for y in numbers[:2]]
            same(run(made, rows), run_rows(made, rows), made)


@of_texts
@given(texts=st.lists(st.none() | st.text(max_size=40) | st.sampled_from(TEXTS), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_kernel_matches_reference_on_texts(op: RowReference, texts: list[str | None]) -> None:
    for made in programs_of(op):
        if made.fields[0].kind == "text":
            rows: list[list[Value]] = [[text] for text in texts]
            same(run(made, rows), run_rows(made, rows), made)


@given(seed=seeds)
@settings(max_examples=1000, deadline=None)
def test_any_chain_of_any_operators_is_the_reference(seed: int) -> None:
    made = make(seed)
    rows = records(seed + 1, made, 7)
    same(run(made, rows), run_rows(made, rows), made)


@each_op
def test_missing_in_gives_nan_out_or_what_the_operator_says(op: RowReference) -> None:
    """And only then: NaN has the bits 0x7fc00000, as everywhere."""
    says = {"missing": 1.0, "one_hot": 0.0, "unknown": 0.0, "ordinal": None, "impute": None}
    for made in programs_of(op):
        (*cells,) = native.Rows(made).run([None] * len(made.record))
        call = made.features[0]
        if op.name in says and call.op == op.id:
            said = says[op.name]
            np.testing.assert_array_equal(cells, run_rows(made, [[None]])[0] if said is None else [said])
        elif not op.name.startswith("impute"):
            assert np.array(cells, np.float32).view(np.uint32).tolist() == [NAN_BITS] * len(cells)


def test_time_parts_are_those_of_the_calendar() -> None:
    """Against datetime, over hours and offsets, before 1970 and after."""
    import datetime as dt

    rng = random.Random(4)
    for _ in range(500):
        ms, offset = rng.randrange(-(10**13), 10**13), rng.randrange(-1440, 1441)
        local = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=ms, minutes=offset)  # noqa: DTZ001
        got = [native.Rows(one(op, "number", (offset,))).run([ms])[0] for op in (2014, 2015)]
        assert got == [local.hour, local.weekday()]


def test_the_hash_is_murmur3_as_published() -> None:
    """Verification values of smhasher's C++ (seed 0), and scikit-learn's own."""
    from sklearn.utils import murmurhash3_32

    golden = {"": 0, "hello": 0x248BFA47, "hello, world": 0x149BBB7F, "19 Jan 2038 at 3:14:07 AM": 0xE31E8A70}
    golden["The quick brown fox jumps over the lazy dog."] = 0xD5C48BFC
    for text, want in golden.items():
        assert murmur3(text.encode()) == want
        assert native.Rows(one(2013, "text", (2.0**24,))).run([text])[0] == want % 2**24
    for text in TEXTS:
        assert murmur3(text.encode()) == murmurhash3_32(text.encode(), seed=0, positive=True)


# ---- what people send ----


def test_the_fast_way_and_the_careful_way_give_the_same_cells() -> None:
    """Ints, bools, numpy and decimal numbers; NaN for None."""
    made = program(
        (Field(name="a"), Field(name="t", kind="text"), Field(name="b")),
        (
            Feature(name="a", op=2000, channel=0),
            Feature(name="b", op=2000, channel=2),
            Feature(name="gone", op=2003, channel=1),
            Feature(name="red", op=2010, channel=1, words=("red",)),
        ),
    )
    core = native.Rows(made)
    for a in (2, True, 2.0, np.float32(2), np.int8(2), Decimal("2.5")):
        assert list(core.run([a, "red", 1])) == [float(a), 1, 0, 1]  # type: ignore[list-item]
    assert list(core.run((2, None, 3.0))) == [2, 3, 1, 0]
    assert list(core.run((2, float("nan"), 3.0))) == [2, 3, 1, 0]
    assert np.isnan(core.run((None, "red", float("nan")))).tolist() == [True, True, False, False]
    assert list(core.run(["x"] and (2, "re\0d", 3.0))) == [2, 3, 0, 0]
    assert core.run([1, "", 2]) is core.cells
    assert core.names == ("a", "b", "gone", "red")


@pytest.mark.parametrize(
    "row", [["1", "red"], [b"1", "red"], [1.0, 2], [1.0, b"red"], [10**400, "red"], [[1], "red"], [object(), "red"]]
)
def test_a_value_of_another_kind_names_its_field(row: list[Any]) -> None:
    core = native.Rows(
        program((Field(name="a"), Field(name="t", kind="text")), (Feature(name="y", op=2000, channel=0),))
    )
    with pytest.raises(TypeError, match=r"field [at]: "):
        core.run(row)
    with pytest.raises(ValueError, match="row: 1 values, the program has 2 fields"):
        core.run(row[:1])


@pytest.mark.parametrize(
    "text", ["", "\0", "red\0", "\0red", "\ud800", "red\udcff", "é" * 100_000, "x" * 16, "x" * 17, "\x7f", "re", "redd"]
)
def test_hostile_text_is_one_text_and_no_other(text: str) -> None:
    """Zero characters, lone surrogates (invalid UTF-8), very long, empty: only equal bytes are equal."""
    words = ("red", "", "x" * 16)
    cells = tuple(Feature(name=f"y{i}", op=2010, channel=1, words=(word,)) for i, word in enumerate(words))
    fields = (Field(name="before", kind="text"), Field(name="t", kind="text"), Field(name="after", kind="text"))
    cells += (Feature(name="b", op=2010, channel=0, words=("b",)), Feature(name="a", op=2010, channel=2, words=("a",)))
    core = native.Rows(program(fields, cells))
    assert list(core.run(["b", text, "a"])) == [float(text == word) for word in words] + [1, 1]
    assert list(core.run([None, text, "a"])) == [float(text == word) for word in words] + [0, 1]


def test_ten_thousand_texts_never_collide() -> None:
    """A thousand words of one length that differ in any place, asked among ten thousand."""
    rng = random.Random(8)
    texts = sorted({"".join(rng.choice("ab") for _ in range(24)) for _ in range(10_000)})
    words = tuple(rng.sample(texts, 1000))
    core = native.Rows(one(2012, "text", (-1.0,), words))
    place = {word: i for i, word in enumerate(words)}
    assert [core.run([text])[0] for text in texts] == [place.get(text, -1) for text in texts]


# ---- state ----


def test_the_last_value_is_held_saved_and_forgotten() -> None:
    fields = (Field(name="x"), Field(name="t", kind="text"), Field(name="d", kind="text", op=2002, sources=(1,)))
    made = program(
        fields, (Feature(name="x", op=2002, channel=0), Feature(name="red", op=2010, channel=2, words=("red",)))
    )
    core, other = native.Rows(made), native.Rows(made)
    assert math.isnan(core.run([None, None])[0])
    core.run([2.5, "red"])
    assert list(core.run([None, None])) == [2.5, 1]
    other.restore(core.save())
    assert list(other.run([None, None])) == [2.5, 1]
    core.reset()
    assert math.isnan(core.run([None, None])[0])
    assert core.cells[1] == 0
    with pytest.raises(ContractError, match="saved state of 3 bytes"):
        core.restore(b"abc")
    with pytest.raises(ContractError, match="one shape"):
        native.Rows(one(2002, "number")).restore(core.save())


@given(seed=seeds, cut=st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_going_on_from_a_saved_state_gives_the_same_bits(seed: int, cut: int) -> None:
    made = make(seed)
    rows = records(seed, made, 9)
    whole, first, second = run(made, rows), native.Rows(made), native.Rows(made)
    for row in rows[:cut]:
        first.run(row)
    second.restore(first.save())
    for i, row in enumerate(rows[cut:], cut):
        assert bytes(second.run(row)) == whole[i].tobytes()


# ---- programs that are none ----


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (one(2999, "number"), "operator 2999 is not in this build"),
        (one(2004, "number", (0.0, 0.0)), "standardise"),
        (one(2004, "number", (0.0,)), "standardise"),
        (one(2004, "text", (0.0, 1.0)), "cannot take f0, a text"),
        (one(2001, "text", (), ("a",)), "impute of f0 is a text, and a feature is a number"),
        (one(2005, "number", (1.0, 1.0, 0.0)), "min_max"),
        (one(2005, "number", (0.0, 1e-320, 0.0)), "min_max"),
        (one(2005, "number", (-1e308, 1e308, 0.0)), "min_max"),
        (one(2005, "number", (0.0, 1.0, 0.5)), "min_max"),
        (one(2008, "number", (1.0, 0.0)), "clip"),
        (one(2009, "number", ()), "bucketise"),
        (one(2009, "number", (1.0, 1.0)), "bucketise"),
        (one(2010, "text", ()), "one_hot"),
        (one(2010, "text", (1.0,), ("a",)), "one_hot"),
        (one(2012, "text", (), ("a",)), "ordinal"),
        (one(2013, "text", (0.0,)), "hash_bucket"),
        (one(2013, "text", (1.5,)), "hash_bucket"),
        (one(2014, "number", (1441.0,)), "hour"),
        (one(2020, "number"), "product takes 2 fields, got 1"),
        (one(2000, "number", (), (), 2), "value takes 1 field, got 2"),
    ],
)
def test_a_program_out_of_range_is_refused_by_name(made: Program, why: str) -> None:
    with pytest.raises(ContractError, match=why):
        native.Rows(made)


def test_a_derived_field_says_what_it_is() -> None:
    text = Field(name="t", kind="text")
    cell = (Feature(name="y", op=2003, channel=1),)
    for bad in (
        Field(name="d", kind="number", op=2001, sources=(0,), words=("a",)),
        Field(name="d", op=2007, sources=(0,)),
    ):
        with pytest.raises(ContractError, match="d"):
            native.Rows(program((text, bad), cell))
    chain = [text, *(Field(name=f"d{i}", kind="text", op=2002, sources=(i,)) for i in range(9))]
    with pytest.raises(ContractError, match="d8"):
        native.Rows(program(tuple(chain), cell))
    assert native.Rows(program(tuple(chain[:9]), cell)).run(["a"])[0] == 0


@given(data=st.data())
@settings(max_examples=500, deadline=None)
def test_garbage_is_a_contract_error_or_runs(data: st.DataObject) -> None:
    """Any ids, places, parameters and words."""
    numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-3, 300)
    lists_ = st.tuples(st.lists(numbers, max_size=4).map(tuple), st.lists(st.text(max_size=3), max_size=3).map(tuple))
    ids, kinds = st.integers(2000, 2030), st.sampled_from(("number", "text"))
    try:
        fields = [Field(name=f"f{i}", kind=data.draw(kinds)) for i in range(data.draw(st.integers(1, 3)))]
        for i in range(data.draw(st.integers(0, 3))):
            params, words = data.draw(lists_)
            sources = data.draw(st.lists(st.integers(0, len(fields) - 1), min_size=1, max_size=2).map(tuple))
            made = {"op": data.draw(ids), "sources": sources, "params": params, "words": words}
            fields.append(Field(name=f"d{i}", kind=data.draw(kinds), **made))  # type: ignore[arg-type]
        params, words = data.draw(lists_)
        other = data.draw(st.none() | st.integers(0, 6))
        cell = Feature(
            name="y", op=data.draw(ids), channel=data.draw(st.integers(0, 6)), params=params, words=words, other=other
        )
        whole = program(tuple(fields), (cell,))
        assert Program.from_bytes(whole.to_bytes()) == whole
        core = native.Rows(whole)
    except ContractError:
        return
    for row in records(0, whole, 3):
        same(np.array([list(core.run(row))], np.float32), np.array([list(core.cells)], np.float32), whole)
