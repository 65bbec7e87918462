"""One stream's updates, driven by its daemon. One rule: nothing blocks and no thread is made; `poll` does a step.

The child process does all that touches bytes not yet trusted; what it staged is put on trial here. When to swap,
confirm and fall back is the daemon's decision (`slots`).
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import edge_runtime
from edge_runtime import errors
from edge_runtime.errors import EdgeloopError
from edge_runtime.lean import TYPE_CHECKING, Any, dataclass, field, items_of, sha256, uniform
from edge_runtime.update import slots
from edge_runtime.update.disk import PosixDisk
from edge_runtime.update.request import Request
from edge_runtime.update.trust import Trust

if TYPE_CHECKING:
    import subprocess
    from typing import IO

MAX_ORDER_BYTES = 128 << 10
MAX_BACK_OFF_S = 300.0
# numpy's BLAS takes data memory for every core of the machine, which the child's limit would not allow.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
MAX_TEXT = 1024  # of a field of an event


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an order, or the factory bundle, ended.

    Attributes:
        kind: "staged" (on trial: swap when it suits), "kept" (nothing to change), "refused" (for good), "retry" (the
            link failed; tried again by itself).
        digest: of the bundle the order names for this stream, "" where it names none, is not trusted, or was acted
            on before.
        order_version, rollout: of the order, 0 and "" where it is not trusted.
        error: class name of the refusal, with its message and hint.
        report: what was counted and measured of a staged bundle.
    """

    kind: str
    digest: str = ""
    order_version: int = 0
    rollout: str = ""
    error: str = ""
    message: str = ""
    hint: str = ""
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """The order was accepted."""
        return self.kind in ("staged", "kept")

    @property
    def event(self) -> tuple[str, dict[str, str | int]] | None:
        """Kind and fields of the telemetry event, None where nothing happened worth one."""
        about: dict[str, str | int] = {
            "bundle": self.digest, "rollout": self.rollout, "order_version": self.order_version,
        }  # fmt: skip
        if self.ok:
            if not self.digest:
                return None
            return ("staged" if self.kind == "staged" else "confirmed"), about
        about |= {"error": self.error, "message": self.message[:MAX_TEXT]}
        return ("refused" if self.kind == "refused" else "fault"), about

    def raise_if_refused(self) -> None:
        """Raise the refusal as the error it was in the child."""
        if not self.ok:
            kind: type[EdgeloopError] = getattr(errors, self.error)
            raise kind(self.message, hint=self.hint)


@dataclass(slots=True, kw_only=True)
class _Child:
    """A running check: its process, where its answer goes, and when it is late."""

    process: subprocess.Popen[bytes]
    answers: IO[bytes]
    order: bytes
    late_s: float

    def answer(self) -> dict[str, Any]:
        """Return the one line that the ended process wrote; one that wrote none was stopped or crashed."""
        self.answers.seek(0)
        try:
            found: dict[str, Any] = json.loads(self.answers.read())
        except ValueError:
            code = self.process.returncode
            why = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
            return {
                "ok": False, "error": "BudgetError", "message": f"the update check {why} without an answer",
                "hint": "a bundle that crashes or outgrows its check is not run",
            }  # fmt: skip
        finally:
            self.answers.close()
        return found


