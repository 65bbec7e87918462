"""The host source: the machine's own counters as a live stream. One rule: reads and keeps time; `proc` does the sums.

Linux only. It needs no rights and changes nothing.
"""

from __future__ import annotations

import os
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sources.frames import pick, room
from edge_runtime.sources.pace import Pace, next_slot
from edge_runtime.sources.port import Request
from edge_runtime.sources.proc import CHANNELS, PARSERS, Channel, frame

__all__ = ["CHANNELS", "HostSource", "next_slot", "open_source"]


def open_source(request: Request) -> HostSource:
    """`host`: no words."""
    if request.words:
        raise UsageError(f"source host: takes no words, got {' '.join(request.words)!r}", hint="write just: host")
    return HostSource(rate_hz=20.0 if request.rate_hz is None else request.rate_hz, channels=request.channels)


class HostSource:
    """The machine's counters at a steady rate. Frame k is taken at start + k / rate: lateness does not add up.

    Rates are per second of the time that really passed. A reader that comes late gets one frame over the longer
    time, never a burst; the times left out are counted in `frames_missed`.
    """

    def __init__(
        self, *, rate_hz: float = 20.0, channels: Sequence[str] | None = None, proc: Path = Path("/proc")
    ) -> None:
        """Opens the counters that `channels` need.

        Args:
            rate_hz: 1..50 [Hz].
            channels: Names out of `CHANNELS`, in the order wanted; None gives all.
            proc: Where the kernel's files are.

        Raises:
            UsageError: Not Linux, or a rate out of range.
            ContractError: No such channel, or this kernel does not have it.
        """
        if sys.platform != "linux":
            raise UsageError("source host: is Linux only", hint="use: playback FILE")
        if not 1.0 <= rate_hz <= 50.0:
            raise UsageError(f"source host: rate {rate_hz:g} Hz is outside 1..50", hint="20 Hz is the default")
        table = [CHANNELS[i] for i in pick([c.name for c in CHANNELS], channels, where="host")]
        self._table = table
        self._rate_hz = float(rate_hz)
        self._channels = tuple(channel.name for channel in table)
        self._pace = Pace(self._rate_hz)
        self._before_s = -1.0  # not started: counts from the first read
        self._files: dict[str, int] = {}
        self.next_frame = 0
        try:
            for channel in table:
                if channel.file not in self._files:
                    self._files[channel.file] = _open(proc / channel.file, channel.name)
            self._before = self._counters()
            _want_all(table, self._before)
        except BaseException:
            self.close()
            raise

    @property
    def channels(self) -> tuple[str, ...]:
        """The channel names, in the order of a frame."""
        return self._channels

    @property
    def rate_hz(self) -> float:
        """Frames per second [Hz]."""
        return self._rate_hz

    @property
    def frames_missed(self) -> int:
        """Frame times that were over before anybody asked."""
        return self._pace.missed

    @property
    def counts(self) -> Mapping[str, int]:
        """Frames that came late by a period and more."""
        return {"missed": self.frames_missed} if self.frames_missed else {}

    def read(self, out: memoryview) -> int:
        """1 when the next frame was due and is written; 0 when stopped. ValueError for a wrong `out`."""
        room(out, len(self._channels))
        if self._before_s < 0 and not self._pace.is_stopped:
            self._before_s, self._before = time.monotonic(), self._counters()
        if not self._pace.wait():
            return 0
        now_s, now = time.monotonic(), self._counters()
        values = frame(self._table, self._before, now=now, elapsed_s=now_s - self._before_s)
        out[: len(values)] = memoryview(array("f", values))
        self._before, self._before_s = now, now_s
        self.next_frame += 1
        return 1

    def seek(self, frame: int) -> None:
        """Set the number of the next frame; a live source cannot go back."""
        self.next_frame = frame

    def stop(self) -> None:
        """Make `read` return 0, now and from now on; from any thread."""
        self._pace.stop()

    def close(self) -> None:
        """Close the kernel's files; no `read` may be running."""
        self.stop()
        while self._files:
            os.close(self._files.popitem()[1])

    def _counters(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, descriptor in self._files.items():
            found.update(PARSERS[name](_text(descriptor)))
        return found


def _open(path: Path, channel: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as why:
        raise ContractError(
            f"channel {channel!r}: cannot open {path}: {why.strerror}", hint="choose channels that do without"
        ) from None


def _want_all(table: Sequence[Channel], found: Mapping[str, float]) -> None:
    for channel in table:
        if channel.name not in found:
            raise ContractError(
                f"channel {channel.name!r}: this kernel's {channel.file} does not have it",
                hint=f"choose among: {', '.join(c.name for c in table if c.name in found)}",
            )


def _text(descriptor: int) -> str:
    """All of a /proc file from its start; the kernel hands some out in pages, so read until nothing comes."""
    parts: list[bytes] = []
    at = 0
    while part := os.pread(descriptor, 65536, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts).decode("ascii", "replace")
