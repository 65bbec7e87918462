"""One stream in this process: what it hands to spool and sinks, in which order, and where it goes on."""

from __future__ import annotations

import errno
import random
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edge_runtime.contract import cbor
from edge_runtime.contract.brief import read_summary
from edge_runtime.contract.header import Header
from edge_runtime.contract.packed import read_records
from edge_runtime.contract.records import FAULT, RANGE
from edge_runtime.contract.traffic import MAX_WINDOWS
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.decide import Loaded, Runner, load
from edge_runtime.daemon.period import Period
from edge_runtime.errors import ContractError
from edge_runtime.native import FAR, NAN, Decision
from edge_runtime.spool import Draft
from tests.daemon.rig import recording, windows_of
from tests.update.bundles import make_bundle

FRAMES = 2000


@dataclass
class Station:
    """Stands in for spool, sinks and main loop; `room` is how many submissions the spool takes."""

    room: int = 10**9
    waiting: int = 0
    last_window: int = -1
    unflushed_at_submit: list[int] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    checkpoint: bytes = b""
    reports: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)
    fails: bool = False
    is_live: bool = False
    emitted: list[dict[str, object]] = field(default_factory=list)

    def emit(self, line: Mapping[str, object]) -> None:
        assert isinstance(line["window"], int)
        self.waiting, self.last_window = self.waiting + 1, line["window"]
        self.emitted.append({name: value for name, value in line.items() if name != "time_ms"})

    dropped = 0

    def close(self) -> None: ...

    def flush(self) -> None:
        if self.fails:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.waiting = 0

    def submit(self, drafts: list[Draft], checkpoints: dict[str, bytes], *, may_wait: bool) -> bool:
        assert may_wait is not self.is_live, "a playback waits, a live stream never"
        self.unflushed_at_submit.append(self.waiting)
        self.room -= 1
        if self.room < 0:
            return False
        self.drafts += drafts
        (self.checkpoint,) = checkpoints.values()
        return True

    def report(self, _stream: str, kind: str, fields: Mapping[str, str | int]) -> None:
        self.reports.append((kind, dict(fields)))


@pytest.fixture
def config(tmp_path: Path) -> StreamConfig:
    recording(tmp_path / "run.csv", frames=FRAMES)
    return StreamConfig(
        name="m", source=f"playback {tmp_path}/run.csv", period_windows=50, period_s=0.0, sample_k=5, commit_s=3600.0
    )


def runner(config: StreamConfig, station: Station, *, checkpoint: tuple[bytes, Loaded | None] | None = None) -> Runner:
    return Runner(
        config,
        load(make_bundle(1)),
        device="dev-1",
        epoch=7,
        sinks=[station],
        submit=station.submit,
        report=station.report,
        checkpoint=checkpoint,
    )


def test_decisions_are_out_before_the_checkpoint_that_goes_past_them(config: StreamConfig) -> None:
    """Else a kill in between loses lines that nobody makes again."""
    station = Station()
    runner(config, station).run()
    assert len(station.unflushed_at_submit) >= windows_of(FRAMES) // 50
    assert set(station.unflushed_at_submit) == {0}


def test_a_sink_that_nobody_reads_stops_no_stream(config: StreamConfig) -> None:
    station = Station(fails=True)
    made = runner(config, station)
    made.run()
    assert made.failure is None
    assert made.windows == windows_of(FRAMES)
    faults = [fields for kind, fields in station.reports if kind == "fault"]
    assert [fault["error"] for fault in faults] == ["BrokenPipeError"]


def test_no_checkpoint_goes_past_drafts_that_the_spool_refused(config: StreamConfig) -> None:
    """A playback stopped while the spool was full makes them again at its next start."""
    station = Station(room=2)
    runner(config, station).run()
    assert station.room == -1, "it went on submitting"
    again = Station()
    runner(config, again, checkpoint=(station.checkpoint, load(make_bundle(1)))).run()
    rows = sum(draft.rows for draft in (*station.drafts, *again.drafts) if draft.kind == "rec")
    calm = Station()
    runner(config, calm).run()
    assert rows == sum(draft.rows for draft in calm.drafts if draft.kind == "rec")


def test_goes_on_at_its_place_where_the_bundle_of_the_checkpoint_is_gone(config: StreamConfig) -> None:
    station = Station(room=2)
    runner(config, station).run()
    again = Station()
    made = runner(config, again, checkpoint=(station.checkpoint, None))
    assert made.windows == 100, "two periods of 50 were committed"
    made.run()
    kind, fields = again.reports[0]
    assert (kind, fields["window"]) == ("gap", 100)
    assert made.windows >= windows_of(FRAMES) - 2


def test_a_checkpoint_of_a_newer_format_is_refused(config: StreamConfig) -> None:
    station = Station(room=2)
    runner(config, station).run()
    saved = cbor.loads(station.checkpoint, what="checkpoint")
    assert isinstance(saved, dict)
    newer = cbor.dumps(saved | {"format": "1.0"})
    with pytest.raises(ContractError, match=r"checkpoint of stream .*: format 1\.0, this program knows 0\.1") as why:
        runner(config, Station(), checkpoint=(newer, load(make_bundle(1))))
    assert "run the newer edge-runtime again" in why.value.hint
    minor = cbor.dumps(saved | {"format": "0.9", "more": 1})
    made = runner(config, Station(), checkpoint=(minor, load(make_bundle(1))))
    assert made.windows == 100
    made.run()


