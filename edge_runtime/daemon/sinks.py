"""Where decisions go. One rule: a sink takes a finished decision and never waits for a network.

A stream that cannot wait (its source goes on) loses decisions to a reader that does not keep up: counted in `dropped`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from edge_runtime.contract import cbor, topics
from edge_runtime.lean import TYPE_CHECKING
from edge_runtime.transport import Letter

if TYPE_CHECKING:
    from typing import TextIO

MAX_LINES = 1024
"""Decisions that wait for a reader of stdout, a stream."""
CLOSE_S = 2.0
"""How long the last lines wait for a reader at the end of a stream [s]."""


def line_of(decision: Mapping[str, object]) -> bytes:
    """One line of NDJSON."""
    return json.dumps(decision, separators=(",", ":")).encode() + b"\n"


class Stdout:
    """The process's stdout, shared by its streams: lines are never mixed, and a full pipe blocks only who may wait."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.Lock()
        self._part = b""  # of a line that went out half

    def write(self, lines: deque[bytes]) -> None:
        """Write all *lines*, waiting for the reader as long as it takes."""
        with self._lock:
            text, self._part = self._part + b"".join(lines), b""
            lines.clear()
            with self._nobody_reads():
                self._out.write(text.decode())
                self._out.flush()

    def offer(self, lines: deque[bytes], *, wait_s: float = 0.0) -> None:
        """Write what goes out without waiting for longer than *wait_s*; the rest stays in *lines*."""
        if not self._lock.acquire(timeout=wait_s):
            return
        try:
            with self._nobody_reads():
                until = time.monotonic() + wait_s
                while (self._part or lines) and self._is_ready(max(0.0, until - time.monotonic())):
                    while lines and len(self._part) + len(lines[0]) <= select.PIPE_BUF:
                        self._part += lines.popleft()
                    self._part = self._part or lines.popleft()
                    written = os.write(self._out.fileno(), self._part[: select.PIPE_BUF])
                    self._part = self._part[written:]
        finally:
            self._lock.release()

    def _is_ready(self, wait_s: float) -> bool:
        """Whether PIPE_BUF bytes can be written without blocking: POSIX promises it of a pipe that polls as ready."""
        poll = select.poll()
        poll.register(self._out.fileno(), select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))

    @contextlib.contextmanager
    def _nobody_reads(self) -> Iterator[None]:
        """On OSError, what Python still holds goes nowhere, so that the exit status stays true."""
        try:
            yield
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._out.fileno())
            os.close(nowhere)
            raise


class StdoutSink:
    """One JSON line a decision (NDJSON), written a block at a time.

    Attributes:
        dropped: Decisions, the oldest first, that found `MAX_LINES` waiting before them; grows.
    """

    def __init__(self, out: Stdout | None = None, *, may_wait: bool = True) -> None:
        self._out, self._may_wait = out or Stdout(), may_wait
        self._lines: deque[bytes] = deque()
        self.dropped = 0

    def emit(self, decision: Mapping[str, object]) -> None:
        """Take one decision."""
        self._lines.append(line_of(decision))
        if not self._may_wait and len(self._lines) > MAX_LINES:
            self._lines.popleft()
            self.dropped += 1

    def flush(self) -> None:
        """Write what was taken.

        Raises:
            OSError: nobody reads any more.
        """
        if not self._lines:
            return
        if self._may_wait:
            self._out.write(self._lines)
        else:
            self._out.offer(self._lines)

    def close(self) -> None:
        """Give the reader a moment for what is left; it is lost after that."""
        if self._lines:
            self._out.offer(self._lines, wait_s=CLOSE_S)
        self.dropped += len(self._lines)
        self._lines.clear()


class MqttSink:
    """The `dec/` topic: QoS 0, dropped and counted while the link is down."""

    dropped = 0  # the courier counts

    def __init__(self, post: Callable[[Letter], None], *, site: str, device: str, stream: str) -> None:
        self._post = post
        self._topic = topics.up(site, device, "dec", stream)

    def emit(self, decision: Mapping[str, object]) -> None:
        """Hand one decision to the link thread's queue."""
        self._post(Letter(topic=self._topic, payload=cbor.dumps(dict(decision)), qos=0))

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing to close."""
