"""The iio source: sensors of Linux's Industrial I/O, by polling sysfs or through the buffer device.

One rule: a value is (raw + offset) * scale, as the kernel documents it. Channels have the names of the kernel's files
without `in_` and `_raw`: accel_x, voltage0, temp. Polling (`mode=poll`) reads each file at each frame time, without
rights; `mode=buffer` lets the driver sample, at its own clock and with its timestamps, and needs the right to.
Source: Documentation/ABI/testing/sysfs-bus-iio of the Linux kernel.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.errors import ContractError, TransportError, UsageError
from edge_runtime.lean import dataclass
from edge_runtime.sources.frames import pick, room
from edge_runtime.sources.pace import Pace
from edge_runtime.sources.port import Request, Source

SYSFS = "/sys/bus/iio/devices"
MAX_POLL_HZ = 1000.0


def open_source(request: Request) -> Source:
    """`iio [mode=poll] DEVICE`: DEVICE is iio:deviceN or the name that the driver gives."""
    if len(request.words) != 1:
        raise UsageError(f"source iio: want one device, got {' '.join(request.words)!r}", hint="as: iio lis3dh")
    mode = request.options.get("mode", "poll")
    if mode not in ("poll", "buffer"):
        raise UsageError(f"source iio: mode {mode!r} is unknown", hint="one of: poll, buffer")
    folder = find(Path(request.options.get("sysfs", SYSFS)), request.words[0])
    if mode == "buffer":
        from edge_runtime.sources.iio_buffer import open_buffer

        return open_buffer(request, folder)
    rate_hz = request.rate_hz if request.rate_hz is not None else sampling_hz(folder)
    if rate_hz is None or not 0 < rate_hz <= MAX_POLL_HZ:
        got = "none" if rate_hz is None else f"{rate_hz:g} Hz"
        raise UsageError(f"source iio: rate {got}, want up to {MAX_POLL_HZ:g} Hz by polling", hint="or: mode=buffer")
    return IioSource(folder, request, rate_hz)


def find(root: Path, device: str) -> Path:
    """The folder of `device`. TransportError if it is not there, with those there are."""
    names: list[str] = []
    for folder in sorted(root.glob("iio:device*")):
        name = text(folder / "name") or ""
        names.append(f"{folder.name} ({name})")
        if device in (folder.name, name):
            return folder
    raise TransportError(f"source iio: no device {device!r} in {root}", hint=f"there are: {', '.join(names) or 'none'}")


def text(path: Path) -> str | None:
    """What a file of sysfs says; None if it is not there."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as why:
        raise TransportError(f"source iio: {path}: {why.strerror}", hint="is the device still there?") from None


def sampling_hz(folder: Path) -> float | None:
    """The rate that the device is set to [Hz]; None where it does not tell."""
    for path in (folder / "sampling_frequency", *sorted(folder.glob("in_*sampling_frequency"))):
        if found := text(path):
            return parsed(found, path)
    return None


def parsed(found: str, path: Path) -> float:
    """The number that a file of sysfs says."""
    try:
        return float(found.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        raise ContractError(f"source iio: {path}: {found[:40]!r} is no number", hint="look at the driver") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """From raw to the unit of the kernel's ABI: (raw + offset) * scale."""

    scale: float = 1.0
    offset: float = 0.0


def calibration(folder: Path, channel: str) -> Calibration:
    """Of the channel itself, else the one that its kind shares (in_accel_scale for accel_x)."""
    kind = (re.match(r"[a-z]+", channel) or [channel])[0]
    values = {"scale": 1.0, "offset": 0.0}
    for what in values:
        for path in (folder / f"in_{channel}_{what}", folder / f"in_{kind}_{what}"):
            found = text(path)
            if found is not None:
                values[what] = parsed(found, path)
                break
    return Calibration(**values)


class IioSource:
    """Sysfs, read once a frame."""

    def __init__(self, folder: Path, request: Request, rate_hz: float) -> None:
        files = {name: path for path in sorted(folder.glob("in_*_input")) if (name := path.name[3:-6])}
        files |= {path.name[3:-4]: path for path in sorted(folder.glob("in_*_raw"))}
        names = tuple(sorted(files))
        at = pick(names, request.channels, where=f"iio {folder.name}")
        self._channels = tuple(names[i] for i in at)
        if not self._channels:
            raise ContractError(f"source iio: {folder} has no channel", hint="name another device")
        self._rate_hz, self._pace = rate_hz, Pace(rate_hz)
        self._paths = [files[name] for name in self._channels]
        self._scales = [
            calibration(folder, name) if files[name].name.endswith("_raw") else Calibration() for name in self._channels
        ]
        self._descriptors: list[int] = []
        self.next_frame = 0
        try:
            for path in self._paths:
                self._descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as why:
            self.close()
            raise TransportError(f"source iio: {path}: {why.strerror}", hint="may this user read it?") from None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channel names, in the order of a frame."""
        return self._channels

    @property
    def rate_hz(self) -> float:
        """Frames per second [Hz]."""
        return self._rate_hz

    @property
    def counts(self) -> Mapping[str, int]:
        """Frame times that were over before the files were read."""
        return {"missed": self._pace.missed} if self._pace.missed else {}

    def read(self, out: memoryview) -> int:
        """1 when the next frame was due and is written; 0 when stopped. TransportError when the device is gone."""
        room(out, len(self._channels))
        if not self._pace.wait():
            return 0
        values = array("f")
        for descriptor, path, scale in zip(self._descriptors, self._paths, self._scales, strict=True):
            try:
                found = os.pread(descriptor, 64, 0).decode("ascii", "replace")
            except OSError as why:  # ENODEV: unplugged; EBUSY: the buffer is on
                hint = "is its buffer on?" if why.errno == 16 else "is it plugged in?"
                raise TransportError(f"source iio: {path}: {why.strerror}", hint=hint) from None
            values.append((parsed(found, path) + scale.offset) * scale.scale)
        out[: len(values)] = memoryview(values)
        self.next_frame += 1
        return 1

    def seek(self, frame: int) -> None:
        """Set the number of the next frame; a live source cannot go back."""
        self.next_frame = frame

    def stop(self) -> None:
        """Make `read` return 0, now and from now on; from any thread."""
        self._pace.stop()

    def close(self) -> None:
        """Close the files; no `read` may be running."""
        self.stop()
        while self._descriptors:
            os.close(self._descriptors.pop())
