"""The host source: canned /proc text gives known numbers; the schedule does not drift; what is missing is named."""

from __future__ import annotations

import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.host import CHANNELS, HostSource, next_slot
from edge_runtime.sources.proc import (
    PARSERS,
    frame,
    parse_diskstats,
    parse_meminfo,
    parse_net_dev,
    parse_stat,
    parse_vmstat,
)

STAT = """cpu  800 200 300 9000 100 40 60 70 0 0
cpu0 400 100 150 4500 50 20 30 35 0 0
cpu1 400 100 150 4500 50 20 30 35 0 0
intr 5000 1 2 3
ctxt 7000
btime 1700000000
processes 42
procs_running 4
procs_blocked 0
softirq 9 1 2
"""
STAT_2_4 = "cpu  100 0 50 850\ncpu0 100 0 50 850\nintr 77 1\nctxt 88\nprocesses 9\n"
VMSTAT = "nr_free_pages 12\npgpgin 5\npgfault 1234\npgfault_other 9\npgmajfault 56\n"
NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
  eth0:20000000      20    0    0    0     0          0         0      300      30    0    0    0     0       0          0
"""  # noqa: E501
MEMINFO = "MemTotal:    1000 kB\nMemFree:   100 kB\nMemAvailable:    400 kB\nBuffers:  50 kB\nCached:  150 kB\n"


def disk_line(name: str, *, read: int, written: int, busy_ms: int, more: str = "") -> str:
    return f"   8       0 {name} 1 2 {read} 4 5 6 {written} 8 0 {busy_ms} 11{more}\n"


def test_cpu_time_is_a_fraction_of_all_cores_together() -> None:
    found = parse_stat(STAT)
    assert found["cpu_user"] == pytest.approx(10.0 / 2)
    assert found["cpu_system"] == pytest.approx(4.0 / 2)
    assert found["cpu_iowait"] == pytest.approx(1.0 / 2)
    assert (found["interrupts"], found["context_switches"], found["process_starts"]) == (5000, 7000, 42)


def test_the_sampler_is_not_among_the_runnable() -> None:
    assert parse_stat(STAT)["runnable"] == 1.5
    assert parse_stat(STAT.replace("procs_running 4", "procs_running 0"))["runnable"] == 0


def test_a_kernel_without_iowait_counts_none_and_what_it_lacks_is_left_out() -> None:
    found = parse_stat(STAT_2_4)
    assert found["cpu_iowait"] == 0
    assert found["cpu_user"] == 1.0
    assert "runnable" not in found
    assert parse_vmstat("nr_free_pages 1\n") == {}
    assert parse_meminfo("MemFree: 3 kB\n") == {}


def test_page_faults_are_found_by_their_whole_name() -> None:
    assert parse_vmstat(VMSTAT) == {"page_faults": 1234, "major_faults": 56}
    assert parse_vmstat("pgfault 5\npgmajfault 6\n") == {"page_faults": 5, "major_faults": 6}


@pytest.mark.parametrize("more", ["", " 1 2 3 4", " 1 2 3 4 5 6"], ids=["before 4.18", "4.18", "5.5"])
def test_only_whole_disks_count(more: str) -> None:
    disks = ["sda", "vdb", "nvme0n1", "mmcblk0", "xvda1"]  # a cloud's xvda1 may have no xvda above it
    others = ["sda1", "sda12", "nvme0n1p2", "mmcblk0p1", "mmcblk0boot0"]
    others += ["loop0", "ram1", "zram0", "dm-0", "md127", "sr0"]
    text = "".join(disk_line(name, read=10, written=100, busy_ms=500, more=more) for name in disks)
    text += "".join(disk_line(name, read=7777, written=7777, busy_ms=7777, more=more) for name in others)
    assert parse_diskstats(text) == {"sectors_read": 50, "sectors_written": 500, "io_time": 2.5}


def test_short_lines_of_old_kernels_are_partitions() -> None:
    text = disk_line("hda", read=10, written=100, busy_ms=500) + "   3    1 hdb9 5 6 7 8\n"
    assert parse_diskstats(text) == {"sectors_read": 10, "sectors_written": 100, "io_time": 0.5}
    assert parse_diskstats("") == {"sectors_read": 0, "sectors_written": 0, "io_time": 0}


def test_all_interfaces_count_with_or_without_a_space_after_the_colon() -> None:
    assert parse_net_dev(NET) == {
        "net_rx_bytes": 20001000,
        "net_rx_packets": 30,
        "net_tx_bytes": 1300,
        "net_tx_packets": 40,
    }


def test_available_memory_is_estimated_where_the_kernel_does_not_tell() -> None:
    assert parse_meminfo(MEMINFO)["memory_used"] == pytest.approx(0.6)
    old = MEMINFO.replace("MemAvailable:    400 kB\n", "")
    assert parse_meminfo(old)["memory_used"] == pytest.approx(0.7)


def test_rates_are_over_the_true_time_and_never_negative() -> None:
    table = [c for c in CHANNELS if c.name in {"cpu_user", "context_switches", "runnable"}]
    before = {"cpu_user": 1.0, "context_switches": 100.0, "runnable": 9.0}
    now = {"cpu_user": 1.03, "context_switches": 110.0, "runnable": 2.0}
    assert frame(table, before, now=now, elapsed_s=0.1) == pytest.approx([0.3, 100.0, 2.0])
    assert frame(table, now, now=before, elapsed_s=0.1) == [0.0, 0.0, 9.0]
    assert frame(table, before, now=now, elapsed_s=0.01)[0] == 1.0, "a fraction stays below its limit"


def test_every_channel_comes_out_of_its_file() -> None:
    canned = {"stat": STAT, "vmstat": VMSTAT, "net/dev": NET, "meminfo": MEMINFO, "diskstats": ""}
    for channel in CHANNELS:
        assert channel.name in PARSERS[channel.file](canned[channel.file])
    assert len({channel.name for channel in CHANNELS}) == len(CHANNELS) >= 14


@given(
    st.floats(1, 50),
    st.lists(st.floats(0, 0.4), min_size=1, max_size=50),
)
def test_the_schedule_neither_drifts_nor_bursts(rate_hz: float, delays_s: list[float]) -> None:
    now_s, slot, served = 0.0, 0, []
    for delay_s in delays_s:
        now_s += delay_s
        following = next_slot(slot, now_s, rate_hz=rate_hz)
        assert following > slot
        assert following / rate_hz > now_s - 1 / rate_hz - 1e-9, "a frame that is over by a period is left out"
        if following > slot + 1:
            assert following / rate_hz <= now_s + 1e-9, "nothing is left out before it is due"
        slot, now_s = following, max(now_s, following / rate_hz)
        served.append(slot)
    assert served == sorted(set(served))


# ---- with files -------------------------------------------------------------


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "vmstat").write_text(VMSTAT)
    (tmp_path / "net/dev").write_text(NET)
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "diskstats").write_text(disk_line("sda", read=1, written=2, busy_ms=3))
    return tmp_path


def block(width: int, frames: int = 1) -> memoryview:
    return memoryview(array("f", bytes(4 * width * frames)))


def test_channels_come_in_the_order_asked_for(proc: Path) -> None:
    source = HostSource(rate_hz=50, channels=["interrupts", "memory_used", "context_switches"], proc=proc)
    out = block(3, frames=4)
    assert source.read(out) == 1
    assert out[1] == pytest.approx(0.6)
    (proc / "stat").write_text(STAT.replace("ctxt 7000", "ctxt 7300").replace("intr 5000", "intr 5100"))
    assert source.read(out) == 1, "live: one frame at a time, however much room there is"
    assert out[2] == pytest.approx(3 * out[0])
    assert 0.005 < 100 / out[0] < 5, "per second of the time that passed"
    source.close()


def test_only_the_files_that_the_channels_need_are_opened(proc: Path) -> None:
    (proc / "diskstats").unlink()
    HostSource(channels=["cpu_user"], proc=proc).close()
    with pytest.raises(ContractError, match=r"channel 'io_time'.*diskstats"):
        HostSource(channels=["cpu_user", "io_time"], proc=proc)


def test_a_counter_that_the_kernel_lacks_is_named(proc: Path) -> None:
    (proc / "stat").write_text(STAT_2_4)
    with pytest.raises(ContractError, match="'runnable'") as refused:
        HostSource(channels=["cpu_user", "runnable"], proc=proc)
    assert "cpu_user" in refused.value.hint


def test_an_unknown_channel_is_named_with_those_there_are() -> None:
    with pytest.raises(ContractError, match="'cpu_temperature'") as refused:
        HostSource(channels=["cpu_temperature"])
    assert all(channel.name in refused.value.hint for channel in CHANNELS)


@pytest.mark.parametrize("rate_hz", [0.5, 51, float("nan")])
def test_a_rate_out_of_range_is_refused(rate_hz: float) -> None:
    with pytest.raises(UsageError, match=r"1\.\.50"):
        HostSource(rate_hz=rate_hz)


def test_another_system_is_told_that_it_is_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="Linux only"):
        HostSource()


def test_a_wrong_buffer_is_refused(proc: Path) -> None:
    source = HostSource(channels=["cpu_user", "cpu_system"], proc=proc)
    wrong: list[Any] = [block(1), memoryview(bytearray(64)), memoryview(bytes(64)).cast("f")]
    for out in wrong:
        with pytest.raises(ValueError, match="out:"):
            source.read(out)
    source.close()


def test_this_machine_gives_frames_at_the_rate() -> None:
    source = HostSource(rate_hz=50)
    out = block(len(source.channels))
    start_s = time.monotonic()
    for _ in range(15):
        assert source.read(out) == 1
        values = dict(zip(source.channels, out, strict=True))
        assert all(value >= 0 for value in values.values())
        assert 0 < values["memory_used"] < 1
    passed_s = time.monotonic() - start_s
    assert source.next_frame == 15
    late_s = passed_s - (15 + source.frames_missed) / 50
    assert -0.001 < late_s < 1.0, "never early, and no later than a busy machine makes it"
    source.close()
    source.close()
    assert source.read(out) == 0


def test_a_late_reader_gets_one_frame_and_the_number_left_out(proc: Path) -> None:
    source = HostSource(rate_hz=50, proc=proc)
    out = block(len(source.channels))
    source.read(out)
    threading.Event().wait(0.1)
    source.read(out)
    assert source.frames_missed >= 3
    source.close()


def test_stop_unblocks_a_reader(proc: Path) -> None:
    source = HostSource(rate_hz=1, proc=proc)
    out = block(len(source.channels))
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.append(source.read(out)))
    reader.start()
    source.stop()
    reader.join(5)
    assert got == [0]
    assert source.read(out) == 0
    source.close()


def test_seek_sets_the_number_of_the_next_frame_only(proc: Path) -> None:
    source = HostSource(rate_hz=50, proc=proc)
    source.seek(1000)
    assert source.next_frame == 1000
    source.read(block(len(source.channels)))
    assert source.next_frame == 1001
    source.close()
