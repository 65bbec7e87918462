"""docs/javascript, written from FORMAT.md alone, reads what our decoder reads, and refuses what it refuses."""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
import subprocess
from array import array
from pathlib import Path
from typing import Any, Final

import pytest

from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.checks import SAFE
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.contract.records import RecordBatch
from edge_runtime.contract.summary import SummaryBatch
from edge_runtime.errors import ContractError, TrustError
from edge_runtime.lean import items_of
from tests.contract import arbitrary
from tests.contract.cases import READ, Case, broken_bundles, changed, dump, flipped, load, newer, spelled
from tests.contract.samples import (
    BASELINE,
    CONTAINER,
    DOCUMENTS,
    GOLDEN_VECTORS,
    MANIFEST,
    PACKED,
    PROGRAM,
    RECORDS,
    SIGNATURES,
    SUMMARY,
    Document,
)

DECODE: Final = Path(__file__).parents[2] / "docs" / "javascript" / "decode.mjs"
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.kind + document.variant)
MOST: Final = 500
"""Changed values a document, of up to 6,000; a new table of fields deserves one run with all of them."""


PLANTED: Final[tuple[tuple[str, str, str, str], ...]] = (
    # file of docs/javascript, what stands there, the bug, the cases that see it
    ("bytes.mjs", "start + i * width, true)", "start + i * width)", "ack"),  # columns in big endian
    ("bytes.mjs", "77: Int16Array", "77: Uint16Array", "spelled"),
    ("bytes.mjs", "return -1n - argument(low)", "return -argument(low)", "birth"),
    ("bytes.mjs", "1n << BigInt(4 * width)", "1n", "spelled"),  # longer forms taken
    ("bytes.mjs", "need(last < key,", "need(last <= key,", "spelled"),
    ("bytes.mjs", "ignoreBOM: true", "ignoreBOM: false", "spelled"),
    ("bytes.mjs", "need(level < 8,", "need(level < 9,", "spelled"),
    ("bytes.mjs", "need(level < 32,", "need(level < 33,", "spelled"),
    ("bytes.mjs", "need(at === data.length,", "need(at <= data.length,", "spelled"),
    ("bytes.mjs", "Number.isSafeInteger(v)", "Number.isInteger(v)", "spelled"),
    ("bytes.mjs", "need(canonical(value, 0) === text,", "need(true,", "spelled"),
    ("documents.mjs", "const U32 = 2n ** 32n", "const U32 = 2n ** 31n", "records"),
    ("documents.mjs", "[...v].length <= high", "v.length <= high", "program"),  # UTF-16 units
    ("documents.mjs", "return high > SAFE ? v : Number(v);", "return Number(v);", "ack"),  # digits lost past 2^53
    ("documents.mjs", "p > 0 && p <= 1", "p >= 0 && p <= 1", "records"),
    ("documents.mjs", "d.window + most(d.windows) <= I63", "true", "records"),
    ("documents.mjs", "need(v[name].length === 1 || ", "need(", "packed"),
    ("documents.mjs", "(d.step_us * ahead) / 1000n", "0n", "packed"),  # times of the first row
    ("documents.mjs", "row.vote >= -1 && row.vote <= 63", "true", "spelled"),
    ("brief.mjs", "order + more <= 64, ", "true, ", "bits"),
    ("brief.mjs", "text.length - at < 8 && ", "", "bits"),
    ("brief.mjs", '!text.slice(at).includes("1")', "true", "bits"),
    ("brief.mjs", "k === 63 ? 0n : ", "", "bits"),
    ("brief.mjs", "zeros === 4", "zeros === 5", "bits"),
    (
        "documents.mjs",
        "v.length >= low && v.length <= high, where, `${low}..${high} bytes`",
        "true, where, ``",
        "brief",
    ),
    ("documents.mjs", "sum(own) === n", "true", "summary"),
    ("documents.mjs", 'long(d, where, sum(d.n_values), "values")', "void 0", "window"),
    ("documents.mjs", '"raw" in d === "raw_bytes_day" in d', "true", "birth-raw"),
    ("documents.mjs", "low <= d.last[i]", "true", "ack"),
    ("documents.mjs", 'Math.fround(x) === x, "a number exact', 'true, "a number exact', "golden"),
    ("documents.mjs", "below(at, n,", "below(at, n + 1,", "program"),
    ("documents.mjs", "btoa(raw) === v", "true", "signed"),  # stray bits at the end of base64
    ("bundle.mjs", "need(found === chunk,", "need(true,", "container"),
    ("bundle.mjs", "need(found === whole,", "need(true,", "container"),
    ("bundle.mjs", "gap.every((byte) => byte === 0)", "true", "container"),
    ("bundle.mjs", "need(same(found, header(name, length)),", "need(true,", "container"),
    ("bundle.mjs", "at === bytes.length", "true", "container"),
    ("bundle.mjs", "take(2 * BLOCK,", "take(BLOCK,", "container"),
    ("decode.mjs", "0\\.(0|[1-9]\\d{0,3})", "\\d\\.(0|[1-9]\\d{0,3})", "state"),  # another major
    ("decode.mjs", 'return "-0"', "return v", "spelled"),
    ("decode.mjs", "return { ...value, ...found }", "return found", "spelled"),  # unknown fields lost
)


