"""An HTTP server for bundles that misbehaves as told: cuts connections, ignores ranges, sends other bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Server(ThreadingHTTPServer):
    """Serves `data` at every path; `asked` are the Range headers it got."""

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.cut_after: list[int] = []  # bytes that each of the next connections gives; -1 is all
        self.has_ranges = True
        self.tail = b""  # sent after the last byte
        self.status = 0  # answer this instead
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/b.elb"

    def handle_error(self, *args: object) -> None:
        """A client that went away is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range", "")
        server.asked.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        first = int(asked.removeprefix("bytes=").partition("-")[0] or 0) if server.has_ranges else 0
        body = server.data[first:] + server.tail
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        limit = server.cut_after.pop(0) if server.cut_after else -1
        self.wfile.write(body if limit < 0 else body[:limit])
        self.close_connection = True


@contextmanager
def serving(data: bytes) -> Iterator[Server]:
    """A running server."""
    server = Server(data)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
