"""A stream whose program looks at the times of frames: gaps live as in training, told, and whole over a restart."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.bundle import Bundle, unpack
from edge_runtime.contract.timing import Timing
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.decide import Runner, load
from edge_runtime.spool import Draft
from tests.daemon.test_runner import Station
from tests.update.bundles import PROGRAM, make_bundle, members, packed_bundle

FRAMES = 1500
TIMED = dataclasses.replace(PROGRAM, timing=Timing(policy="hold", most_frames=20))


def timed_bundle(version: int = 1) -> Bundle:
    return unpack(packed_bundle(version, files={**members(), "program.json": TIMED.to_bytes()}))


def bad_recording(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Frames at 10 Hz, some lost, doubled or late, and the clock set back once; (values, times)."""
    rng, at, lines, values, times = random.Random(4), 1_700_000_000_000_000, ["t,x"], [], []
    for k in range(FRAMES):
        at += 100_000 * (rng.randint(2, 9) if rng.random() < 0.03 else 1) - (3_600_000_000 if k == 700 else 0)
        time = at - 300_000 if rng.random() < 0.02 else at
        values.append(round(rng.random(), 4))
        times.append(time)
        lines.append(f"{time},{values[-1]}")
        if rng.random() < 0.02:
            values.append(0.5)
            times.append(time)
            lines.append(f"{time},0.5")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return np.array(values, np.float32), np.array(times, np.int64)


def config_of(source: str) -> StreamConfig:
    return StreamConfig(name="m", source=source, period_windows=50, period_s=0.0, sample_k=5, commit_s=3600.0)


def run(source: str, bundle: Bundle, station: Station, checkpoint: bytes | None = None) -> Runner:
    made = Runner(
        config_of(source),
        load(bundle),
        device="dev-1",
        epoch=7,
        sinks=[station],
        submit=station.submit,
        report=station.report,
        checkpoint=None if checkpoint is None else (checkpoint, load(bundle)),
    )
    made.run()
    return made


def test_a_stream_decides_the_windows_of_the_batch_and_tells_what_its_clock_met(tmp_path: Path) -> None:
    values, times = bad_recording(tmp_path / "run.csv")
    station = Station()
    made = run(f"playback time_us=t {tmp_path}/run.csv", timed_bundle(), station)
    walked = native.batch_at(TIMED, values, times)
    assert made.failure is None
    assert made.windows == len(walked.first) > 300
    assert made.loaded.stream.clock == walked.clock
    assert min(walked.clock) > 0
    lost = [fields for _, fields in station.reports if fields.get("error") == "Lost"]
    names = ("duplicate_frames", "late_frames", "filled_frames", "clock_resets")
    assert tuple(sum(int(fields.get(name, 0)) for fields in lost) for name in names) == walked.clock


def test_a_killed_stream_makes_the_same_windows_again(tmp_path: Path) -> None:
    """Every commit is a place to go on from, also one in the middle of a gap."""
    bad_recording(tmp_path / "run.csv")
    source, kept = f"playback time_us=t {tmp_path}/run.csv", list[bytes]()

    class Keeping(Station):
        def submit(self, drafts: list[Draft], checkpoints: dict[str, bytes], *, may_wait: bool) -> bool:
            kept.extend(checkpoints.values())
            return super().submit(drafts, checkpoints, may_wait=may_wait)

    first = run(source, timed_bundle(), Keeping()).loaded.stream
    assert len(kept) > 5
    for checkpoint in kept[:-1:2]:
        again = run(source, timed_bundle(), Station(), checkpoint).loaded.stream
        assert (again.windows, again.clock) == (first.windows, first.clock)
        assert bytes(again.features) == bytes(first.features)


def test_a_source_without_times_is_refused_by_a_program_that_needs_them(tmp_path: Path) -> None:
    bad_recording(tmp_path / "run.csv")
    made = run(f"playback {tmp_path}/run.csv", timed_bundle(), Station())
    assert "its program handles gaps (hold), but source" in str(made.failure)
    assert made.windows == 0


@pytest.mark.parametrize("words", ["", "time_us=t "])
def test_a_program_without_a_policy_takes_every_frame(tmp_path: Path, words: str) -> None:
    values, _ = bad_recording(tmp_path / "run.csv")
    made = run(f"playback {words}{tmp_path}/run.csv", make_bundle(1), Station())
    assert made.failure is None
    assert made.windows == 1 + (len(values) - 8) // 4
