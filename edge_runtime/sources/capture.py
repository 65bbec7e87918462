"""Capture: frames of a source into a CSV.gz file. One rule: the file appears whole and durable, or not at all.

`playback` reads it back. Equal frames give equal bytes. Times that the source has stand in a first column, `time_us`:
`playback time_us=time_us FILE`.
"""

from __future__ import annotations

import gzip
import io
import os
from array import array
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.lean import TYPE_CHECKING
from edge_runtime.sources.port import times_of

if TYPE_CHECKING:
    from edge_runtime.sources import Source

BLOCK_FRAMES = 256
TIME = "time_us"


def capture(
    source: Source,
    path: Path | str,
    *,
    seconds: float | None = None,
    frames: int | None = None,
    overwrite: bool = False,
) -> int:
    """The number of frames written: as many as asked for, fewer if the source ends or is stopped before.

    Args:
        source: Read from where it stands; stays open.
        path: The file to make; numbers in it have 5 significant digits.
        seconds: How long, at the source's rate [s]; give this or `frames`.
        frames: How many, > 0.
        overwrite: Replace a file that exists.

    Raises:
        UsageError: The file exists, or cannot be written, or neither or both of `seconds` and `frames` are given.
        ContractError: Not one frame came, or the source is broken; no file is made.
    """
    target = Path(path)
    if (seconds is None) == (frames is None):
        raise UsageError("capture: want either seconds or frames", hint="give one of the two")
    wanted = frames if frames is not None else round((seconds or 0.0) * source.rate_hz)
    if wanted <= 0:
        raise UsageError(f"capture: {wanted} frames asked for, want at least 1", hint="capture for longer")
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: exists", hint="name another file, or allow it to be overwritten")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as raw:
            written = _write(source, raw, frames=wanted)
            raw.flush()
            os.fsync(raw.fileno())
        if written == 0:
            raise ContractError(f"{target}: not one frame came", hint="is the source over, or stopped?")
        part.replace(target)
        _sync_folder(target.parent)
    except OSError as why:
        raise UsageError(f"{target}: cannot be written: {why.strerror}", hint="check folder, space") from why
    finally:
        part.unlink(missing_ok=True)
    return written


def _write(source: Source, raw: io.BufferedWriter, *, frames: int) -> int:
    width = len(source.channels)
    block = array("f", bytes(4 * width * min(frames, BLOCK_FRAMES)))
    line = ",".join(["%.5g"] * width) + "\n"
    done, is_timed = 0, False
    # No name and no time in the header, so the same frames give the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=9, mtime=0) as packed:
        while done < frames:
            got = source.read(memoryview(block)[: width * min(frames - done, BLOCK_FRAMES)])
            if got == 0:
                break
            times = times_of(source)
            if done == 0:
                is_timed = times is not None
                packed.write(_header(source.channels, is_timed=is_timed).encode())
            rows = [line % tuple(block[i * width : (i + 1) * width]) for i in range(got)]
            if is_timed:  # a frame without a time among others has an empty cell
                rows = [f"{when},{row}" for when, row in zip(times or [""] * got, rows, strict=True)]
            packed.write("".join(rows).encode())
            done += got
    return done


def _header(channels: Sequence[str], *, is_timed: bool) -> str:
    if is_timed and TIME in channels:
        raise UsageError(f"capture: a channel is called {TIME!r}, as the column of times", hint="rename it")
    return ",".join(map(_quoted, ([TIME] if is_timed else []) + list(channels))) + "\n"


def _quoted(name: str) -> str:
    """A column name as CSV wants it."""
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"\r\n') else name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
