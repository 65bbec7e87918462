"""Bytes of telemetry that are told before there is any are those that a device sends."""

from __future__ import annotations

import pytest

from edge_runtime.contract.bundle import Bundle
from edge_runtime.contract.header import Header
from edge_runtime.contract.topics import up
from edge_runtime.contract.traffic import FRAMING, NAME, bytes_day, period_bytes, summary_bytes
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.decide import load
from edge_runtime.daemon.period import Period
from edge_runtime.engines import load_bundle
from edge_runtime.native import FAR
from edge_runtime.sampling import APART
from tests.contract.period import FEATURES, SCORES, counted
from tests.profile.bundles import ESTIMATORS, PROGRAMS, frames, made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(made(PROGRAMS["small"](), ESTIMATORS["logistic"](), tmp_path_factory.mktemp("bundle")))


@pytest.mark.parametrize("apart", [0, APART])
@pytest.mark.parametrize("sample_k", [1, 32, 100])
@pytest.mark.parametrize("windows", [50, 400])
def test_a_period_sends_what_was_told(sample_k: int, windows: int, apart: int, bundle: Bundle) -> None:
    """Never more, and at most 15 % less: some rows have fewer bins. Values out of range are kept beside those drawn."""
    loaded = load(bundle)
    n_features, n_labels = len(loaded.program.features), len(loaded.labels)
    config = StreamConfig(name=NAME, source="host", sample_k=sample_k, period_windows=windows, period_s=0.0)
    header = Header(device=NAME, stream=NAME, epoch=2**63, bundle=loaded.digest, program=loaded.program.digest)
    hop_s = loaded.program.hop_frames / loaded.program.rate_hz
    period = Period(config, header=header, clock=1, n_labels=n_labels, n_features=n_features, hop_s=hop_s)
    signal, window, is_over = frames().reshape(-1).data, 0, False
    while not is_over:
        loaded.stream.step(signal, 16 * (window % 60), 32 if window == 0 else 16)
        if loaded.stream.status != "decision":
            continue
        time_ms = 1_700_000_000_000 + round(1000 * hop_s * window) + window % 3
        latency_ns = 900_000 + 24_000 * (window * 37 % 100)
        decision = loaded.stream.decision._replace(flags=FAR if window % 4 == 1 and apart else 0)
        is_over = period.observe(decision, loaded.stream, window=window, time_ms=time_ms, latency_ns=latency_ns)
        window += 1
    drafts = period.finish(loaded.stream)
    sent = sum(FRAMING + len(up(NAME, NAME, each.kind, NAME)) + len(each.encode(2**31)) for each in drafts)
    told = period_bytes(n_features=n_features, n_labels=n_labels, sample_k=sample_k, n_windows=window, apart=apart)
    assert 0.85 * told <= sent <= told


@pytest.mark.parametrize("n_windows", [12, 200, 2812])
def test_a_summary_is_never_more_than_was_told(n_windows: int) -> None:
    """Of streams that follow their past, are skewed or mostly zero; nor is much more told."""
    shape = {"n_features": FEATURES, "n_labels": SCORES, "n_windows": n_windows}
    sent = len(counted(n_windows).to_bytes())
    assert sent <= summary_bytes(**shape) <= 1.1 * sent + 50


def test_a_day_is_so_many_periods() -> None:
    shape = {"n_features": 20, "n_labels": 3, "sample_k": 32}
    hour = bytes_day(**shape, period_s=3600, period_windows=1, window_s=1.0)
    assert hour == round(86400 / 3601 * period_bytes(**shape, n_windows=3601))
    rare = bytes_day(**shape, period_s=3600, period_windows=200, window_s=60.0)
    assert rare == round(86400 / 12000 * period_bytes(**shape, n_windows=200)), "200 windows last longer than an hour"
