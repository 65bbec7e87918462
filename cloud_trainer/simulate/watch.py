"""A consumer in a process of its own: `cloud-trainer ingest`, with what it costs.

Its one rule: figures come from /proc; where there is none they are left out, not made up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.errors import TransportError

_MAIN = "import sys; from cloud_trainer.cli import main; sys.exit(main())"


def cpu_s(pid: int) -> float:
    """CPU time of a process, threads that have ended included [s, in steps of 10 ms]."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Resident memory of a process [MiB]."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(slots=True)
class Usage:
    """Of a consumer.

    Attributes:
        cpu_s: From its first message on [s]; 0 where the system does not tell.
        rss_mib: After each period [MiB].
    """

    cpu_s: float = 0.0
    rss_mib: list[float] = field(default_factory=list)


class ConsumerProcess:
    """Runs from the start; `stop` commits what it has."""

    def __init__(self, workspace: Path, address: tuple[str, int], *, shared: bool) -> None:
        """Return when it has subscribed.

        Raises:
            TransportError: It ended instead.
        """
        self.log = workspace / "ingest.log"
        self.usage = Usage()
        host, port = address
        words = [sys.executable, "-c", _MAIN, "ingest", "--workspace", str(workspace), "--host", host]
        words += ["--port", str(port)] + ([] if shared else ["--no-shared"])
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout  # noqa: S101 - PIPE above
        self._process.stdout.readline()
        self.check()
        self._start_s = self._cpu_s()

    def check(self) -> None:
        """Raise if it has ended."""
        if self._process.poll() is not None:
            raise TransportError(f"consumer: ended with status {self._process.returncode}", hint=f"read {self.log}")

    def sample(self) -> None:
        """Note what it has used so far."""
        if Path("/proc/self/statm").exists():
            self.usage.rss_mib.append(rss_mib(self._process.pid))
            self.usage.cpu_s = self._cpu_s() - self._start_s

    def stop(self) -> None:
        """End it in good order."""
        if self._process.poll() is None:
            self.sample()
            self._process.terminate()
            self._process.communicate()

    def _cpu_s(self) -> float:
        return cpu_s(self._process.pid) if Path("/proc/self/stat").exists() else 0.0