def test_a_change_of_sample_k_begins_the_period_anew_and_no_more(config: StreamConfig) -> None:
    station = Station(room=2)
    runner(config, station).run()
    again = Station()
    made = runner(replace(config, sample_k=9), again, checkpoint=(station.checkpoint, load(make_bundle(1))))
    made.run()
    assert again.reports[0][0] == "gap"
    assert made.windows == windows_of(FRAMES)


def period(*, n_features: int = 1, **more: float) -> Period:
    return Period(
        StreamConfig(name="m", source="host", sample_k=1, **more),  # type: ignore[arg-type]
        header=Header(device="d", stream="m", epoch=1, bundle="0" * 64, program="0" * 64),
        clock=0,
        n_labels=2,
        n_features=n_features,
        hop_s=0.5,
    )


@pytest.mark.parametrize("jump_ms", [0, -(10**12), 10**12])
def test_a_period_ends_on_time_whatever_the_clock_does(jump_ms: int) -> None:
    loaded = load(make_bundle(1))
    one, ended = period(period_windows=3, period_s=10.0), []
    for window in range(25):
        time_ms = 1_700_000_000_000 + 500 * window + (jump_ms if window else 0)
        decision = Decision(window=window, label=0, vote=0, margin=1.0, flags=0)
        ended.append(one.observe(decision, loaded.stream, window=window, time_ms=time_ms, latency_ns=1000))
    assert ended.index(True) == 20, "the first window after 10 s"


def test_what_no_sensor_should_say_is_kept_whatever_the_draw() -> None:
    """Of a hundred frames one is no number and one far off all of training; of the other windows one is drawn."""
    loaded = load(make_bundle(1))
    one = period(n_features=len(loaded.program.features), period_windows=1000, period_s=0.0)
    rng = random.Random(1)
    x = array("f", [rng.gauss(0, 1) for _ in range(100 * len(loaded.program.channels))])
    x[40 * len(loaded.program.channels)], x[80 * len(loaded.program.channels)] = float("nan"), 1e12
    at, flags = 0, {}
    while at < 100:
        at += loaded.stream.step(x, at, 100 - at)
        if loaded.stream.status == "decision":
            decision = loaded.stream.decision
            flags[decision.window] = decision.flags
            one.observe(decision, loaded.stream, window=decision.window, time_ms=0, latency_ns=1000)
    records = [read_records(draft.encode(1)) for draft in one.finish(loaded.stream) if draft.kind == "rec"]
    told = {w: (r, p) for b in records for w, r, p in zip(b.windows, b.reasons, b.probabilities, strict=True)}
    for flag, why in ((NAN, FAULT), (FAR, RANGE)):
        windows = [window for window, given in flags.items() if given & flag]
        assert len(windows) in range(1, 5)
        assert {told[window] for window in windows} == {(why, 1.0)}
    drawn = [p for why, p in told.values() if why not in {FAULT, RANGE}]
    assert len(drawn) == 1
    assert drawn[0] < 0.3


def test_a_period_never_outgrows_the_counters_of_the_core() -> None:
    assert period(period_windows=1, period_s=10.0**7)._windows == MAX_WINDOWS


class Live:
    """A live source of `n` frames; it never goes back."""

    rate_hz = 20.0
    channels = ("x",)

    def __init__(self, n: int) -> None:
        self.left = n

    def read(self, out: memoryview) -> int:
        if self.left == 0:
            return 0
        self.left -= 1
        out[:1] = memoryview(array("f", [0.25]))
        return 1

    def seek(self, frame: int) -> None:
        pass

    def stop(self) -> None:
        self.left = 0

    def close(self) -> None:
        pass


def test_live_stream_after_an_outage_closes_its_period_and_begins_with_an_empty_window(
    config: StreamConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.daemon.decide.open_source", lambda *_, **__: Live(101))
    live, station = replace(config, source="host", period_windows=10), Station(is_live=True)
    made = runner(live, station)
    made._loop()
    made._commit(finish=False)
    assert made.windows == windows_of(101) == 24
    again = Station(is_live=True)
    later = runner(live, again, checkpoint=(station.checkpoint, load(make_bundle(1))))
    later.run()
    assert again.reports[0] == ("gap", {"reason": "the device was away", "window": 24})
    assert later.windows == 24 + windows_of(101), "not one window holds frames from before and after"
    sums = [read_summary(draft.encode(1)) for draft in (*station.drafts, *again.drafts) if draft.kind == "sum"]
    assert [one.period for one in sums] == list(range(len(sums)))
    assert [(one.first_window, one.n_windows) for one in sums] == [
        (0, 10), (10, 10), (20, 4), (24, 10), (34, 10), (44, 4),
    ]  # fmt: skip


def test_what_a_full_ring_cost_is_counted_over_a_swap(config: StreamConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.daemon.decide.open_source", lambda *_, **__: Live(101))
    station = Station(is_live=True)
    made = runner(replace(config, source="host"), station)
    made._loop()
    station.room = 0
    made.swap(load(make_bundle(2)))
    made._take_over()
    assert made._period.marks.drops == 6, "5 records and the summary of the period that the swap ended"
