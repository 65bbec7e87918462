"""Documents of a made-up device, small and valid."""

from __future__ import annotations

from array import array

from edge_runtime.contract.birth import Birth, BirthStream, State
from edge_runtime.contract.event import Event
from edge_runtime.contract.header import Header
from edge_runtime.contract.records import RecordBatch
from edge_runtime.contract.summary import SummaryBatch, SummaryRow

SITE, DEVICE, STREAM, EPOCH = "lab", "fan-7", "main", 2**64 - 3
BUNDLE, PROGRAM = "ab" * 32, "cd" * 32
START_MS = 1_700_000_000_000


def header(device: str = DEVICE, epoch: int = EPOCH) -> Header:
    return Header(device=device, stream=STREAM, epoch=epoch, bundle=BUNDLE, program=PROGRAM)


def records(first_seq: int = 1, rows: int = 4, *, device: str = DEVICE, epoch: int = EPOCH) -> RecordBatch:
    numbers = range(first_seq, first_seq + rows)
    return RecordBatch(
        header=header(device, epoch), first_seq=first_seq, clock=1,
        windows=tuple(10 * n for n in numbers), times_ms=tuple(START_MS + 1000 * n for n in numbers),
        labels=tuple(n % 3 - 1 for n in numbers), votes=tuple(n % 2 for n in numbers),
        reasons=tuple(n % 3 for n in numbers), probabilities=array("f", [0.5] * rows),
        latencies_us=tuple(range(rows)), features=array("f", [0.25 * i for i in range(3 * rows)]),
        scores=array("f", [0.75, 0.25] * rows), n_features=3, n_scores=2,
    )  # fmt: skip


def summary(seq: int = 1, *, period: int = 0, device: str = DEVICE, rows: tuple[SummaryRow, ...] = ()) -> SummaryBatch:
    row = SummaryRow(n=5, n_nan=1, min=-1.0, max=2.0, first=3, last=-4, sum=10, sum_sq=2**40, sum_lag=-7,
                     counts=(0, 2, 3, 0))  # fmt: skip
    empty = SummaryRow(n=0, n_nan=6, min=float("nan"), max=float("nan"), first=0, last=0, sum=0, sum_sq=0, sum_lag=0,
                       counts=(0, 0, 0))  # fmt: skip
    return SummaryBatch(
        header=header(device), seq=seq, period=period, start_ms=START_MS + 60_000 * period,
        end_ms=START_MS + 60_000 * (period + 1), clock=1, first_window=6 * period, last_window=6 * period + 5,
        n_windows=6, label_counts=(4, 1, 1), drops=0, rows=rows or (row, empty),
    )  # fmt: skip


def event(seq: int = 1) -> Event:
    return Event(device=DEVICE, epoch=EPOCH, seq=seq, stream="", time_ms=START_MS, kind="gap",
                 fields={"kind": "rec", "first_seq": 1, "last_seq": 64, "rows": 64})  # fmt: skip


def birth() -> Birth:
    stream = BirthStream(name=STREAM, bundle=BUNDLE, program=PROGRAM, version=3, window_frames=64, hop_frames=32,
                         rate_hz=20.0, source="host")  # fmt: skip
    return Birth(site=SITE, device=DEVICE, epoch=EPOCH, time_ms=START_MS, utc_offset_min=120,
                 versions={"edgeloop": "0.1.0"}, streams=(stream,))  # fmt: skip


def state(*, online: bool = True) -> State:
    return State(online=online, device=DEVICE, epoch=EPOCH, time_ms=START_MS, streams={STREAM: BUNDLE},
                 order_version=2)  # fmt: skip