@pytest.fixture(scope="module")
def node() -> str:
    """The interpreter, of a version that FORMAT.md names."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: the decoder in JavaScript is not tested (make test SYSTEM=1 brings it)")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < 18:
        pytest.skip(f"node {version} is older than 18: the decoder in JavaScript is not tested")
    return found


def ask(node: str, cases: list[Case], *options: str, decode: Path = DECODE) -> list[Any]:
    """The lines of one process for all cases; that it neither throws nor leaves a case out is part of each test."""
    lines = "".join(f"{kind} {data.hex()}\n" for kind, data in cases)
    run = subprocess.run(
        [node, decode, *options, "-"], input=lines, capture_output=True, text=True, check=False, timeout=120
    )
    answers = [json.loads(line) for line in run.stdout.split("\n")[:-1]]  # a text may hold U+2028
    assert run.stderr == ""
    assert run.returncode == (3 if any("refused" in answer for answer in answers) else 0)
    return answers


def same(ours: Any, theirs: Any) -> bool:
    """Equality by the rule of decode.mjs: what a JSON number cannot hold is text; floats by bits, any NaN is NaN."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list | tuple | array):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and math.isfinite(ours) and struct.pack("<d", ours) != struct.pack("<d", -0.0):
        return type(theirs) in (int, float) and struct.pack("<d", ours) == struct.pack("<d", float(theirs))
    if type(ours) is int:
        return bool(theirs == str(ours)) or (type(theirs) is int and theirs == ours and abs(ours) <= SAFE)
    ours = ours.hex() if isinstance(ours, bytes) else UNHELD.get(repr(ours)) if isinstance(ours, float) else ours
    return type(ours) is type(theirs) and bool(ours == theirs)


INSIDE: Final[tuple[Any, ...]] = (MANIFEST, PROGRAM, BASELINE, GOLDEN_VECTORS)
UNHELD: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-0.0": "-0"}


def verdicts(node: str, cases: list[Case], *, decode: Path = DECODE) -> None:
    """Both readers take or refuse each case, and what both take has one value."""
    for (kind, data), answer in zip(cases, ask(node, cases, decode=decode), strict=True):
        ours, theirs = refusal(READ[kind], data), answer["error"] if "refused" in answer else ""
        assert bool(ours) == bool(theirs), f"Python: {ours or 'takes'}; JavaScript: {theirs or 'takes'}; {data.hex()}"
        assert ours or same(load(READ[kind], data), answer), data.hex()


def refusal(document: Document, data: bytes) -> str:
    """Why our decoder refuses, "" where it does not."""
    try:
        document.read(data)
    except (ContractError, TrustError) as error:
        return str(error)
    return ""


def test_every_golden_file_has_the_same_value(node: str) -> None:
    run = subprocess.run([node, DECODE, *(d.path for d in DOCUMENTS)], capture_output=True, text=True, check=True)
    for document, line in zip(DOCUMENTS, run.stdout.split("\n")[:-1], strict=True):
        assert same(load(document, document.golden), json.loads(line)), document.path.name


def test_rows_are_the_records_and_the_lines_of_a_summary(node: str) -> None:
    rows = ask(node, [("records", RECORDS.to_bytes()), ("summary", SUMMARY.to_bytes())], "--rows")
    assert rows[3:] == ask(node, [("brief", BriefBatch(**items_of(SUMMARY)).to_bytes())], "--rows")
    records, lines = rows[:3], rows[3:]
    for i, row in enumerate(records):
        assert (row["device"], row["seq"], row["window"]) == ("pump-7", str(41 + i), str(RECORDS.windows[i]))
        assert (row["time_ms"], row["label"], row["vote"]) == (RECORDS.times_ms[i], RECORDS.labels[i], RECORDS.votes[i])
        assert same(RECORDS.features[2 * i : 2 * i + 2], row["features"])
        assert same(RECORDS.scores[2 * i : 2 * i + 2], row["scores"])
        assert same([RECORDS.probabilities[i], RECORDS.latencies_us[i]], [row["probability"], row["latency_us"]])
    for batch in (RECORDS, PACKED):
        both = [
            (kind, value.to_bytes())
            for kind, value in (("records", RecordBatch(**items_of(batch))), ("packed", PackedBatch(**items_of(batch))))
        ]
        rows = ask(node, both, "--rows")
        assert rows[:3] == rows[3:]
    for i, (ours, row) in enumerate(zip(SUMMARY.rows, lines, strict=True)):
        assert (row["row"], row["seq"], row["sum_sq"]) == (i, "44", str(ours.sum_sq))
        for name in ("n", "n_nan", "min", "max", "first", "last", "sum", "sum_lag", "counts"):
            assert same(getattr(ours, name), row[name]), name


