"""One value of every document, and its bytes as they first shipped.

`python -m tests.contract.samples` writes golden files that are missing.
It never rewrites one: bytes that shipped stay.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.contract.ack import Ack
from edge_runtime.contract.baseline import Baseline, Bins, Stratum
from edge_runtime.contract.birth import Birth, BirthStream, RawRule, State
from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.bundle import members_of, pack
from edge_runtime.contract.event import Event
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.header import Header
from edge_runtime.contract.manifest import Budget, Lineage, Manifest, Policy
from edge_runtime.contract.order import Order, OrderStream, Signature, Signed
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.contract.program import Channel, Feature, Field, Filter, Program
from edge_runtime.contract.records import RecordBatch
from edge_runtime.contract.strata import Counts, Part, Strata
from edge_runtime.contract.summary import SummaryBatch, SummaryRow
from edge_runtime.contract.timing import Timing
from edge_runtime.contract.window import Window
from edge_runtime.lean import items_of

GOLDEN = Path(__file__).parent / "golden"
NAN = float("nan")


def sha(text: str) -> str:
    """A digest to have one."""
    return hashlib.sha256(text.encode()).hexdigest()


PROGRAM = Program(
    rate_hz=50.0,
    channels=(Channel(name="acc_x", unit="m/s^2", scale=0.5, offset=-1.0), Channel(name="acc_y", unit="m/s^2")),
    window_frames=128,
    hop_frames=64,
    features=(
        Feature(name="acc_x.mean", op=1, channel=0),
        Feature(name="acc_y.band_power(0.5,4)", op=9, channel=1, params=(0.5, 4.0)),
    ),
)
FULL = Program(
    rate_hz=100.0,
    channels=(
        Channel(name="acc_x", unit="m/s^2", scale=0.25, taper="hann"),
        Channel(name="acc_y", unit="m/s^2"),
        Channel(name="temp", unit="C", offset=-40.0, every=4),
    ),
    window_frames=256,
    hop_frames=128,
    filters=(
        Filter(name="size", op=1014, sources=(0, 1), unit="m/s^2"),
        Filter(name="slow", op=1007, sources=(3,), params=(5.0, 0.75), unit="m/s^2", taper="hamming"),
    ),
    fields=(
        Field(name="age"),
        Field(name="colour", kind="text"),
        Field(name="years", op=2001, sources=(0,), params=(38.0,)),
        Field(name="paint", kind="text", op=2001, sources=(1,), words=("none",)),
    ),
    features=(
        Feature(name="slow.rms", op=3, channel=4),
        Feature(name="acc_x,acc_y.correlation", op=44, channel=0, other=1),
        Feature(name="years.standardise(40,12.5)", op=2004, channel=2, params=(40.0, 12.5)),
        Feature(name="years,age.ratio", op=2021, channel=2, other=0),
        Feature(name="paint.one_hot(größer)", op=2010, channel=3, words=("größer",)),
    ),
    timing=Timing(policy="interpolate", most_frames=5),
)
"""Every key that a program can have."""


def _bins(name: str, factor: int) -> Bins:
    return Bins(
        name=name,
        edges=(-1.5, 0.0, 0.25),
        counts=(1, 20 * factor, 30 * factor, 2),
        n_nan=3,
        centre=0.125,
        scale=0.5,
        lag1=-0.25,
    )


def _stratum(name: str, factor: int) -> Stratum:
    return Stratum(
        name=name,
        n_windows=56 * factor,
        features=(_bins("acc_x.mean", factor), _bins("acc_y.band_power(0.5,4)", factor)),
        scores=(_bins("idle", factor), _bins("walking", factor)),
        label_counts=(30 * factor, 20 * factor, 6 * factor),
    )


BASELINE = Baseline(strata=(_stratum("all", 2), _stratum("weekend-07", 1)))
STRATA = Strata(
    strata=(
        Part(
            name="hour 07 weekend",
            n_windows=25,
            rows=(
                Counts(counts=(0, 10, 13, 1), n_nan=1, lag1=-0.25),
                Counts(counts=(0, 25, 0, 0), n_nan=0, lag1=0.5),
                Counts(counts=(0, 3, 4, 0), n_nan=0, lag1=0.0),
                Counts(counts=(1, 2, 4, 0), n_nan=0, lag1=1.0),
            ),
            label_counts=(3, 4, 0),
        ),
    )
)
GOLDEN_VECTORS = Golden(
    features=((0.5, -1.25), (3.0, 2.0**-20)),
    labels=(1, -1),
    scores=((0.1, 0.9), (0.5, 0.5)),
)
MEMBERS = {
    "program.json": PROGRAM.to_bytes(),
    "model.onnx": bytes(range(256)) * 3,
    "model.erf": b"not a forest, but as long as one",
    "baseline.json": BASELINE.to_bytes(),
    "golden.json": GOLDEN_VECTORS.to_bytes(),
}
MANIFEST = Manifest(
    name="fan",
    version=7,
    labels=("idle", "walking"),
    program_digest=PROGRAM.digest,
    engine="native",
    precision="float64",
    policy=Policy(thresholds_ppm=(500_000, 600_000), k=2, n=3, hold_windows=1),
    lineage=Lineage(dataset="fan-lab", dataset_version=3, dataset_digest=sha("dataset"), run_id="4f2a"),
    budget=Budget(state_bytes=4096, model_bytes=65536, memory_bytes=4194304, latency_us=250, record_bytes_day=1000000),
    evidence=({"check": "test rows", "rows": 512, "label_flips": 0, "worst": 1.5e-16},),
    members=members_of(MEMBERS),
)
SIGNATURES = (Signature(key_id="0011223344556677", sig="ab" * 64), Signature(key_id="8899aabbccddeeff", sig="cd" * 64))
VALUES = replace(MANIFEST, labels=("rul", "wear"), task="values")
BUNDLE = pack(MANIFEST, MEMBERS, SIGNATURES)
HEADER = Header(
    device="pump-7", stream="motor", epoch=0x0123456789ABCDEF, bundle=MANIFEST.digest, program=PROGRAM.digest
)
RECORDS = RecordBatch(
    header=HEADER,
    first_seq=41,
    clock=1,
    windows=(1000, 1001, 1300),
    times_ms=(1_760_000_000_000, 1_760_000_001_280, 1_760_000_384_000),
    labels=(0, 1, -1),
    votes=(0, -1, 1),
    reasons=(0, 1, 2),
    probabilities=array("f", [0.25, 1.0, 0.5]),
    latencies_us=(15, 16, 70_000),
    features=array("f", [0.5, -1.25, 3.0, 4.5, NAN, 0.0]),
    scores=array("f", [0.75, 0.25, 0.5, 0.5, 0.125, 0.875]),
    n_features=2,
    n_scores=2,
)
PACKED = PackedBatch(**items_of(RECORDS) | {"labels": (1, 1, 1), "votes": (1, 1, 1), "reasons": (1, 1, 1)})
SUMMARY = SummaryBatch(
    header=HEADER,
    seq=44,
    period=12,
    start_ms=1_760_000_000_000,
    end_ms=1_760_003_600_000,
    clock=1,
    first_window=1000,
    last_window=3811,
    n_windows=2812,
    label_counts=(2000, 800, 12),
    drops=1,
    rows=(
        SummaryRow(
            n=2811, n_nan=1, min=-2.5, max=4.0, first=-65536, last=131072, sum=-77, sum_sq=2**40, sum_lag=-(2**36),
            counts=(11, 1800, 1000, 0),
        ),
        SummaryRow(n=0, n_nan=2812, min=NAN, max=NAN, first=0, last=0, sum=0, sum_sq=0, sum_lag=0, counts=(0, 0, 0)),
    ),
)  # fmt: skip
TIMED = replace(SUMMARY, latency_bins=(0, 241, 242, 250, 700), latency_counts=(1, 2000, 800, 10, 1))
BRIEF = BriefBatch(**items_of(TIMED))
EVENT = Event(
    device="pump-7",
    epoch=0x0123456789ABCDEF,
    seq=45,
    stream="motor",
    time_ms=1_760_000_000_000,
    kind="gap",
    fields={"kind": "rec", "first_seq": 1, "last_seq": 40, "rows": 40},
)
BIRTH = Birth(
    site="plant-2",
    device="pump-7",
    epoch=0x0123456789ABCDEF,
    time_ms=1_760_000_000_000,
    utc_offset_min=-210,
    versions={"edgeloop": "0.1.0", "python": "3.11.2"},
    streams=(
        BirthStream(
            name="motor",
            bundle=MANIFEST.digest,
            program=PROGRAM.digest,
            version=7,
            window_frames=128,
            hop_frames=64,
            rate_hz=50.0,
            source="host",
        ),
    ),
)
TOLD = replace(
    BIRTH,
    raw={"motor": RawRule(channels=("acc_x", "acc_y"), reasons=("fault", "range"), windows=2)},
    raw_bytes_day=1_000_000,
)
WINDOW = Window(
    header=HEADER,
    seq=46,
    clock=1,
    window=1300,
    time_ms=1_760_000_384_000,
    reason=4,
    rate_hz=50.0,
    names=("acc_x", "temp"),
    n_values=(4, 1),
    values=array("f", [0.5, -1.25, 3.0, NAN, 21.5]),
)
STATE = State(
    online=True,
    device="pump-7",
    epoch=0x0123456789ABCDEF,
    time_ms=1_760_000_000_000,
    streams={"motor": MANIFEST.digest},
    order_version=9,
)
ACK = Ack(epoch=0x0123456789ABCDEF, ranges=((41, 43), (45, 45)))
ORDER = Order(
    site="plant-2",
    device="pump-7",
    version=9,
    rollout="fan-7-ring-0",
    streams={"motor": OrderStream(bundle=MANIFEST.digest, url="http://depot:8000/fan-7.elb", length=len(BUNDLE))},
)
SIGNED = Signed(payload=ORDER.to_bytes(), signatures=SIGNATURES[:1])


@dataclass(frozen=True, kw_only=True)
class Document:
    """A kind of document, its sample, and how it is read."""

    kind: str
    value: Any
    read: Callable[[bytes], Any]
    is_json: bool
    variant: str = ""

    @property
    def path(self) -> Path:
        """The golden file."""
        return GOLDEN / f"{self.kind}{self.variant}-0.1.{'json' if self.is_json else 'bin'}"

    @property
    def golden(self) -> bytes:
        """The bytes as they shipped."""
        return self.path.read_bytes()


def _document(kind: str, value: Any, *, is_json: bool, variant: str = "") -> Document:
    return Document(kind=kind, value=value, read=type(value).from_bytes, is_json=is_json, variant=variant)


DOCUMENTS = (
    _document("program", PROGRAM, is_json=True),
    _document("program", FULL, is_json=True, variant="-full"),
    _document("manifest", MANIFEST, is_json=True),
    _document("manifest", VALUES, is_json=True, variant="-values"),
    _document("baseline", BASELINE, is_json=True),
    _document("strata", STRATA, is_json=True),
    _document("golden", GOLDEN_VECTORS, is_json=True),
    _document("order", ORDER, is_json=True),
    _document("signed", SIGNED, is_json=True),
    _document("records", RECORDS, is_json=False),
    _document("packed", PACKED, is_json=False),
    _document("summary", SUMMARY, is_json=False),
    _document("summary", TIMED, is_json=False, variant="-latency"),
    _document("brief", BRIEF, is_json=False),
    _document("event", EVENT, is_json=False),
    _document("window", WINDOW, is_json=False),
    _document("birth", BIRTH, is_json=False),
    _document("birth", TOLD, is_json=False, variant="-raw"),
    _document("state", STATE, is_json=False),
    _document("ack", ACK, is_json=False),
)
CONTAINER = GOLDEN / "container-0.1.bin"


def _write_missing() -> None:
    for path, data in [(d.path, d.value.to_bytes()) for d in DOCUMENTS] + [(CONTAINER, BUNDLE)]:
        if not path.exists():
            path.write_bytes(data)
            print(path.name, len(data))


if __name__ == "__main__":
    _write_missing()
