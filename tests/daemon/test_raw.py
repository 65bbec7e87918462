"""Raw windows: nothing leaves a device but what its own file allows, and that is what was decided."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.contract.birth import Birth, RawRule
from edge_runtime.contract.program import Channel
from edge_runtime.contract.traffic import raw_bytes
from edge_runtime.contract.window import Window
from edge_runtime.daemon import budget, load_config, raw
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.decide import load
from edge_runtime.daemon.service import Daemon
from edge_runtime.errors import UsageError
from tests.daemon.rig import HOP, WINDOW, Rig, recording
from tests.update.bundles import PROGRAM, make_bundle, members

ALLOWED: dict[str, Any] = {"raw_channels": ["x"], "raw_reasons": ["floor", "class", "uncertain"], "raw_windows": 3}


def rig(folder: Path, *, frames: int = 1000) -> Rig:
    made = Rig(folder)
    made.write()
    recording(folder / "run.csv", frames=frames)
    return made


def windows(device: Rig) -> list[Window]:
    return [Window.from_bytes(one.payload) for one in device.sealed() if one.kind == "raw"]


def test_without_an_allow_list_no_frame_is_kept(tmp_path: Path) -> None:
    device = rig(tmp_path)
    assert device.run().returncode == 0
    assert device.records()
    assert windows(device) == []


def test_the_windows_of_the_best_records_go_as_they_were_decided(tmp_path: Path) -> None:
    device = rig(tmp_path)
    device.write(**ALLOWED)
    assert device.run().returncode == 0
    told, records = windows(device), {window for _, (window, *_) in device.records()}
    assert len(told) == 3 * len(device.summaries())
    x = array("f", map(float, (tmp_path / "run.csv").read_text().split()[1:]))
    for one in told:
        assert one.window in records
        assert (one.names, one.rate_hz) == (("x",), PROGRAM.rate_hz)
        assert one.values == x[HOP * one.window : HOP * one.window + WINDOW]


def test_a_reason_that_no_record_has_brings_nothing(tmp_path: Path) -> None:
    device = rig(tmp_path)
    device.write(**ALLOWED | {"raw_reasons": ["fault"]})
    assert device.run().returncode == 0
    assert windows(device) == []


def test_bytes_a_day_bound_them_and_what_is_over_is_named(tmp_path: Path) -> None:
    device = rig(tmp_path)
    device.write(bottom="[budget]\nraw_bytes_day = 1000\n", **ALLOWED)
    assert device.run().returncode == 0
    told = windows(device)
    assert 0 < sum(len(one.to_bytes()) for one in told) <= 1000
    gaps = [event.fields for event in device.events() if event.kind == "gap"]
    assert [gap["dropped"] for gap in gaps] == ["raw"]
    assert gaps[0]["rows"] == 3 * len(device.summaries()) - len(told)
    assert len(device.records()) == 10 * len(device.summaries()), "records are not touched by it"


def test_what_waits_does_not_leave_under_a_narrower_list(tmp_path: Path) -> None:
    """Whoever takes a channel off the list means what is still here, too."""
    device = rig(tmp_path)
    device.write(**ALLOWED)
    assert device.run().returncode == 0
    sealed = windows(device)
    device.write(**ALLOWED | {"raw_reasons": ["fault"]})
    assert device.run().returncode == 0
    assert windows(device) == []
    gaps = [event.fields for event in device.events() if event.kind == "gap"]
    assert [(gap["dropped"], gap["rows"]) for gap in gaps] == [("raw", len(sealed))]


def test_a_list_that_is_as_it_was_keeps_what_waits(tmp_path: Path) -> None:
    device = rig(tmp_path)
    device.write(**ALLOWED)
    assert device.run().returncode == 0
    sealed = windows(device)
    assert device.run().returncode == 0
    assert windows(device)[: len(sealed)] == sealed


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ({"raw_channels": ["x"]}, "stream m: raw_reasons is missing, so no raw window may leave", "name both"),
        ({"raw_reasons": ["fault"]}, "stream m: raw_channels is missing", "name both"),
        ({**ALLOWED, "raw_reasons": ["falt"]}, "stream.raw_reasons: 'falt' is not one of floor, class,", ""),
        ({**ALLOWED, "source": "exec format=f32 ./sensor"}, "a bundle would name the columns", "add columns=NAME"),
        ({**ALLOWED, "source": "mqtt format=cbor plant/x"}, "a bundle would name the columns", "add columns=NAME"),
        ({**ALLOWED, "source": "playback run.wav"}, "a bundle would name the columns", "add columns=NAME"),
        ({**ALLOWED, "raw_windows": 65}, "stream.raw_windows: 65 is outside 1..64", ""),
    ],
)
def test_a_wrong_list_is_refused_by_name(tmp_path: Path, keys: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(Rig(tmp_path).write(**keys))
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_channel_that_the_bundle_lacks_is_refused_at_the_start(tmp_path: Path) -> None:
    device = rig(tmp_path)
    device.write(**ALLOWED | {"raw_channels": ["x", "audio"]})
    done = device.run()
    assert done.returncode == 2
    assert "error: stream m: raw_channels names 'audio', its bundle has no such channel" in done.stderr
    assert "hint: channels: x" in done.stderr


def test_a_bundle_with_more_channels_does_not_widen_the_list() -> None:
    """What a rollout brings may name what it likes: only what the file names is copied."""
    stream = StreamConfig(name="m", source="host", raw_channels=("x",), raw_reasons=("range",), raw_windows=2)
    wide = replace(PROGRAM, channels=(Channel(name="audio", unit="Pa"), *PROGRAM.channels))
    rule = raw.rule_of(stream, wide)
    assert rule is not None
    assert rule.channels == ((1, "x"),)
    assert raw.rule_of(stream, replace(PROGRAM, channels=(Channel(name="audio", unit="Pa"),))) is None
    assert raw.refuse_unknown(stream, replace(PROGRAM, channels=wide.channels[:1]), is_strict=False) == ["x"]


def test_a_bundle_that_swaps_its_channels_gets_the_same_one(tmp_path: Path) -> None:
    """Of a source without names they stand in device.toml, so a place is never what a bundle calls it."""
    frames = array("f", [float(v) for i in range(1000) for v in (i % 7, 1000 + i % 5)])
    (tmp_path / "run.f32").write_bytes(frames.tobytes())
    swapped = (Channel(name="mic", unit="Pa"), *PROGRAM.channels)
    for n, channels in enumerate((swapped, swapped[::-1])):
        features = [replace(one, channel=channels.index(PROGRAM.channels[0])) for one in PROGRAM.features]
        program = replace(PROGRAM, channels=channels, features=tuple(features))
        folder = tmp_path / str(n)
        folder.mkdir()
        device = Rig(folder)
        device.write(
            source=f"exec format=f32 columns=x,mic cat {tmp_path}/run.f32", at_end="stop",
            files=members() | {"program.json": program.to_bytes()}, **ALLOWED,
        )  # fmt: skip
        assert device.run().returncode == 0
        told = windows(device)
        assert told
        assert {one.names for one in told} == {("x",)}
        assert max(max(one.values) for one in told) < 7


def test_a_window_that_no_message_holds_is_refused() -> None:
    channels = tuple(Channel(name=f"c{i}", unit="") for i in range(17))
    program = replace(PROGRAM, channels=channels, window_frames=4096, hop_frames=4096)
    stream = StreamConfig(
        name="m", source="host", raw_channels=tuple(c.name for c in channels), raw_reasons=("fault",)
    )  # fmt: skip
    with pytest.raises(UsageError, match="a raw window has 69632 values, a message holds 65536"):
        raw.refuse_unknown(stream, program, is_strict=True)
    assert raw.rule_of(stream, program) is None


def test_memory_and_bytes_a_day_count_them(tmp_path: Path) -> None:
    bottom = '[broker]\nhost = "127.0.0.1"\n[budget]\nrecord_bytes_day = 1000000000\nraw_bytes_day = 4321\n'
    loaded = {"m": load(make_bundle(1))}
    off, on = (load_config(Rig(tmp_path).write(bottom=bottom, **keys)) for keys in ({}, ALLOWED))
    rows = {row.what: row.value for row in budget.needs(on, loaded)}
    assert rows["m: raw windows"] == 3 * 4 * WINDOW
    assert rows["raw windows"] == 4321
    without = {row.what: row.value for row in budget.needs(off, loaded)}
    ring = rows["m: waiting for the spool"] - without["m: waiting for the spool"]
    assert ring == budget.RING * 3 * 4 * WINDOW
    assert "raw windows" not in without
    free = replace(on, budget=replace(on.budget, raw_bytes_day=0))
    day = {row.what: row.value for row in budget.traffic(free, loaded)}["raw windows"]
    sealed = raw_bytes([("x", WINDOW)])
    assert day == pytest.approx(86400 / (50 * HOP / PROGRAM.rate_hz) * 3 * sealed, abs=1)


@pytest.mark.parametrize("keys", [{}, ALLOWED])
def test_the_birth_says_what_may_leave(tmp_path: Path, keys: dict[str, Any]) -> None:
    device = rig(tmp_path)
    daemon = Daemon(load_config(device.write(**keys)))
    daemon._open_slots()
    born = Birth.from_bytes(daemon._birth_letter().payload)
    rule = RawRule(channels=("x",), reasons=("floor", "class", "uncertain"), windows=3)
    assert born.raw == ({"m": rule} if keys else {})
    assert born.raw_bytes_day == 1_000_000
