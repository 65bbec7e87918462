"""Recordings one after another, as one tape. One rule: frames before a broken place are handed out first."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.lean import TYPE_CHECKING, Any
from edge_runtime.sources.cells import TimeField
from edge_runtime.sources.csv_file import CsvRecording
from edge_runtime.sources.recording import Recording

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_FRAMES = 1024  # bounds the memory of one read: about 100 bytes a cell while it is text


def open_recording(
    path: Path | str, channels: Sequence[str] | None, *, time: TimeField | None = None, allow_nan: bool = False
) -> Recording:
    """The recording in `path`, by the end of its name: .wav, .parquet, else CSV.

    Raises:
        UsageError: A reader is not installed.
        ContractError: It cannot be read, or a column is missing.
    """
    end = str(path).lower().rpartition(".")[2]
    if end == "wav":
        from edge_runtime.sources.wav_file import WavRecording

        return WavRecording(path, channels, allow_nan=allow_nan)
    if end == "parquet":
        from edge_runtime.sources.parquet_file import ParquetRecording

        return ParquetRecording(path, channels, time=time, allow_nan=allow_nan)
    return CsvRecording(path, channels, time=time, allow_nan=allow_nan)


class Tape:
    """Recordings one after another, and the place in them."""

    def __init__(self, files: Sequence[Recording]) -> None:
        self._files = files
        self._lengths: dict[int, int] = {}  # frames of each file that was read to its end
        self.next, self._current, self._in_file = 0, 0, 0
        self.error: ContractError | None = None
        self.is_stopped = False

    def take(self, most: int) -> tuple[Recording, Any, int, int] | None:
        """(file, chunk, its frames, number of its first in the file), at least one frame; None at the end.

        Raises:
            ContractError: What follows is broken. Stays so until a seek.
        """
        while not self.is_stopped and self._current < len(self._files):
            if self.error is not None:
                raise self.error
            file = self._files[self._current]
            first = self._in_file
            chunk, n, self.error = file.take(most)
            self._in_file += n
            if n:
                return file, chunk, n, first
            if self.error is None:
                file.close()
                self._lengths[self._current] = self._in_file
                self._current, self._in_file = self._current + 1, 0
        return None

    def seek(self, frame: int) -> None:
        """Continue at `frame`; what is passed over is not checked."""
        if frame < 0:
            raise ValueError(f"frame: {frame} is negative")
        if frame < self.next or self.error is not None:
            self.close()
            self._current = self._in_file = self.next = 0
            self.error = None
        while self.next < frame and self._current < len(self._files):
            length = self._lengths.get(self._current)
            if self._in_file == 0 and length is not None and self.next + length <= frame:
                self.next += length
                self._current += 1
                continue
            taken = self.take(min(frame - self.next, BLOCK_FRAMES))
            self.next += taken[2] if taken else 0

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()


def common_rate(files: Sequence[Recording], given: float | None) -> float:
    """The rate of all *files* [Hz]: *given*, or what they name.

    Raises:
        ContractError: Two of these differ.
        UsageError: Nobody says.
    """
    for file in files:
        own = file.rate_hz
        if own is not None and given is not None and own != given:
            raise ContractError(
                f"{file.path}: was captured at {own:g} Hz, wanted {given:g} Hz", hint="resample it, or play it alone"
            )
        given = given if own is None else own
    if given is None:
        raise UsageError("playback: files carry no clock, no rate given", hint="give the rate in Hz")
    return float(given)
