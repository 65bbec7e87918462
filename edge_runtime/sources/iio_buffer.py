"""IIO through the buffer device: scans as the driver took them, with its timestamps.

One rule: what we switched on we switch off; a buffer that somebody else has on is read as it is.
Source: Documentation/iio/iio_devbuf.rst of the Linux kernel.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_runtime.errors import ContractError, TransportError
from edge_runtime.sources.frames import pick
from edge_runtime.sources.iio import calibration, sampling_hz, text
from edge_runtime.sources.iio_scan import ScanDecoder, layout
from edge_runtime.sources.pipe import Pipe, PipeSource
from edge_runtime.sources.port import Request, Source

LENGTH = 256
"""Scans that the kernel keeps for us."""


def open_buffer(request: Request, folder: Path) -> Source:
    """The buffer of the device in *folder*, switched on if it was not.

    Raises:
        ContractError: No such channel, no buffer, or the device samples at another rate.
        TransportError: The device or the right to switch it on is missing.
    """
    own_hz = sampling_hz(folder)
    rate_hz = request.rate_hz if request.rate_hz is not None else own_hz
    if rate_hz is not None and own_hz is not None and abs(rate_hz - own_hz) > 0.01 * own_hz:
        raise ContractError(
            f"source iio: {folder.name} samples at {own_hz:g} Hz, wanted {rate_hz:g} Hz",
            hint=f"echo {rate_hz:g} > {folder}/sampling_frequency",
        )
    scan = folder / "scan_elements"
    there = tuple(sorted(path.name[3:-3] for path in scan.glob("in_*_en") if path.name != "in_timestamp_en"))
    wanted = [there[i] for i in pick(there, request.channels, where=f"iio {folder.name}")]
    if not wanted:
        raise ContractError(f"source iio: {folder} has no buffer", hint="poll it: mode=poll")
    is_ours = text(folder / "buffer/enable") != "1"
    if is_ours:
        for name in (*there, "timestamp"):
            if (scan / f"in_{name}_en").exists():
                _write(scan / f"in_{name}_en", "1" if name in (*wanted, "timestamp") else "0")
        _write(folder / "buffer/length", str(LENGTH))
        _write(folder / "buffer/enable", "1")
    close: list[Callable[[], None]] = [lambda: _switch_off(folder)] if is_ours else []
    try:
        frames = _decoder(folder, wanted)
        device = Path(request.options.get("dev", "/dev")) / folder.name
        descriptor = _open(device)
        close.insert(0, lambda: os.close(descriptor))
        made = Request(name="iio", options={}, words=(), rate_hz=rate_hz, channels=tuple(wanted))
        return PipeSource(made, Pipe(descriptor, lambda: _gone(device)), frames, close=lambda: _all(close))
    except BaseException:
        _all(close)
        raise


def _decoder(folder: Path, wanted: Sequence[str]) -> ScanDecoder:
    scan = folder / "scan_elements"
    enabled = [path.name[3:-3] for path in scan.glob("in_*_en") if text(path) == "1"]
    missing = [name for name in wanted if name not in enabled]
    if missing:
        raise ContractError(
            f"source iio: the buffer of {folder.name} is on without {', '.join(missing)}", hint="switch it off"
        )
    enabled.sort(key=lambda name: int(text(scan / f"in_{name}_index") or 0))
    elements, scan_bytes = layout([text(scan / f"in_{name}_type") or "" for name in enabled])
    by_name = dict(zip(enabled, elements, strict=True))
    is_utc = (text(folder / "current_timestamp_clock") or "realtime") == "realtime"
    return ScanDecoder(
        wanted,
        [by_name[name] for name in wanted],
        [calibration(folder, name) for name in wanted],
        scan_bytes=scan_bytes,
        stamp=by_name.get("timestamp") if is_utc else None,
    )


def _open(device: Path) -> int:
    try:
        return os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as why:
        raise TransportError(f"source iio: {device}: {why.strerror}", hint="may this user read it?") from None


def _gone(device: Path) -> None:
    raise TransportError(f"source iio: {device}: is gone", hint="is it plugged in?")


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value, encoding="ascii")
    except OSError as why:
        raise TransportError(
            f"source iio: {path}: cannot write {value}: {why.strerror}",
            hint="run as root, add a udev rule, or mode=poll",
        ) from None


def _switch_off(folder: Path) -> None:
    with contextlib.suppress(TransportError):  # it is gone
        _write(folder / "buffer/enable", "0")


def _all(steps: list[Callable[[], None]]) -> None:
    while steps:
        steps.pop(0)()
