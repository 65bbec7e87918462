"""A source that comes back: a live one that fails is opened anew, with back-off. One rule: it tells, and goes on.

A source that cannot be opened as configured is refused at the start; one that is only not there (TransportError) is
waited for. Afterwards every failure counts as "not there": a device may be unplugged, a program replaced.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from edge_runtime.errors import TransportError
from edge_runtime.sources import Source, counts_of, times_of
from edge_runtime.sources.port import Value

RETRY_S, RETRY_CAP_S = 1.0, 60.0
"""A source that fails is opened again after 1, 2, 4 .. 60 s; one that lived for 60 s begins with 1 again."""


class SteadySource:
    """Life: made -> `read` in one thread, `stop` from any -> `close`.

    Args:
        opener: Opens the source; called again after each failure of a live one.
        is_live: Whether it is one; the failures of another are raised.
        halt: Set when the stream is to end.
        on_fault: Told the error and the wait [s], once for each new message.
        on_return: Called when a source that was away is open again, before its first frame.
        clock: Monotonic [s].
    """

    def __init__(
        self,
        opener: Callable[[], Source],
        *,
        is_live: bool,
        halt: threading.Event,
        on_fault: Callable[[Exception, float], None],
        on_return: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._is_live, self._halt = opener, is_live, halt
        self._on_fault, self._on_return, self._clock = on_fault, on_return, clock
        self._failures, self._told, self._opened_s = 0, "", clock()
        self._past: Counter[str] = Counter()  # what sources closed since have lost
        self._away: Exception | None = None
        self._source: Source | None = None
        self.reopen()

    @property
    def times(self) -> memoryview | None:
        """As `Source`: the times of the frames of the last `read`."""
        return times_of(self._source)

    @property
    def records(self) -> Sequence[tuple[Value, ...]] | None:
        """One a frame of the last `read`; None of a source that has frames alone."""
        found: Sequence[tuple[Value, ...]] | None = getattr(self._source, "records", None)
        return found

    @property
    def counts(self) -> Mapping[str, int]:
        """As `Source`, over all that were opened."""
        return self._past + Counter(counts_of(self._source))

    def read(self, frames: memoryview) -> int:
        """As `Source`; also 0 when `halt` is set while it waits for the source."""
        while not self._halt.is_set():
            try:
                if self._away is not None:
                    raise self._away  # noqa: TRY301 - it failed before there was a thread to wait in
                if self._source is None:
                    self._source = self._open()
                    self._opened_s = self._clock()
                    if self._halt.is_set():  # `stop` found no source to stop
                        return 0
                    self._on_return()
                return self._source.read(frames)
            except Exception as error:
                if not self._is_live:
                    raise
                self._away = None
                if self._source is not None and self._clock() - self._opened_s > RETRY_CAP_S:
                    self._failures, self._told = 0, ""
                self.close()
                self._wait(error)
        return 0

    def seek(self, frame: int) -> None:
        """As `Source`."""
        if self._source is not None:
            self._source.seek(frame)

    def reopen(self) -> None:
        """Close it and open it as it is wanted now; a live one that is not there now is waited for in `read`."""
        self.close()
        self._opened_s = self._clock()
        try:
            self._source = self._open()
        except TransportError as error:
            if not self._is_live:
                raise
            self._away = error

    def stop(self) -> None:
        """As `Source`; set `halt` first. One of the user's own that fails at it must not end the daemon's own stop."""
        if (source := self._source) is not None:
            with contextlib.suppress(Exception):
                source.stop()

    def close(self) -> None:
        """As `Source`; it is let go of even where it fails at that, as one of the user's own may."""
        source, self._source = self._source, None
        if source is not None:
            with contextlib.suppress(Exception):
                self._past += Counter(counts_of(source))
            with contextlib.suppress(Exception):
                source.close()

    def _wait(self, error: Exception) -> None:
        wait_s = min(RETRY_CAP_S, RETRY_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        if str(error) != self._told:
            self._told = str(error)
            self._on_fault(error, wait_s)
        self._halt.wait(wait_s)
