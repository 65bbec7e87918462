"""Each limit of each document: the value beside it is refused, by name, from code as from bytes."""

from __future__ import annotations

import dataclasses
from array import array
from typing import Any

import pytest

from edge_runtime.contract import canonical, cbor
from edge_runtime.contract.baseline import Baseline
from edge_runtime.contract.checks import take
from edge_runtime.contract.header import Header
from edge_runtime.contract.manifest import Member
from edge_runtime.contract.order import Signature, Signed, key_id
from edge_runtime.contract.program import Field, Filter
from edge_runtime.contract.records import RecordBatch
from edge_runtime.contract.summary import SummaryBatch
from edge_runtime.errors import ContractError
from tests.contract.samples import (
    ACK,
    BASELINE,
    BIRTH,
    EVENT,
    GOLDEN_VECTORS,
    HEADER,
    MANIFEST,
    ORDER,
    PROGRAM,
    RECORDS,
    SIGNATURES,
    SIGNED,
    STATE,
    SUMMARY,
    sha,
)

BINS = BASELINE.strata[0].features[0]
ROW = SUMMARY.rows[0]
NAN = float("nan")
FILTER = Filter(name="smooth", op=1001, sources=(0,), params=(-1.0, 1.0))

# fmt: off
LIMITS: list[tuple[Any, str, Any, str]] = [
    (PROGRAM, "rate_hz", 0.0, "program.rate_hz: want number > 0"),
    (PROGRAM, "rate_hz", NAN, "program.rate_hz"),
    (PROGRAM, "rate_hz", True, "program.rate_hz"),
    (PROGRAM, "channels", (), "program.channels: want 1..64 items, got 0"),
    (PROGRAM, "channels", PROGRAM.channels * 2, "program.channels: 'acc_x' stands twice"),
    (PROGRAM, "channels", PROGRAM.channels[:1], "program.features.acc_y.band_power"),
    (PROGRAM, "window_frames", 1, "program.window_frames: want int 2..4096, got 1"),
    (PROGRAM, "window_frames", 4097, "program.window_frames: want int 2..4096, got 4097"),
    (PROGRAM, "hop_frames", 0, "program.hop_frames: want int 1..128, got 0"),
    (PROGRAM, "hop_frames", 129, "program.hop_frames: want int 1..128, got 129"),
    (PROGRAM, "features", (), "program.features: want 1..1024 items, got 0"),
    (PROGRAM, "features", PROGRAM.features[:1] * 2, "program.features: 'acc_x.mean' stands twice"),
    (PROGRAM.channels[0], "scale", 0.0, "program.channels.acc_x.scale: want number other than 0"),
    (PROGRAM.channels[0], "offset", float("inf"), "program.channels.acc_x.offset"),
    (PROGRAM.channels[0], "name", "", "program.channels.name: want text of 1..64"),
    (PROGRAM.channels[0], "name", "a\nb", "program.channels.name: want text without control"),
    (PROGRAM.channels[0], "unit", "m" * 33, "program.channels.acc_x.unit"),
    (PROGRAM.features[0], "op", 0, "program.features.acc_x.mean.op: want int 1..65535, got 0"),
    (PROGRAM.features[0], "op", 65536, "program.features.acc_x.mean.op"),
    (PROGRAM.features[0], "channel", -1, "program.features.acc_x.mean.channel"),
    (PROGRAM.features[0], "params", (1.0,) * 257, "program.features.acc_x.mean.params: want 0..256 items, got 257"),
    (PROGRAM.features[0], "words", ("a\n",), "program.features.acc_x.mean.words: want text without control"),
    (PROGRAM.features[0], "other", -1, "program.features.acc_x.mean.other"),
    (PROGRAM.channels[0], "every", 0, "program.channels.acc_x.every: want int 1..2048"),
    (PROGRAM.channels[0], "taper", "kaiser", "program.channels.acc_x.taper: want none | hann | hamming"),
    (FILTER, "sources", (), "program.filters.smooth.sources: want 1..8 items, got 0"),
    (FILTER, "params", (1.0,) * 5, "program.filters.smooth.params: want 0..4 items"),
    (PROGRAM, "filters", (dataclasses.replace(FILTER, sources=(2,)),), "program.filters.smooth.sources: want ints"),
    (PROGRAM, "filters", (dataclasses.replace(FILTER, name="acc_x"),), "program.channels: 'acc_x' stands twice"),
    (PROGRAM, "fields", (Field(name="site"), Field(name="site")), "program.fields: 'site' stands twice"),
    (Field(name="site"), "kind", "date", "program.fields.site.kind: want number | text"),
    (PROGRAM.features[0], "params", (NAN,), "program.features.acc_x.mean.params"),
    (MANIFEST, "name", "Fan 7", "manifest.name: want id"),
    (MANIFEST, "version", 0, "manifest.version: want int 1..9007199254740991, got 0"),
    (MANIFEST, "labels", ("idle", "idle"), "manifest.labels: 'idle' stands twice"),
    (MANIFEST, "labels", ("idle",), "manifest.policy.thresholds_ppm: want 1 (one a label), got 2"),
    (MANIFEST, "labels", tuple(map(str, range(65))), "manifest.labels: want 1..64 items, got 65"),
    (MANIFEST, "program_digest", sha("other"), "manifest.program_digest: want"),
    (MANIFEST, "program_digest", sha("x").upper(), "manifest.program_digest: want 64 lower-case hex"),
    (MANIFEST, "engine", "tensorrt", "manifest.engine: want native | onnxruntime, got 'tensorrt'"),
    (MANIFEST, "precision", "int4", "manifest.precision: want float64 | float32 | int8, got 'int4'"),
    (MANIFEST, "task", "clusters", "manifest.task: want labels | values, got 'clusters'"),
    (MANIFEST, "members", MANIFEST.members[:-1], "manifest.members: 'golden.json' is missing"),
    (MANIFEST, "members", MANIFEST.members * 2, "manifest.members: 'program.json' stands twice"),
    (MANIFEST, "members", (*MANIFEST.members[:2], *MANIFEST.members[3:]), "'model.erm' is missing (engine native)"),
    (MANIFEST.policy, "thresholds_ppm", (1_000_001,), "thresholds_ppm: want ints 0..1000000, got 1000001"),
    (MANIFEST.policy, "thresholds_ppm", (), "thresholds_ppm: want 1..64 items, got 0"),
    (MANIFEST.policy, "k", 4, "manifest.policy.k: want int 1..3, got 4"),
    (MANIFEST.policy, "n", 17, "manifest.policy.n: want int 1..16, got 17"),
    (MANIFEST.policy, "hold_windows", 65536, "manifest.policy.hold_windows"),
    (MANIFEST.lineage, "dataset_version", 0, "manifest.lineage.dataset_version"),
    (MANIFEST.lineage, "dataset_digest", "ab", "manifest.lineage.dataset_digest: want 64 lower-case hex digits"),
    (MANIFEST.lineage, "run_id", "", "manifest.lineage.run_id"),
    (MANIFEST.budget, "latency_us", -1, "manifest.budget.latency_us: want int 0..9007199254740991, got -1"),
    (MANIFEST.budget, "state_bytes", "64k", "manifest.budget.state_bytes: want int 0..9007199254740991, got '64k'"),
    (MANIFEST.members[0], "name", "manifest.json", "manifest.members.name: 'manifest.json' is reserved"),
    (MANIFEST.members[0], "name", "signatures.json", "manifest.members.name: 'signatures.json' is reserved"),
    (MANIFEST.members[0], "name", "../model", "manifest.members.name"),
    (MANIFEST.members[0], "name", "a/b", "manifest.members.name"),
    (MANIFEST.members[0], "name", ".hidden", "manifest.members.name"),
    (MANIFEST.members[0], "name", "a\n", "manifest.members.name"),
    (MANIFEST.members[0], "length", 0, "manifest.members.program.json.length: want int 1..8589934591, got 0"),
    (MANIFEST.members[0], "length", 65537, "manifest.members.program.json.chunks: want 2 for 65537 bytes, got 1"),
    (MANIFEST.members[0], "chunks", ("ab",), "manifest.members.program.json.chunks: want 64"),
    (BINS, "edges", (0.0,), "baseline.acc_x.mean.edges: want 2..65 items, got 1"),
    (BINS, "edges", (-1.5, -1.5, 0.25), "baseline.acc_x.mean.edges: want strictly ascending"),
    (BINS, "edges", (-1.5, 0.1, 0.25), "baseline.acc_x.mean.edges: want values exact in float32, got 0.1"),
    (BINS, "edges", (-1.5, 0.0, 1e300), "baseline.acc_x.mean.edges: want values exact in float32, got 1e+300"),
    (BINS, "edges", (-1.5, NAN, 0.25), "baseline.acc_x.mean.edges: want finite"),
    (BINS, "counts", (1, 2, 3), "baseline.acc_x.mean.counts: want 4 (edges + 1), got 3"),
    (BINS, "counts", (1, 2, 3, -4), "baseline.acc_x.mean.counts: want ints"),
    (BINS, "scale", 0.0, "baseline.acc_x.mean.scale: want number > 0"),
    (BINS, "centre", 0.1, "baseline.acc_x.mean.centre, scale: want values exact in float32"),
    (BINS, "lag1", 1.5, "baseline.acc_x.mean.lag1: want finite number -1..1, got 1.5"),
    (BASELINE, "strata", (), "baseline.strata: want 1..64 items"),
    (BASELINE, "strata", BASELINE.strata[1:], "baseline.strata.name: want 'all' first, got 'weekend-07'"),
    (BASELINE, "strata", BASELINE.strata[:1] * 2, "baseline.strata: 'all' stands twice"),
    (GOLDEN_VECTORS, "labels", (1,), "golden.labels: want 2 (one a row of features), got 1"),
    (GOLDEN_VECTORS, "labels", (1, 64), "golden.labels: want ints -1..63, got 64"),
    (GOLDEN_VECTORS, "features", ((0.5,), (1.0, 2.0)), "golden.features[1]: want 1 values, got 2"),
    (GOLDEN_VECTORS, "features", ((0.1,), (1.0,)), "golden.features[0]: want values exact in float32, got 0.1"),
    (GOLDEN_VECTORS, "scores", ((), ()), "golden.scores[0]: want 1..64 items, got 0"),
    (HEADER, "device", "Pump 7", "header.device: want id [a-z0-9-]{1,64}, got 'Pump 7'"),
    (HEADER, "device", "pump\n", "header.device"),
    (HEADER, "stream", "a" * 65, "header.stream: want id"),
    (HEADER, "epoch", 2**64, "header.epoch: want int 0..18446744073709551615"),
    (HEADER, "bundle", "ab", "header.bundle: want 64 lower-case hex"),
    (RECORDS, "first_seq", 0, "records.first_seq: want int 1.."),
    (RECORDS, "clock", 3, "records.clock: want int 0..2, got 3"),
    (RECORDS, "windows", (), "records: rows: want int 1..1024, got 0"),
    (RECORDS, "windows", (1, 2, 2**63), "records.windows: want ints 0..9223372036854775807"),
    (RECORDS, "windows", (1, 2), "records.times_ms: want 2 values, got 3"),
    (RECORDS, "times_ms", (1, 2, -1), "records.times_ms: want ints 0..9007199254740991, got -1"),
    (RECORDS, "labels", (0, 1), "records.labels: want 3 values, got 2"),
    (RECORDS, "labels", (0, 1, 64), "records.labels: want ints -1..63, got 64"),
    (RECORDS, "labels", (0, 1, True), "records.labels: want ints -1..63, got True"),
    (RECORDS, "votes", (0, 1, -2), "records.votes: want ints -1..63, got -2"),
    (RECORDS, "reasons", (0, 1, 6), "records.reasons: want ints 0..5, got 6"),
    (RECORDS, "latencies_us", (0, 1, 2**32), "records.latencies_us: want ints 0..4294967295"),
    (RECORDS, "probabilities", array("f", [1, 1, 0]), "records.probabilities: want above 0 and up to 1, got 0.0"),
    (RECORDS, "probabilities", array("f", [1, 1, 1.5]), "records.probabilities: want above 0 and up to 1, got 1.5"),
    (RECORDS, "probabilities", array("f", [1, 1, NAN]), "records.probabilities: want above 0 and up to 1, got nan"),
    (RECORDS, "probabilities", (1.0, 1.0, 1.0), "records.probabilities: want array('f'), got tuple"),
    (RECORDS, "features", array("d", [0.0] * 6), "records.features: want array('f'), got array('d')"),
    (RECORDS, "features", array("f", [0.0] * 5), "records.features: want 6 values, got 5"),
    (RECORDS, "scores", array("f", [0.0] * 7), "records.scores: want 6 values, got 7"),
    (RECORDS, "n_features", 0, "records.n_features: want int 1..1024, got 0"),
    (RECORDS, "n_features", 1025, "records.n_features: want int 1..1024, got 1025"),
    (RECORDS, "n_scores", 65, "records.n_scores: want int 1..64, got 65"),
    (SUMMARY, "seq", 0, "summary.seq: want int 1.."),
    (SUMMARY, "clock", 3, "summary.clock"),
    (SUMMARY, "period", -1, "summary.period"),
    (SUMMARY, "end_ms", -1, "summary.end_ms"),
    (SUMMARY, "last_window", 999, "summary.last_window: want int 1000.."),
    (SUMMARY, "n_windows", 2**32, "summary.n_windows"),
    (SUMMARY, "drops", -1, "summary.drops"),
    (SUMMARY, "label_counts", (1,), "summary.label_counts: want 2..65 items, got 1"),
    (SUMMARY, "label_counts", (1, 2**32), "summary.label_counts: want ints"),
    (ROW, "n", 2812, "summary.rows.counts: want a total of n = 2812, got 2811"),
    (ROW, "min", 4.5, "summary.rows.min, max: want min <= max"),
    (ROW, "max", NAN, "summary.rows.min, max: want min <= max"),
    (SUMMARY.rows[1], "min", 0.0, "summary.rows.min, max: want NaN where n is 0"),
    (ROW, "first", 2**20 + 1, "summary.rows.first: want int -1048576..1048576"),
    (ROW, "sum_sq", 2**63, "summary.rows.sum_sq"),
    (ROW, "counts", (2811, 0), "summary.rows.counts: want 3..66 items, got 2"),
    (EVENT, "seq", 0, "event.seq"),
    (EVENT, "stream", "Motor", "event.stream"),
    (EVENT, "kind", "fell back", "event.event: want id"),
    (EVENT, "fields", {"x": 1.5}, "event.fields.x: want text or int of 64 bit, got 1.5"),
    (EVENT, "fields", {"x": True}, "event.fields.x"),
    (EVENT, "fields", {"x": 2**63}, "event.fields.x"),
    (EVENT, "fields", {"x": "y" * 1025}, "event.fields.x: want 0..1024 items, got 1025"),
    (EVENT, "fields", {str(i): i for i in range(33)}, "event.fields: want 0..32 items, got 33"),
    (BIRTH, "site", "", "birth.site"),
    (BIRTH, "utc_offset_min", 1441, "birth.utc_offset_min: want int -1440..1440, got 1441"),
    (BIRTH, "streams", BIRTH.streams * 2, "birth.streams: 'motor' stands twice"),
    (BIRTH, "versions", {"edgeloop": "x" * 257}, "birth.versions.edgeloop"),
    (BIRTH.streams[0], "hop_frames", 129, "birth.streams.motor.hop_frames: want int 1..128, got 129"),
    (BIRTH.streams[0], "window_frames", 0, "birth.streams.motor.window_frames: want int 1..4096, got 0"),
    (BIRTH.streams[0], "rate_hz", 0.0, "birth.streams.motor.rate_hz: want number > 0"),
    (STATE, "online", 1, "state.online: want bool, got 1"),
    (STATE, "streams", {"motor": "ab"}, "state.streams.motor: want 64"),
    (STATE, "order_version", -1, "state.order_version"),
    (ACK, "ranges", (), "ack.ranges: want 1..1024 items, got 0"),
    (ACK, "ranges", ((0, 1),), "ack.first: want int 1.."),
    (ACK, "ranges", ((5, 4),), "ack.last: want int 5.."),
    (ORDER, "version", 0, "order.version"),
    (ORDER, "streams", {"Motor": ORDER.streams["motor"]}, "order.streams: want id"),
    (ORDER.streams["motor"], "url", "", "order.streams.url"),
    (ORDER.streams["motor"], "length", 0, "order.streams.length"),
    (SIGNED, "payload", b"", "signed.payload: want 1..65536 items, got 0"),
    (SIGNED, "signatures", SIGNATURES[:1] * 2, "signatures.key_id: '0011223344556677' stands twice"),
    (SIGNATURES[0], "key_id", "00", "signatures.key_id: want 16"),
    (SIGNATURES[0], "sig", "ab" * 63, "signatures.sig: want 128"),
]
# fmt: on


