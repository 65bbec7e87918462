"""FORMAT.md says what the code does: a section a document, and its examples are the golden bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_runtime.contract import cbor, topics
from edge_runtime.contract.document import FORMAT
from edge_runtime.contract.event import KINDS
from edge_runtime.contract.records import REASONS
from edge_runtime.native.model import STEPS
from tests.contract.samples import DOCUMENTS, GOLDEN, Document

TEXT = (Path(__file__).parents[2] / "FORMAT.md").read_text()
SECTIONS = {
    match[1]: match[2] for match in re.finditer(r"^## ([a-z ]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.kind)
def test_every_document_has_a_section_that_names_each_field(document: Document) -> None:
    section = SECTIONS[document.kind]
    fields = document.golden if document.is_json else b""
    names = re.findall(rb'"([a-z][a-z0-9_]*)":', fields)
    if not document.is_json:
        value = cbor.loads(document.golden, what="x")
        assert isinstance(value, dict)
        names = [name.encode() for name in value]
    missing = {name.decode() for name in names} - {"format", "kind"} - set(re.findall(r"`([a-z0-9_]+)`", section))
    header = (
        set(re.findall(r"`([a-z0-9_]+)`", SECTIONS["header"]))
        if document.kind in ("brief", "packed", "records", "summary", "window")
        else set()
    )
    free = {"motor", "fields", "check", "rows", "label_flips", "worst"}  # names that a user chose
    assert missing - header - free == set()


@pytest.mark.parametrize(
    "name", ["envelope", "header", "container", "signatures", "topics", "frames over mqtt", "identity", "freeze rule"]
)
def test_what_is_no_document_has_a_section_too(name: str) -> None:
    assert len(SECTIONS[name]) > 200


def test_hex_examples_are_the_golden_bytes() -> None:
    examples = re.findall(r"```hex ([a-z0-9.-]+)\n(.*?)```", TEXT, re.DOTALL)
    assert {name for name, _ in examples} >= {
        "ack-0.1.bin",
        "event-0.1.bin",
        "state-0.1.bin",
        "records-0.1.bin",
        "packed-0.1.bin",
        "brief-0.1.bin",
    }
    for name, block in examples:
        shown = bytes.fromhex("".join(line.partition("#")[0] for line in block.splitlines()))
        assert shown == (GOLDEN / name).read_bytes(), name


def test_json_examples_are_the_golden_bytes() -> None:
    examples = re.findall(r"```json ([a-z0-9.-]+)\n(.*?)\n```", TEXT, re.DOTALL)
    assert {name for name, _ in examples} >= {"program-0.1.json", "order-0.1.json", "golden-0.1.json"}
    for name, block in examples:
        assert block.encode() == (GOLDEN / name).read_bytes(), name


def test_tables_of_numbers_are_those_of_the_code() -> None:
    for code, tag in cbor.TAGS.items():
        assert re.search(rf"\| {tag} \| `{code}`", SECTIONS["envelope"]), f"tag {tag}"
    for key, reason in REASONS.items():
        assert f"{key} {reason}" in SECTIONS["records"]
    for kind in KINDS:
        assert f"`{kind}`" in SECTIONS["event"]
    leafs = (*topics.STREAM_LEAFS, *topics.DEVICE_LEAFS, *topics.DOWN_LEAFS, *topics.VERBS)
    for leaf in leafs:
        assert f"`{leaf}" in SECTIONS["topics"], leaf
    for wanted in topics.INGEST:
        assert f"`{wanted}`" in SECTIONS["topics"]
    assert f'"{FORMAT}"' in SECTIONS["envelope"]


def test_the_native_forest_is_described() -> None:
    section = TEXT.partition("\n## Forest: `model.erf` (format ERF1)\n")[2].partition("\n## ")[0]
    for word in ("magic", "n_features", "n_outputs", "n_trees", "n_nodes", "n_leaves", "roots", "leaf vectors"):
        assert word in section


def test_every_step_of_a_model_is_described() -> None:
    section = TEXT.partition("\n## Model: `model.erm` (format ERM1)\n")[2].partition("\n## ")[0]
    for id_, name in enumerate(STEPS, 3000):
        assert f"\n| {id_} | `{name}` |" in section


def test_sections_that_modules_point_to_exist() -> None:
    folder = Path(__file__).parents[2] / "edge_runtime" / "contract"
    for path in folder.glob("*.py"):
        docs = " ".join(path.read_text().partition('"""\n\nfrom')[0].split())
        for found in re.findall(r'FORMAT\.md sections? ("[a-z "]+")', docs):
            for name in re.findall(r'"([a-z ]+)"', found):
                assert name in SECTIONS, f"{path.name}: {name}"
