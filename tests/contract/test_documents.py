"""What is true of every document: golden bytes, other versions, any bytes."""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge_runtime.contract
from edge_runtime.contract import canonical, cbor
from edge_runtime.contract.document import FORMAT
from edge_runtime.errors import ContractError
from tests.contract.message import sealed
from tests.contract.samples import CONTAINER, DOCUMENTS, GOLDEN, Document

MAY_BE_LEFT_OUT = {"task", "fields", "filters", "timing"}
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.kind)
FOLDER = Path(edge_runtime.contract.__file__).parent


def load(document: Document, data: bytes) -> Any:
    return canonical.loads(data, what="x") if document.is_json else cbor.loads(data, what="x")


def dump(document: Document, value: Any) -> bytes:
    return canonical.dumps(value) if document.is_json else cbor.dumps(value)


@every_document
def test_golden_bytes_of_format_0_1_decode_to_the_sample_and_encode_to_the_same_bytes(document: Document) -> None:
    """These bytes shipped; they never change."""
    assert document.value.to_bytes() == document.golden
    back = document.read(document.golden)
    assert back.to_bytes() == document.golden
    assert same(back, document.value)


def same(a: Any, b: Any) -> bool:
    """Equality under which NaN is itself."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, list | tuple) or hasattr(a, "typecode"):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)))


def test_every_golden_file_has_its_test() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {d.path.name for d in DOCUMENTS} | {CONTAINER.name}


def test_every_kind_that_the_code_reads_is_a_document_here() -> None:
    """A new `read_json(data, "x")` without a sample, golden file and section fails here."""
    source = "\n".join(path.read_text() for path in FOLDER.glob("*.py") if path.name != "document.py")
    read = set(re.findall(r'read_(?:json|cbor)\(data, "([a-z]+)"\)', source))
    read |= set(re.findall(r'cbor\.loads\(data, what="([a-z]+)"\)', source))
    read |= set(re.findall(r'^KIND: Final = "([a-z]+)"', source, re.MULTILINE))
    assert read == {document.kind for document in DOCUMENTS} | {"signatures"}


@every_document
def test_another_major_version_is_refused_with_what_to_do(document: Document) -> None:
    fields = load(document, document.golden)
    fields["format"] = "1.0"
    with pytest.raises(ContractError, match=rf"{document.kind}: format 1\.0: this build reads 0\.x") as caught:
        document.read(dump(document, fields))
    assert caught.value.hint == "update edgeloop on this device"


@every_document
@pytest.mark.parametrize("version", [None, 1, "", "0", "0.", "0.01", "00.1", "0.1.2", "x.1", "0.1\n", "-0.1"])
def test_a_malformed_version_is_refused(document: Document, version: object) -> None:
    fields = load(document, document.golden)
    fields["format"] = version
    with pytest.raises(ContractError, match=rf"{document.kind}\.format"):
        document.read(dump(document, fields))


@every_document
def test_fields_of_a_newer_minor_version_survive_a_round_trip(document: Document) -> None:
    """An old device forwards what it does not understand."""
    fields = load(document, document.golden) | {"format": "0.77", "zz_new": {"a": [1, None, "é"]}}
    newer = dump(document, fields)
    back = document.read(newer)
    assert back.extra == {"format": "0.77", "zz_new": {"a": [1, None, "é"]}}
    assert back.to_bytes() == newer


@every_document
def test_extra_may_not_hide_a_field(document: Document) -> None:
    name = min(load(document, document.golden).keys() - {"format", "kind"})
    with pytest.raises(ContractError, match="extra"):
        dataclasses.replace(document.value, extra={name: 1}).to_bytes()


@every_document
def test_a_document_of_another_kind_is_refused(document: Document) -> None:
    for other in DOCUMENTS:
        if other.kind != document.kind:
            with pytest.raises(ContractError):
                document.read(other.golden)
    with pytest.raises(ContractError, match=rf"{document.kind}\.kind: want '{document.kind}', got 'x'"):
        document.read(dump(document, load(document, document.golden) | {"kind": "x"}))


@every_document
def test_each_missing_field_is_named(document: Document) -> None:
    fields = load(document, document.golden)
    for name in fields.keys() - MAY_BE_LEFT_OUT:
        with pytest.raises(ContractError, match=rf"{document.kind}\.{name}: "):
            document.read(dump(document, {key: value for key, value in fields.items() if key != name}))


WRONG: tuple[Any, ...] = (None, {"x": {}}, [[]], "Ä" * 70, 1.5, -(2**52))


@every_document
def test_each_field_of_another_type_is_refused(document: Document) -> None:
    fields = load(document, document.golden)
    for name in fields:
        for bad in WRONG:
            with contextlib.suppress(ContractError):
                back = document.read(dump(document, fields | {name: bad}))
                assert load(document, back.to_bytes())[name] == bad, "taken for something else"


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d.is_json], ids=lambda document: document.kind)
def test_json_in_any_but_the_canonical_spelling_is_refused(document: Document) -> None:
    """One document, one digest: a space more would be another one."""
    golden = document.golden
    fields = canonical.loads(golden, what="x")
    assert isinstance(fields, dict)
    turned = b"{" + b",".join(
        canonical.dumps(name) + b":" + canonical.dumps(fields[name]) for name in sorted(fields, reverse=True)
    ) + b"}"  # fmt: skip
    assert canonical.loads(turned, what="x") == fields
    for spelled in (golden + b"\n", b" " + golden, golden.replace(b":", b": ", 1), turned):
        with pytest.raises(ContractError, match="not canonical JSON"):
            document.read(spelled)


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if not d.is_json], ids=lambda document: document.kind)
def test_cbor2_reads_what_we_write(document: Document) -> None:
    fields = cbor2.loads(document.golden)
    assert (fields["format"], fields["kind"]) == (FORMAT, document.kind)
    assert cbor2.dumps(fields) == document.golden, "key order and spelling are the ones that cbor2 gives too"


@every_document
def test_truncated_at_every_byte_is_refused(document: Document) -> None:
    for length in range(len(document.golden)):
        with pytest.raises(ContractError):
            document.read(document.golden[:length])


def refuses_or_keeps(document: Document, data: bytes) -> None:
    """A value or a `ContractError`; a value can be written again, JSON to the very same bytes."""
    try:
        value = document.read(data)
    except ContractError:
        return
    written = value.to_bytes()
    if document.is_json:
        assert written == data
    assert document.read(written).to_bytes() == written


@every_document
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_golden_bytes_give_a_value_or_a_contract_error(document: Document, data: st.DataObject) -> None:
    spoilt = bytearray(document.golden)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(spoilt)))
        cut = data.draw(st.integers(0, 3))
        spoilt[at : at + cut] = data.draw(st.binary(max_size=3))
    refuses_or_keeps(document, bytes(spoilt))


@every_document
def test_each_flipped_bit_gives_a_value_or_a_contract_error(document: Document) -> None:
    step = 1 + 2 * (len(document.golden) // 200)  # odd: every bit of a byte has its turn
    for bit in range(0, 8 * len(document.golden), step):
        spoilt = bytearray(document.golden)
        spoilt[bit // 8] ^= 1 << bit % 8
        refuses_or_keeps(document, bytes(spoilt))


BAD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 1, 2**53 - 1, -(2**53) + 1, 0.5, 1e300, "", "x", "ÄÖ", "a" * 2000, [], [[]], {}, {"": ""}]
)


@every_document
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_changed_value_anywhere_gives_a_value_or_a_contract_error(document: Document, data: st.DataObject) -> None:
    """Well-formed bytes, wrong content: one place of the tree changes, goes away or comes twice."""
    tree = copy.deepcopy(load(document, document.golden))
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        below = node[key]
        if isinstance(below, dict | list) and below and data.draw(st.booleans()):
            node = below
            continue
        how = data.draw(st.integers(0, 2))
        if how == 0:
            node[key] = data.draw(BAD if document.is_json else BAD | st.binary(max_size=33))
        elif how == 1:
            del node[key]
        elif isinstance(node, list):
            node.insert(key, copy.deepcopy(below))
        else:
            node["zz"] = below
        break
    refuses_or_keeps(document, dump(document, tree))


@every_document
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_contract_error(document: Document, data: bytes) -> None:
    refuses_or_keeps(document, data)


@every_document
def test_values_are_frozen(document: Document) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.value.extra = {}


def test_contract_imports_the_standard_library_and_itself_alone() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.startswith("edge_runtime.contract") or name in ("edge_runtime.errors", "edge_runtime.lean")
                assert ours or name.partition(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_contract_does_no_input_or_output() -> None:
    """It runs where neither files nor sockets can be opened."""
    script = (
        "import sys, pkgutil, importlib, edge_runtime.contract as c\n"
        "from tests.contract.samples import DOCUMENTS, BUNDLE\n"
        "from edge_runtime.contract.bundle import unpack\n"
        "data = [(d, d.golden) for d in DOCUMENTS]\n"
        "def refuse(event, args):\n"
        "    if event == 'open' or event.startswith(('socket.', 'subprocess.', 'os.')):\n"
        "        raise SystemExit(f'{event} {args}')\n"
        "sys.addaudithook(refuse)\n"
        "for d, raw in data: d.read(raw).to_bytes()\n"
        "unpack(BUNDLE).program()\n"
        "print('quiet')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "quiet\n", done.stderr


def test_a_device_without_numpy_encodes_the_same_bytes() -> None:
    """Nor has it any package that reads CBOR: importing one of them raises there."""
    script = (
        "import sys\n"
        "for name in ('numpy', 'cbor2', 'cbor', 'msgpack', 'pandas', 'pyarrow'): sys.modules[name] = None\n"
        "from tests.contract.message import sealed\n"
        "print(sealed())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == sealed().split(), done.stderr
    assert len(done.stdout.split()) == sum(not document.is_json for document in DOCUMENTS) + 2
