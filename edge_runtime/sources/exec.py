"""The exec source: what a command prints. One rule: the child is a process group of its own, and dies with the source.

Its stderr is ours. Exit status 0 is the end of the stream; any other, or a signal, is a TransportError that names it:
the daemon starts the command again, with back-off. The child has its stdin from /dev/null and the
daemon's limits. A daemon that is killed cannot end it: it goes with the next line that it writes (SIGPIPE).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence

from edge_runtime.errors import TransportError, UsageError
from edge_runtime.sources.decode import Decoder, RowDecoder
from edge_runtime.sources.formats import decoder
from edge_runtime.sources.pipe import Pipe, PipeRows, PipeSource
from edge_runtime.sources.port import Request, RowField, RowSource, Source

GRACE_S = 2.0
"""From SIGTERM to SIGKILL, and from the end of its output to its own end [s]."""


class Child:
    """A running command and the group it leads; `end` leaves nothing of it."""

    def __init__(self, command: Sequence[str], *, name: str, cwd: str | None = None) -> None:
        self._name = f"source {name}: {command[0]}"
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=cwd, start_new_session=True, bufsize=0
            )
        except OSError as why:
            raise UsageError(
                f"{self._name}: cannot be started: {why.strerror}",
                hint="name a program, by PATH or beside device.toml",
            ) from None
        stdout = self._process.stdout
        self.descriptor = stdout.fileno() if stdout else -1
        self._pid_descriptor = _pidfd(self._process.pid)
        self._is_over = False

    def check_end(self) -> None:
        """Its output is over. TransportError if it was not of its own will: status 0."""
        is_alone = self._exited(GRACE_S)
        if not is_alone:
            self._signal(signal.SIGTERM)
        status = self.end()
        if not is_alone:
            raise TransportError(f"{self._name}: closed its output and ran on: ended", hint="let it exit at its end")
        if status:
            how = f"ended with status {status}" if status > 0 else f"was ended by {_signal_name(-status)}"
            raise TransportError(f"{self._name}: {how}", hint="its own messages are on stderr")

    def ask(self) -> None:
        """SIGTERM to the group; from any thread."""
        self._signal(signal.SIGTERM)

    def end(self) -> int:
        """End the group, reap the child and return its exit status; twice is fine."""
        if not self._is_over:
            self._signal(signal.SIGTERM)
            self._exited(GRACE_S)
            self._signal(signal.SIGKILL)  # the child is not reaped yet, so its number is still its own
            self._is_over = True
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
            if self._pid_descriptor >= 0:
                os.close(self._pid_descriptor)
        return self._process.returncode

    def _signal(self, number: int) -> None:
        if not self._is_over:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _exited(self, timeout_s: float) -> bool:
        """Whether the child has exited, after waiting for it; it stays unreaped."""
        if self._pid_descriptor < 0:  # no pidfd here: its number could only be reused after the very next line
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
            return self._process.returncode is not None
        poll = select.poll()
        poll.register(self._pid_descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))


class ExecSource(PipeSource):
    """Frames that a command prints."""

    def __init__(self, request: Request, child: Child, frames: Decoder) -> None:
        self._child = child
        try:
            super().__init__(request, Pipe(child.descriptor, child.check_end), frames, close=self._end)
        except BaseException:
            child.end()
            raise

    def stop(self) -> None:
        """Make `read` return 0 and ask the child to end; from any thread."""
        super().stop()
        self._child.ask()

    def _end(self) -> None:
        self._child.end()


class ExecRows(PipeRows):
    """Rows that a command prints."""

    def __init__(self, child: Child, rows: RowDecoder) -> None:
        self._child = child
        super().__init__(Pipe(child.descriptor, child.check_end), rows, close=self._end)

    def stop(self) -> None:
        """Make `read_rows` return [] and ask the child to end; from any thread."""
        super().stop()
        self._child.ask()

    def _end(self) -> None:
        self._child.end()


def open_source(request: Request) -> Source:
    """`exec [format=ndjson] COMMAND [ARGUMENT ...]`: started at once, in the folder of device.toml."""
    frames = decoder(request, default="ndjson")
    return ExecSource(request, _start(request), frames)


def open_rows(request: Request, fields: Sequence[RowField]) -> RowSource:
    """`exec [format=ndjson] COMMAND ...` as rows."""
    rows = RowDecoder(request, fields, default="ndjson")
    return ExecRows(_start(request), rows)


def _start(request: Request) -> Child:
    if not request.words:
        raise UsageError("source exec: no command named", hint="write: exec format=csv COMMAND [ARGUMENT ...]")
    return Child(request.words, name=request.name, cwd=request.options.get("cwd"))


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, or before 5.3
        return -1


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
