"""A door in front of a real broker that lets no MQTT 5 in: like a broker of 3.1.1, or one that only hangs up."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

REFUSAL = bytes((0x20, 2, 0, 1))  # CONNACK of 3.1.1: unacceptable protocol version


class OldBroker:
    """Life: `with OldBroker(port, says_why=True) as door`; connect to `door.port`."""

    def __init__(self, behind: int, *, says_why: bool) -> None:
        self._behind, self._says_why = behind, says_why
        self.levels: list[int] = []  # of every CONNECT: 5, or 4 for 3.1.1
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def hang_up(self) -> None:
        """On everybody who is connected."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> OldBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.hang_up()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                threading.Thread(target=self._let_in, args=(peer,), daemon=True).start()

    def _let_in(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            first = peer.recv(4096)  # the CONNECT of a device is one segment
            level = first[first.index(b"MQTT") + 4]
            self.levels.append(level)
            if level > 4:
                if self._says_why:
                    peer.sendall(REFUSAL)
                return
            with socket.create_connection(("127.0.0.1", self._behind)) as broker:
                self._open += [peer, broker]
                broker.sendall(first)
                back = threading.Thread(target=_pipe, args=(broker, peer), daemon=True)
                back.start()
                _pipe(peer, broker)
                back.join()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)