def test_random_briefs_have_the_rows_of_their_summaries(node: str) -> None:
    batches = [arbitrary.brief(random.Random(seed)) for seed in range(40)]
    briefs = ask(node, [("brief", one.to_bytes()) for one in batches], "--rows")
    assert briefs == ask(node, [("summary", SummaryBatch(**items_of(one)).to_bytes()) for one in batches], "--rows")
    assert len(briefs) > 200


def test_a_field_that_may_pass_2_53_is_text_whatever_its_value(node: str) -> None:
    """A consumer must not meet another type on the day when an epoch is small."""
    (answer,) = ask(node, [("records", RECORDS.to_bytes())])
    assert (answer["first_seq"], answer["epoch"]) == ("41", str(0x0123456789ABCDEF))
    assert answer["windows"] == ["0", "1", "300"]
    assert answer["times_ms"] == [0, 1280, 384000]


def test_a_refusal_names_the_field_the_value_wanted_and_the_value_found(node: str) -> None:
    state = READ["state"]
    fields = load(state, state.golden)
    bad = [("clock", "records", 7, "records.clock: want an integer 0..2, got 7"),
           ("format", "state", "1.0", "format: want 0.0 .. 0.9999, got \"1.0\""),
           ("device", "state", "Pump", 'state.device: want /^[a-z0-9-]{1,64}$/, got "Pump"'),
           ("online", "state", 1, 'state.online: want true or false, got 1')]  # fmt: skip
    cases = [
        (kind, dump(READ[kind], load(READ[kind], READ[kind].golden) | {name: value})) for name, kind, value, _ in bad
    ]
    cases.append(("state", dump(state, {key: value for key, value in fields.items() if key != "epoch"})))
    wanted = [message for *_, message in bad] + ["state.epoch: want a value, got undefined"]
    assert [answer["error"] for answer in ask(node, cases)] == wanted


def test_random_documents_of_every_kind_have_the_same_value(node: str) -> None:
    """Values at and between the ends of their ranges, all widths of column, newer minors with unknown fields."""
    cases = newer(random.Random(5), 60)
    assert not [refusal(READ[kind], data) for kind, data in cases if refusal(READ[kind], data)]
    verdicts(node, cases)


@every_document
def test_changed_documents_meet_the_same_verdict(node: str, document: Document) -> None:
    """Bytes cut, flipped, put in and left out; and well-formed bytes that say something else at one place."""
    verdicts(node, changed(document, 100, MOST))


def test_each_flipped_bit_of_a_brief_meets_the_same_verdict(node: str) -> None:
    """And where both take it, both read the same rows."""
    cases = flipped()
    verdicts(node, cases)
    taken = [data for kind, data in cases if not refusal(READ[kind], data)]
    assert len(cases) / 20 < len(taken) < len(cases) - 40
    again = [("summary", SummaryBatch(**items_of(READ["brief"].read(data))).to_bytes()) for data in taken]
    assert ask(node, [("brief", data) for data in taken], "--rows") == ask(node, again, "--rows")


def test_every_way_to_spell_a_value_meets_the_same_verdict(node: str) -> None:
    cases = spelled()
    refused = [bool(refusal(READ[kind], data)) for kind, data in cases]
    assert sum(refused) > 60
    assert refused.count(False) > 60
    verdicts(node, cases)


def test_the_golden_bundle_opens_and_a_broken_one_is_refused(node: str) -> None:
    run = subprocess.run([node, DECODE, CONTAINER], capture_output=True, text=True, check=True)
    kinds = ("manifest", "program", "baseline", "golden")
    wanted: list[Any] = [load(READ[kind], value.to_bytes()) for kind, value in zip(kinds, INSIDE, strict=True)]
    *found, signatures = [json.loads(line) for line in run.stdout.splitlines()]
    assert all(map(same, wanted, found))
    assert [(one["key_id"], one["sig"]) for one in signatures["signatures"]] == [(s.key_id, s.sig) for s in SIGNATURES]
    cases = broken_bundles(150)
    assert all(refusal(READ[kind], data) for kind, data in cases)
    verdicts(node, cases)


@pytest.mark.planted
@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: f"{bug[0]}: {bug[1]}")
def test_a_planted_bug_is_seen(node: str, tmp_path: Path, bug: tuple[str, str, str, str]) -> None:
    name, old, new, what = bug
    folder = shutil.copytree(DECODE.parent, tmp_path / "javascript")
    text = (folder / name).read_text()
    assert text.count(old) == 1, "mend the planted bug"
    (folder / name).write_text(text.replace(old, new))
    cases = {"container": lambda: broken_bundles(20), "bits": flipped}.get(what, spelled)()
    for document in DOCUMENTS:
        if document.kind + document.variant == what:
            cases = changed(document, 5, 10_000)
    with pytest.raises(AssertionError, match=r"^(Python: |[0-9a-f]{8})"):
        verdicts(node, cases, decode=folder / DECODE.name)
