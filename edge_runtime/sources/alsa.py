"""The alsa source: a microphone through `arecord`. One rule: it is `exec`, and 16-bit PCM becomes -1..1.

The rate is the program's. Where the hardware cannot do it exactly, arecord says so on stderr and goes on: choose a
`plughw:` device, which resamples.
"""

from __future__ import annotations

import shutil

from edge_runtime.errors import UsageError
from edge_runtime.sources.exec import Child, ExecSource
from edge_runtime.sources.formats import columns_of
from edge_runtime.sources.port import Request, Source
from edge_runtime.sources.raw import RawDecoder

FULL = 32768.0


def open_source(request: Request) -> Source:
    """`alsa [columns=left,right] [DEVICE]`: as many ALSA channels as columns, else as channels wanted, else one."""
    if len(request.words) > 1:
        raise UsageError(
            f"source alsa: one device at most, got {' '.join(request.words)!r}", hint="as: alsa plughw:1,0"
        )
    if request.rate_hz is None or request.rate_hz != round(request.rate_hz):
        raise UsageError(f"source alsa: rate {request.rate_hz}, want a whole number of Hz", hint="as 16000")
    if shutil.which("arecord") is None:
        raise UsageError("source alsa: arecord is not installed", hint="apt install alsa-utils")
    n = len(request.options["columns"].split(",")) if "columns" in request.options else len(request.channels or "1")
    columns = columns_of(request, n)
    frames = RawDecoder("h", columns, request.channels, where="source alsa", scale=1 / FULL)
    command = ["arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", str(round(request.rate_hz)), "-c", str(n)]
    command += ["-D", request.words[0]] if request.words else []
    return ExecSource(request, Child(command, name="alsa"), frames)