class Updater:
    """Takes orders for one stream, one at a time, the newest first.

    Args:
        state_dir: the daemon's state; the stream's slots lie in `streams/<stream>` below it.
        stream: its id.
        trust: whose signature counts.
        site: this device's site.
        device: this device's id.
        max_bytes: of a bundle [bytes].
        memory_bytes: data memory of the child [bytes].
        latency_us: p99 of a decision that this device allows [µs]; 0: the time between two windows.
        timeout_s: after which a child is killed [s].
        clock: monotonic [s].
    """

    def __init__(
        self,
        state_dir: Path,
        stream: str,
        trust: Trust,
        *,
        site: str,
        device: str,
        max_bytes: int = 64 << 20,
        memory_bytes: int = 512 << 20,
        latency_us: int = 0,
        timeout_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.disk = PosixDisk(state_dir / "streams" / stream)
        self._base = Request(
            mode="order",
            folder=str(self.disk.root),
            site=site,
            device=device,
            stream=stream,
            release_keys=trust.release_keys,
            rollout_keys=trust.rollout_keys,
            max_bytes=max_bytes,
            memory_bytes=memory_bytes,
            latency_us=latency_us,
        )
        self._timeout_s = timeout_s
        self._clock = clock
        self._child: _Child | None = None
        self._waiting: bytes = b""
        self._settled = ""  # digest of the order that ended last
        self._failures = 0
        self._retry_at_s = 0.0

    @property
    def is_checking(self) -> bool:
        """A child runs, whose memory the budget holds once."""
        return self._child is not None

    @property
    def busy(self) -> bool:
        """A child runs or an order waits."""
        return self._child is not None or bool(self._waiting)

    def offer(self, order: bytes) -> tuple[str, dict[str, str | int]] | None:
        """Take the signed order of a `desired` message and return its event; None if it is the one that ended last.

        A broker repeats the retained order at each connect; a refused one is not tried again until it changes.
        """
        digest = sha256(order).hexdigest()
        if order == self._waiting or digest == self._settled or not order:
            return None
        if len(order) > MAX_ORDER_BYTES:
            self._settled = digest
            message = f"order of {len(order)} bytes, limit is {MAX_ORDER_BYTES}"
            return "refused", {"error": "ContractError", "message": message}
        self._waiting, self._failures, self._retry_at_s = order, 0, 0.0
        return "offered", {"order": digest[:16], "bytes": len(order)}

    def poll(self) -> Result | None:
        """Do the next step and return how an order ended, None while nothing did. While a trial runs, orders wait."""
        if self._child is None:
            if self._waiting and self._clock() >= self._retry_at_s and not self._is_trial():
                try:
                    self._child = self._spawn(self._waiting, mode="order")
                except OSError as error:  # no space, no memory: later
                    return self._put_off({"message": f"the update check cannot start: {error}"})
            return None
        if self._child.process.poll() is None:
            if self._clock() < self._child.late_s:
                return None
            self._child.process.kill()
            self._child.process.wait()
        if self._is_trial():
            return None
        child, self._child = self._child, None
        try:
            return self._settle(child)
        except OSError as error:  # a full disk stops no device: the old state is in force, the order comes again
            return self._put_off({"message": f"the slots cannot be written: {error}"})

    def factory(self, path: Path) -> Result:
        """Check and install the bundle the device was shipped with; blocks, as there is nothing else to run."""
        import subprocess

        child = self._spawn(b"", mode="file", path=str(path))
        try:
            child.process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        return self._settle(child)

    def collect(self) -> list[str]:
        """Delete the bundles that no slot names, unless a child is at work on one."""
        return [] if self.busy else slots.collect(self.disk)

    def stop(self) -> None:
        """End a running child; a partial download stays for the next time."""
        if self._child is not None:
            self._child.process.kill()
            self._child.process.wait()
            self._child.answers.close()
            self._child = None

    def _is_trial(self) -> bool:
        return slots.load(self.disk).phase is slots.Phase.TRIAL

    def _spawn(self, order: bytes, **fields: str) -> _Child:
        import subprocess  # here: most starts of a device have no update to check
        import tempfile

        state = slots.load(self.disk)
        fields["order"] = base64.b64encode(order).decode()
        known = {"last_version": state.order_version, "confirmed": state.confirmed or ""}
        request = json.dumps({**items_of(self._base), **known, **fields}).encode()
        above = str(Path(edge_runtime.__file__).parent.parent)
        paths = [above, *filter(None, [os.environ.get("PYTHONPATH")])]
        answers = tempfile.TemporaryFile()  # noqa: SIM115  closed with the child; a file never blocks as a pipe does
        with tempfile.TemporaryFile() as asked:
            asked.write(request)
            asked.seek(0)
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "edge_runtime.update.child"],
                    stdin=asked,
                    stdout=answers,
                    env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
                )
            except OSError:
                answers.close()
                raise
        return _Child(process=process, answers=answers, order=order, late_s=self._clock() + self._timeout_s)

    def _settle(self, child: _Child) -> Result:
        answer = child.answer()
        if answer.pop("ok"):
            version, digest = answer["order_version"], answer["digest"]
            if digest:
                slots.install(self.disk, digest, order_version=version, rollout=answer["rollout"])
            elif version > slots.load(self.disk).order_version:
                slots.keep(self.disk, order_version=version)
            result = Result(**answer)
        elif answer["error"] == "TransportError" and child.order:
            return self._put_off(answer)
        else:
            for name in self.disk.names("bundles"):
                if name.endswith(".part"):
                    self.disk.remove(f"bundles/{name}")
            result = Result(**{**answer, "kind": "refused"})
        self._settled = sha256(child.order).hexdigest()
        if self._waiting == child.order:
            self._waiting = b""
        return result

    def _put_off(self, answer: dict[str, Any]) -> Result:
        """Keep the order for another try, later each time."""
        self._failures += 1
        cap = min(MAX_BACK_OFF_S, 2.0 ** min(self._failures, 16))
        self._retry_at_s = self._clock() + uniform(0.0, cap)
        return Result(**{"error": "TransportError", **answer, "kind": "retry"})
