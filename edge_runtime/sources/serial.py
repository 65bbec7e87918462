"""The serial source: lines of CSV or NDJSON from a port. One rule: what comes before the first newline is not a line.

Ports of the usual speeds are opened through the system itself (8 data bits, no parity, raw); other speeds, and other
systems' ports, want pyserial: extra `[serial]`. Names of columns come from a header line, which a device sends
when it starts, or from `columns=`.
"""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Callable, Sequence

from edge_runtime.errors import TransportError, UsageError
from edge_runtime.lean import Any
from edge_runtime.sources.decode import RowDecoder
from edge_runtime.sources.formats import check_format, decoder
from edge_runtime.sources.pipe import Pipe, PipeRows, PipeSource
from edge_runtime.sources.port import Request, RowField, RowSource, Source

BAUD = 115200
_FORMATS = ("csv", "ndjson")


def open_source(request: Request) -> Source:
    """`serial [format=csv] [columns=a,b] DEVICE [BAUD]`."""
    device, baud = _words(request)
    frames = decoder(request, default="csv", skip_first=True)
    descriptor, close = _open(device, baud)
    try:
        return PipeSource(request, Pipe(descriptor, _gone(device)), frames, close=close)
    except BaseException:
        close()
        raise


def open_rows(request: Request, fields: Sequence[RowField]) -> RowSource:
    """`serial DEVICE [BAUD]` as rows."""
    device, baud = _words(request)
    rows = RowDecoder(request, fields, default="csv", skip_first=True)
    descriptor, close = _open(device, baud)
    return PipeRows(Pipe(descriptor, _gone(device)), rows, close=close)


def _words(request: Request) -> tuple[str, int]:
    check_format(request.options, "csv", name="serial", allowed=_FORMATS)
    device, baud, *more = (*request.words, "", "")
    if not device or any(more) or (baud and not baud.isdecimal()):
        got = " ".join(request.words)
        raise UsageError(f"source serial: want DEVICE [BAUD], got {got!r}", hint="as: serial /dev/ttyUSB0 115200")
    return device, int(baud or BAUD)


def _gone(device: str) -> Callable[[], None]:
    def on_end() -> None:
        raise TransportError(f"source serial: {device}: hung up", hint="is it plugged in?")

    return on_end


def _open(device: str, baud: int) -> tuple[int, Callable[[], None]]:
    """(descriptor, what closes it)."""
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        return _open_pyserial(device, baud)
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as why:
        hint = "add the user to the group dialout" if isinstance(why, PermissionError) else "is it plugged in?"
        raise TransportError(f"source serial: {device}: {why.strerror}", hint=hint) from None
    close = _closer(descriptor)
    try:
        attributes = termios.tcgetattr(descriptor)
        cc = attributes[6]
        cc[termios.VMIN], cc[termios.VTIME] = 1, 0
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        termios.tcsetattr(descriptor, termios.TCSANOW, [0, 0, flags, 0, speed, speed, cc])
    except termios.error as why:
        close()
        raise UsageError(
            f"source serial: {device}: is no serial port ({why.args[-1]})", hint="as /dev/ttyUSB0"
        ) from None
    return descriptor, close


def _open_pyserial(device: str, baud: int) -> tuple[int, Callable[[], None]]:
    try:
        import serial
    except ImportError:
        raise UsageError(
            f"source serial: {baud} baud needs pyserial, which is not installed",
            hint='python -m pip install "edgeloop[serial]", or a usual speed such as 115200',
        ) from None
    try:
        port: Any = serial.Serial(device, baud, timeout=0)
    except (OSError, ValueError) as why:  # SerialException is an OSError
        raise TransportError(f"source serial: {device} at {baud} baud: {why}", hint="is it plugged in?") from None
    return port.fileno(), port.close


def _closer(descriptor: int) -> Callable[[], None]:
    open_ones = [descriptor]

    def close() -> None:
        while open_ones:
            with contextlib.suppress(OSError):
                os.close(open_ones.pop())

    return close
