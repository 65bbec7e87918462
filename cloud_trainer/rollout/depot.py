"""A folder of bundles over HTTP, with ranges, so that a cut download goes on. One rule: only bundle files are served.

For a workstation or a plant; any static server or object storage does the same for a fleet. It guards nothing: a
device believes a bundle by its digest and signature, wherever it came from.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType

from edge_runtime.errors import UsageError

CHUNK_BYTES = 64 << 10
TIMEOUT_S = 30.0
_NAME = re.compile(r"/([a-z0-9][a-z0-9._-]{0,127}\.elb)")
_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{0,19})|bytes=-(\d{1,19})")


class Depot:
    """Serves *folder* from `start` to `stop`, in a thread of its own.

    Args:
        folder: where `<digest>.elb` and `<name>.elb` lie.
        host: to listen on; the loopback address unless told.
        port: 0 takes a free one; see `url`.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        if not folder.is_dir():
            raise UsageError(f"depot {folder}: not a folder", hint="name the folder of the exported bundles")
        try:
            self._server = ThreadingHTTPServer((host, port), partial(_Handler, folder))
        except OSError as error:
            raise UsageError(f"depot {host}:{port}: {error.strerror}", hint="choose another --port") from error
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where devices find it, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}"

    def start(self) -> str:
        """Begin to serve and return `url`."""
        self._thread.start()
        return self.url

    def stop(self) -> None:
        """End it; connections that run are cut."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Depot:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def span(header: str | None, size: int) -> tuple[HTTPStatus, int, int]:
    """Return status, first and last+1 byte of the answer to a Range header on *size* bytes.

    A missing header, or one of another form than one range of bytes, asks for all (RFC 9110 section 14.2).
    """
    match = _RANGE.fullmatch(header or "")
    first, last, tail = match.groups() if match else ("", "", None)
    if match is None or (last and int(last) < int(first)):
        return HTTPStatus.OK, 0, size
    start = max(0, size - int(tail)) if tail is not None else int(first)
    if start >= size:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0
    return HTTPStatus.PARTIAL_CONTENT, start, min(size, int(last) + 1) if last else size


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S
    server_version = "edgeloop-depot"
    sys_version = ""

    def __init__(self, folder: Path, *args: object) -> None:
        self._folder = folder
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Send a bundle, or the part asked for."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send its size and ETag."""
        self._answer(with_body=False)

    def log_message(self, *args: object) -> None:
        """Say nothing: devices report what they fetched."""

    def _answer(self, *, with_body: bool) -> None:
        match = _NAME.fullmatch(self.path)
        path = self._folder / match[1] if match else None
        if path is None or path.is_symlink() or not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        found = path.stat()
        tag, size = f'"{_etag(path, found.st_mtime_ns, found.st_size)}"', found.st_size
        asked = self.headers.get("Range")
        if self.headers.get("If-Range", tag) != tag:
            asked = None
        status, first, end = span(asked, size)
        self.send_response(status)
        shown = {HTTPStatus.PARTIAL_CONTENT: f"{first}-{end - 1}", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "*"}
        self._headers(tag, end - first, f"bytes {shown[status]}/{size}" if status in shown else "")
        if with_body:
            self._send(path, first, end)

    def _headers(self, tag: str, length: int, content_range: str) -> None:
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _send(self, path: Path, first: int, end: int) -> None:
        with path.open("rb") as file:
            file.seek(first)
            while first < end and (chunk := file.read(min(CHUNK_BYTES, end - first))):
                try:
                    self.wfile.write(chunk)
                except OSError:  # the device went away; it comes back with a range
                    self.close_connection = True
                    return
                first += len(chunk)


@lru_cache(maxsize=256)
def _etag(path: Path, _mtime_ns: int, _size: int) -> str:
    """Return the SHA-256 of the file, kept while it does not change: equal bytes, equal tag, whatever its name says."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
