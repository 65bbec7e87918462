"""A Unix socket with decisions as NDJSON, for any number of readers on this device up to 16.

One rule: a reader that does not keep up loses lines, which are counted; nobody waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.daemon.sinks import line_of
from edge_runtime.errors import UsageError

MODE = 0o660
MAX_READERS = 16
MAX_WAITING_BYTES = 65536
"""Lines that wait for one reader, above what the kernel holds for it."""


class LineServer:
    """A listening socket at a path; life: `offer` from any thread, `close` once.

    Attributes:
        dropped: Lines that a reader lost; grows.
    """

    def __init__(self, path: Path) -> None:
        """Listen at *path*; a socket that nobody serves any more is replaced.

        Raises:
            UsageError: another process serves it, it is something else, or it cannot be made.
        """
        self.path, self.dropped = path, 0
        self._lock = threading.Lock()
        self._readers: dict[socket.socket, bytearray] = {}
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            _make_room(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._server.bind(str(path))
            path.chmod(MODE)  # before `listen`: until then nobody can connect
            self._server.listen(MAX_READERS)
        except (OSError, ValueError) as why:
            self._server.close()
            text = why.strerror if isinstance(why, OSError) and why.strerror else str(why)
            raise UsageError(
                f"decisions unix:{path}: {text}", hint="a folder that can be written, at most 107 bytes of path"
            ) from None
        except UsageError:
            self._server.close()
            raise

    def offer(self, lines: list[bytes]) -> int:
        """Send *lines* to every reader that takes them; returns how many a reader lost."""
        with self._lock:
            self._accept()
            lost = sum(self._send(reader, lines) for reader in list(self._readers))
            self.dropped += lost
            return lost

    def close(self) -> None:
        """End the connections and take the socket away."""
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
            self._server.close()
            self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        """Let in who waits, as many as the kernel keeps waiting: there may always be one more."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(MAX_READERS):
                try:
                    reader, _ = self._server.accept()
                except ConnectionAbortedError:
                    continue
                except OSError as why:
                    if why.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                        return
                    raise
                reader.setblocking(False)
                if len(self._readers) >= MAX_READERS:
                    reader.close()
                else:
                    self._readers[reader] = bytearray()

    def _send(self, reader: socket.socket, lines: list[bytes]) -> int:
        waiting, lost = self._readers[reader], 0
        try:
            for line in lines:
                if len(waiting) + len(line) > MAX_WAITING_BYTES:
                    _drain(reader, waiting)
                if len(waiting) + len(line) > MAX_WAITING_BYTES:
                    lost += 1
                else:
                    waiting += line
            _drain(reader, waiting)
        except OSError:  # it went away
            reader.close()
            del self._readers[reader]
        return lost


class SocketSink:
    """The decisions of one stream on a shared `LineServer`."""

    def __init__(self, server: LineServer) -> None:
        self._server = server
        self._lines: list[bytes] = []
        self.dropped = 0

    def emit(self, decision: Mapping[str, object]) -> None:
        """Take one decision."""
        self._lines.append(line_of(decision))

    def flush(self) -> None:
        """Send what was taken; never waits."""
        if self._lines:
            self.dropped += self._server.offer(self._lines)
            self._lines.clear()

    def close(self) -> None:
        """The server is the daemon's."""


def _drain(reader: socket.socket, waiting: bytearray) -> None:
    """Send of *waiting* what the kernel takes now."""
    with contextlib.suppress(BlockingIOError):
        while waiting:
            del waiting[: reader.send(waiting)]


def _make_room(path: Path) -> None:
    """Take away a socket that nobody serves; anything else at *path* is somebody's."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise UsageError(f"decisions unix:{path}: exists and is no socket", hint="name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its backlog is full: somebody serves it
            pass
        raise UsageError(f"decisions unix:{path}: another process serves it", hint="name another path")