@pytest.mark.parametrize(("value", "field", "bad", "message"), LIMITS)
def test_a_value_past_its_limit_is_refused_by_name(value: Any, field: str, bad: Any, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        dataclasses.replace(value, **{field: bad})
    assert message in str(caught.value)


def test_edges_are_the_same_in_every_stratum() -> None:
    other = dataclasses.replace(BINS, edges=(-1.5, 0.125, 0.25))
    stratum = dataclasses.replace(BASELINE.strata[1], features=(other, BASELINE.strata[1].features[1]))
    with pytest.raises(ContractError, match="names, edges, centre and scale differ"):
        Baseline(strata=(BASELINE.strata[0], stratum))


def test_equal_programs_are_one_key_and_one_digest() -> None:
    again = type(PROGRAM).from_bytes(PROGRAM.to_bytes())
    assert {PROGRAM: 1}[again] == 1
    assert again.digest == PROGRAM.digest
    assert dataclasses.replace(PROGRAM, hop_frames=63).digest != PROGRAM.digest


def test_integers_of_a_float_field_mean_the_same_program() -> None:
    """TOML gives 50 where the program says 50.0."""
    assert dataclasses.replace(PROGRAM, rate_hz=50).digest == PROGRAM.digest


def test_a_batch_knows_its_seqs() -> None:
    assert (len(RECORDS), RECORDS.first_seq, RECORDS.last_seq) == (3, 41, 43)


def test_bytes_of_records_name_the_column() -> None:
    """The same checks hold for bytes: here a column that is one value short, and one of the wrong type."""
    fields: Any = cbor.loads(RECORDS.to_bytes(), what="x")
    for name, bad, message in (
        ("votes", array("b", [0, 1]), "records.votes: want 3 values, got 2"),
        ("windows", array("B", [0, 1]), "records.times_ms: want 2 values, got 3"),
        ("windows", array("Q", [0, 1, 2**63 - 1]), "records.windows"),
        ("windows", array("f", [0, 1, 2]), "records.windows: want integer column"),
        ("windows", [0, 1, 2], "records.windows: want array, got"),
        ("windows", array("b", [0, 1, -1]), "records.windows: want distances of 0 or more, got -1"),
        ("time_ms", 2**53, "records.time_ms: want 0..9007199254740991, got 9007199254740992"),
        ("window", 2**63, "records.window: want 0..9223372036854775807, got 9223372036854775808"),
        ("labels", array("B", [0, 1, 255]), "records.labels: want ints -1..63, got 255"),
        ("features", array("d", [0.0] * 6), "records.features: want array('f'), got array('d')"),
        ("bundle", b"\0" * 31, "records.bundle: want 32..32 items, got 31"),
        ("bundle", "00" * 32, "records.bundle: want bytes"),
    ):
        with pytest.raises(ContractError) as caught:
            RecordBatch.from_bytes(cbor.dumps(fields | {name: bad}))
        assert message in str(caught.value)


def test_bytes_of_a_summary_name_the_column() -> None:
    fields: Any = cbor.loads(SUMMARY.to_bytes(), what="x")
    for name, bad, message in (
        ("n", array("B", [1]), "summary.n: want 2 values, got 1"),
        ("counts", array("B", [1]), "summary.counts: want 7 values, got 1"),
        ("n_counts", array("B", [4, 2]), "summary.n_counts: want ints 3..66, got 2"),
        ("sum", array("d", [1, 2]), "summary.sum: want integer column"),
    ):
        with pytest.raises(ContractError) as caught:
            SummaryBatch.from_bytes(cbor.dumps(fields | {name: bad}))
        assert message in str(caught.value)


def test_a_rate_has_one_spelling_in_a_birth() -> None:
    fields: Any = cbor.loads(BIRTH.to_bytes(), what="x")
    fields["streams"][0]["rate_hz"] = 50
    with pytest.raises(ContractError, match=r"birth\.streams\.rate_hz: want float64, got 50"):
        type(BIRTH).from_bytes(cbor.dumps(fields))


def test_bytes_of_an_ack_name_the_column() -> None:
    fields: Any = cbor.loads(ACK.to_bytes(), what="x")
    for name, bad, message in (
        ("last", array("B", [43]), "ack.last: want 2 values, got 1"),
        ("first", array("B", []), "ack.last: want 0 values, got 2"),
        ("first", array("B", [41, 46]), "ack.last: want int 46..9223372036854775807, got 45"),
        ("last", array("f", [43, 45]), "ack.last: want integer column"),
    ):
        with pytest.raises(ContractError) as caught:
            type(ACK).from_bytes(cbor.dumps(fields | {name: bad}))
        assert message in str(caught.value)


@pytest.mark.parametrize("payload", ["!", "QQ", "QQ==\n", "QR==", "", "QQ==QQ=="])
def test_a_payload_has_one_base64_spelling(payload: str) -> None:
    fields: Any = canonical.loads(SIGNED.to_bytes(), what="x")
    with pytest.raises(ContractError, match=r"signed\.payload"):
        Signed.from_bytes(canonical.dumps(fields | {"payload": payload}))


def test_a_signed_order_gives_back_the_bytes_that_were_signed() -> None:
    back = Signed.from_bytes(SIGNED.to_bytes())
    assert back.payload == ORDER.to_bytes()
    assert type(ORDER).from_bytes(back.payload) == ORDER


def test_key_id_is_the_start_of_the_sha_256_of_the_raw_key() -> None:
    assert key_id(bytes(32)) == "66687aadf862bd77"
    with pytest.raises(ContractError, match="32 raw bytes"):
        key_id(b"x")


def test_take_tells_bool_int_and_float_apart() -> None:
    assert take({"a": 1}, "a", float, what="x") == 1.0
    assert take({"a": True}, "a", bool, what="x") is True
    for bad, kind in ((True, int), (True, float), (1, bool), (1.0, int), ("1", int)):
        with pytest.raises(ContractError, match=r"x\.a: want"):
            take({"a": bad}, "a", kind, what="x")
    with pytest.raises(ContractError, match=r"x\.a: want 1\.\.2 items, got 3"):
        take({"a": "abc"}, "a", str, what="x", low=1, high=2)
    with pytest.raises(ContractError, match=r"x\.b: want str, it is missing"):
        take({}, "b", str, what="x")


def test_errors_cut_what_they_show() -> None:
    with pytest.raises(ContractError) as caught:
        Header(device="x" * 10_000, stream="a", epoch=0, bundle="", program="")
    assert len(str(caught.value)) < 130


def test_a_member_of_8_gib_is_the_last_that_a_ustar_size_holds() -> None:
    with pytest.raises(ContractError, match="8589934591"):
        Member(name="a", length=8**11, sha256=sha("x"), chunks=())
    assert Signature(key_id="0" * 16, sig="0" * 128)
