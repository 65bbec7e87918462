"""Bytes of telemetry, before there is any: a period's records and summary are encoded and measured.

One rule: no formula for what the encoders can say. Left out: births, events, acknowledgements, TCP and TLS.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from edge_runtime.contract.brief import BriefBatch
from edge_runtime.contract.header import Header
from edge_runtime.contract.packed import PackedBatch
from edge_runtime.contract.summary import SummaryRow
from edge_runtime.contract.topics import up
from edge_runtime.contract.window import Window
from edge_runtime.lean import Final

DAY_S: Final = 86400
BATCH_ROWS: Final = 64
BATCH_BYTES: Final = 8192
MAX_WINDOWS: Final = 1 << 22  # ER_PERIOD_WINDOWS: what the core can count in one period
SLOTS: Final = 12  # counts of a row: below, ten bins, above
ONE: Final = 65536  # z of a value that is one scale off
WANDER: Final = 4  # of sums that follow their past, by what they would without one
LATENCY_US: Final = 65535  # two bytes a record
LATENCY_BINS: Final = 60  # of a summary: more than three octaves without a gap
NOW_MS: Final = 1_800_000_000_000
NAME: Final = "x" * 16  # site, device and stream; each letter more is four bytes a message
FRAMING: Final = 9  # MQTT: fixed header, length of the topic, packet number, no properties


_HEADER: Final = Header(device=NAME, stream=NAME, epoch=2**64 - 1, bundle="0" * 64, program="0" * 64)


def windows_of_period(*, period_s: float, period_windows: int, window_s: float) -> int:
    """Decisions of a period, which covers both its seconds and its windows; `window_s` lie between two [s]."""
    return min(MAX_WINDOWS, max(period_windows, math.ceil(period_s / window_s - 1e-9) + 1))


def batch_rows(n_values: int) -> int:
    """Records that go into one batch, of so many features and scores."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES // (4 * n_values + 20)))


def period_bytes(*, n_features: int, n_labels: int, sample_k: int, n_windows: int, apart: int = 0) -> int:
    """Bytes that one period sends: its records and its summary, each an MQTT message.

    Args:
        n_features: Of a decision.
        n_labels: Scores of a decision.
        sample_k: Records drawn at most.
        n_windows: Decisions of the period, 1 or more.
        apart: Records kept for what they are, such as a fault, beside those drawn; 0 where nothing happens.
    """
    kept, total = min(sample_k + apart, n_windows), 0
    size = batch_rows(n_features + n_labels)
    for first in range(0, kept, size):
        rows = min(size, kept - first)
        total += _sent("rec", len(_records(_HEADER, rows, n_features, n_labels, n_windows).to_bytes()))
    return total + _sent("sum", summary_bytes(n_features=n_features, n_labels=n_labels, n_windows=n_windows))


def summary_bytes(*, n_features: int, n_labels: int, n_windows: int) -> int:
    """Bytes of the summary of one period, without MQTT's own."""
    return len(_summary(_HEADER, n_features, n_labels, n_windows).to_bytes())


def bytes_day(
    *,
    n_features: int,
    n_labels: int,
    sample_k: int,
    period_s: float,
    period_windows: int,
    window_s: float,
    apart: int = 0,
) -> int:
    """Telemetry of a stream [bytes/day].

    Args:
        n_features: Of a decision.
        n_labels: Scores of a decision.
        sample_k: Records drawn of a period, at most.
        period_s: Length of a period at least [s].
        period_windows: Decisions of a period at least.
        window_s: Between two decisions [s], above 0.
        apart: Records of a period that are kept for what they are.
    """
    n_windows = windows_of_period(period_s=period_s, period_windows=period_windows, window_s=window_s)
    sent = period_bytes(n_features=n_features, n_labels=n_labels, sample_k=sample_k, n_windows=n_windows, apart=apart)
    return round(DAY_S / (n_windows * window_s) * sent)


def period_seconds(*, period_s: float, period_windows: int, window_s: float) -> float:
    """How long a period lasts in fact [s]."""
    return window_s * windows_of_period(period_s=period_s, period_windows=period_windows, window_s=window_s)


def raw_bytes(channels: Sequence[tuple[str, int]]) -> int:
    """Bytes of one raw window as an MQTT message, of (name, values) a channel."""
    window = Window(
        header=_HEADER,
        seq=2**31,
        clock=1,
        window=2**31,
        time_ms=NOW_MS,
        reason=0,
        rate_hz=1.0,
        names=tuple(name for name, _ in channels),
        n_values=tuple(n for _, n in channels),
        values=array("f", bytes(4 * sum(n for _, n in channels))),
    )
    return _sent("raw", len(window.to_bytes()))


def _sent(leaf: str, n_bytes: int) -> int:
    return FRAMING + len(up(NAME, NAME, leaf, NAME)) + n_bytes


def _records(header: Header, rows: int, n_features: int, n_labels: int, n_windows: int) -> PackedBatch:
    """No column is of one value, for that would be sent as one."""
    windows = tuple(round(i * (n_windows - 1) / max(1, rows - 1)) for i in range(rows))
    other = [i % 2 for i in range(rows)]
    return PackedBatch(
        header=header,
        first_seq=2**31,
        clock=1,
        windows=windows,
        times_ms=tuple(NOW_MS + 1000 * window + i for window, i in zip(windows, other, strict=True)),
        labels=(0,) * rows,
        votes=tuple(other),
        reasons=tuple(other),
        probabilities=array("f", [1 / (1 + i) for i in other]),
        latencies_us=tuple(LATENCY_US - i for i in other),
        features=array("f", bytes(4 * rows * n_features)),
        scores=array("f", bytes(4 * rows * n_labels)),
        n_features=n_features,
        n_scores=n_labels,
    )


def _summary(header: Header, n_features: int, n_labels: int, n_windows: int) -> BriefBatch:
    """Rows that differ as those of signals do: what is all the same would be sent in next to nothing."""
    n, root = n_windows, math.isqrt(n_windows)
    off = min(n // SLOTS, root)
    counts = [n // SLOTS + (off if slot % 2 else -off) for slot in range(SLOTS - 1)]
    rows = tuple(
        SummaryRow(
            n=n,
            n_nan=0,
            min=1 / 64 / (3 + i),
            max=64.0 * (3 + i) / 3,
            first=-ONE - 9999 * side,
            last=ONE + 9999 * side,
            sum=side * WANDER * ONE * root,
            sum_sq=ONE * ONE * (n + side * WANDER * root),
            sum_lag=ONE * ONE * n,
            counts=(*counts, n - sum(counts)),
        )
        for i, side in enumerate((1, -1) * (n_features + n_labels))
    )
    return BriefBatch(
        header=header,
        seq=2**31,
        period=2**16,
        start_ms=NOW_MS,
        end_ms=NOW_MS + 1000 * n,
        clock=1,
        first_window=2**31,
        last_window=2**31 + n - 1,
        n_windows=n,
        label_counts=(n, *(0,) * n_labels),
        drops=0,
        rows=rows[: n_features + n_labels],
        latency_bins=tuple(range(250, 250 + LATENCY_BINS)),
        latency_counts=(max(1, n // LATENCY_BINS),) * LATENCY_BINS,
    )
