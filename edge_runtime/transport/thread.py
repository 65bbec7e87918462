"""The link's thread: steps the courier until told to stop. One rule: its error is raised in the caller's."""

from __future__ import annotations

import threading

from edge_runtime.errors import TransportError
from edge_runtime.transport.courier import Courier
from edge_runtime.transport.port import Link


class LinkThread:
    """Life: `start` -> `wait_drained` where wished -> `stop`.

    Args:
        courier: Stepped from here on by this thread alone.
        link: The courier's; closed at the end.
        step_s: Longest wait of one step: how late a fresh batch goes out at most [s].
    """

    def __init__(self, courier: Courier, link: Link, *, step_s: float = 0.1) -> None:
        self._courier, self._link, self._step_s = courier, link, step_s
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._failure: BaseException | None = None
        self._close_s = 2.0
        self._thread = threading.Thread(target=self._main, name="el-link", daemon=True)

    def start(self) -> None:
        """Begin; does not wait for the broker."""
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def wait_drained(self, timeout_s: float) -> bool:
        """True once the store has acknowledged all that was committed before; False after the time-out."""
        self._drained.clear()
        self.check()  # after the clear: a thread that has died sets nothing again
        is_drained = self._drained.wait(timeout_s)
        self.check()
        return is_drained

    def stop(self, timeout_s: float = 15.0) -> None:
        """Say goodbye and end. TransportError if it takes longer than the time-out."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TransportError(f"link: did not stop in {timeout_s:g} s", hint="look at the network")
        self.check()

    def _main(self) -> None:
        try:
            while not self._stopping.is_set():
                self._courier.step(self._step_s)
                if self._courier.is_drained():
                    self._drained.set()
            self._link.close(self._close_s)
        except BaseException as error:  # raised again in the callers' threads
            self._failure = error
            self._drained.set()
