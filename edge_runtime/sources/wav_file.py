"""A WAV file as a recording: PCM of 8, 16, 24 and 32 bit to -1..1, float of 32 and 64 bit as it is.

One rule: what the header says is checked against the file. Its rate is the stream's. Channels have no names in a WAV
file: those wanted are taken in order where they are as many, else they are ch1..chN. An own reader, as the standard
library's `wave` knows no float. Source: Microsoft/IBM, "Multimedia Programming Interface", 1991.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

from edge_runtime.errors import ContractError
from edge_runtime.lean import Final
from edge_runtime.sources.frames import name_columns, pick
from edge_runtime.sources.raw import little, picked
from edge_runtime.sources.recording import Frames

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FULL: Final = {8: 128.0, 16: 32768.0, 24: 2.0**31, 32: 2.0**31}
_MAX_CHANNELS: Final = 64
_FORMAT_BYTES: Final = 40  # of WAVEFORMATEXTENSIBLE, the longest; a header may promise 4 GiB


class WavRecording:
    """One WAV file: the channels wanted of it, and the place in it."""

    def __init__(self, path: Path | str, channels: Sequence[str] | None, *, allow_nan: bool = False) -> None:
        self.path = path
        self._allow_nan = allow_nan
        self._file: BufferedReader | None = None
        try:
            self._left = self._open()
        except (OSError, struct.error) as why:
            raise self._broken(f"cannot be read: {why}") from None
        finally:
            self.close()
        names = name_columns(self._n, channels, where=str(path))
        self._at = pick(names, channels, where=str(path))
        self.columns = tuple(names[i] for i in self._at)

    def _open(self) -> int:
        """Read the header; returns the bytes of data that it promises."""
        self._file = file = Path(self.path).open("rb")  # noqa: SIM115 - `close` does
        if file.read(4) != b"RIFF" or not file.read(4) or file.read(4) != b"WAVE":
            raise self._broken("is no RIFF/WAVE file")
        found = False
        while True:
            name, size = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                break
            body = file.read(min(size, _FORMAT_BYTES)) if name == b"fmt " else b""
            if name == b"fmt ":
                self._format(body)
                found = True
            file.seek(size + size % 2 - len(body), 1)
        if not found:
            raise self._broken("has no format before its data")
        return int(size) if 0 < size < 0xFFFFFFFF else 1 << 62  # a recorder that writes into a pipe knows no size

    def _format(self, body: bytes) -> None:
        code, self._n, rate_hz, _, _, self._bits = struct.unpack_from("<HHIIHH", body)
        if code == _EXTENSIBLE and len(body) >= 26:
            code = struct.unpack_from("<H", body, 24)[0]
        if not 1 <= self._n <= _MAX_CHANNELS or rate_hz == 0:
            raise self._broken(f"{self._n} channels at {rate_hz} Hz, want 1..{_MAX_CHANNELS} and a rate")
        if not ((code == _PCM and self._bits in _FULL) or (code == _FLOAT and self._bits in (32, 64))):
            raise self._broken(f"format {code} of {self._bits} bit, want PCM of 8, 16, 24, 32 or float of 32, 64")
        self._is_float = code == _FLOAT
        self.rate_hz: float | None = float(rate_hz)
        self._frame_bytes = self._n * self._bits // 8

    def take(self, most: int) -> tuple[bytes, int, ContractError | None]:
        """See `Recording`."""
        try:
            if self._file is None:
                self._left = self._open()
            want = min(most * self._frame_bytes, self._left)
            data = self._file.read(want) if self._file else b""
        except (OSError, struct.error) as why:
            return b"", 0, self._broken(f"cannot be read: {why}")
        self._left -= len(data)
        n = len(data) // self._frame_bytes
        is_short = len(data) < want and self._left < 1 << 61
        if is_short or len(data) % self._frame_bytes:
            return data, n, self._broken("ends before the end that its header names, or in the middle of a frame")
        return data, n, None

    def frames(self, chunk: bytes, first: int) -> Frames:
        """See `Recording`."""
        values = self._numbers(chunk[: len(chunk) - len(chunk) % self._frame_bytes])
        values = picked(values, self._n, self._at)
        total = sum(values) if self._is_float and not self._allow_nan else 0.0
        if total - total != 0:
            bad = next((i for i, v in enumerate(values) if v - v != 0), len(values))
            if bad < len(values):  # else finite numbers whose sum is not
                frame, column = divmod(bad, len(self._at))
                where = f"frame {first + frame}, channel {self.columns[column]!r}"
                error = ContractError(f"{self.path} {where}: {values[bad]} is not finite", hint="cut it out")
                return values[: frame * len(self._at)], None, error
        return values, None, None

    def cells(self, chunk: bytes, first: int) -> tuple[Sequence[Sequence[object]], ContractError | None]:
        """See `Recording`: a row a frame."""
        values, _, error = self.frames(chunk, first)
        width = len(self._at)
        return [values[i : i + width].tolist() for i in range(0, len(values), width)], error

    def close(self) -> None:
        """Close it; the next `take` begins anew."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _numbers(self, data: bytes) -> array[float]:
        if self._is_float:
            return array("f", little("f" if self._bits == 32 else "d", data))
        full = _FULL[self._bits]
        if self._bits == 8:
            return array("f", [(byte - 128) / full for byte in data])
        if self._bits == 24:  # as the upper three bytes of 32
            wide = bytearray(len(data) // 3 * 4)
            wide[1::4], wide[2::4], wide[3::4] = data[0::3], data[1::3], data[2::3]
            data = bytes(wide)
        return array("f", [v / full for v in little("h" if self._bits == 16 else "i", data)])

    def _broken(self, what: str) -> ContractError:
        return ContractError(f"{self.path}: {what}", hint="is it a whole WAV file?")
