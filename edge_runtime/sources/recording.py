"""The port of a file that `playback` reads. One rule: frames before a broken place are handed out, then it is named."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

Frames = tuple["array[float]", "array[int] | None", ContractError | None]
"""Values of whole frames, a time [µs UTC] for each or None, and what is wrong with the frame after them."""


class Recording(Protocol):
    """One file: opened by its first `take`, read in chunks, closed; the next `take` begins anew."""

    path: Path | str

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it hands out."""

    @property
    def rate_hz(self) -> float | None:
        """The rate that the file names [Hz], None where it names none."""

    def take(self, most: int) -> tuple[Any, int, ContractError | None]:
        """(the next up to `most` frames, unchecked, their number, what cannot be read after them); 0 at the end."""

    def frames(self, chunk: Any, first: int, /) -> Frames:
        """The frames of what `take` gave; `first` is the number of its first frame in the file."""

    def cells(self, chunk: Any, first: int, /) -> tuple[Sequence[Sequence[object]], ContractError | None]:
        """The rows of what `take` gave, and what is wrong with the row after them."""

    def close(self) -> None:
        """Close it; twice is fine."""
