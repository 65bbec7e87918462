"""Labelled workloads: what the demo's model tells apart. One rule: a workload never outlives its caller.

Each runs in a child process of its own, within 256 MiB of memory and 64 MiB of disk, and varies with its take
number.
`python -m cloud_trainer.demo.workloads NAME` runs one until its standard input ends.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

MIB = 1 << 20
PAGE = mmap.PAGESIZE
STOP_WITHIN_S = 5.0


def idle(stop: threading.Event, _rng: random.Random, _folder: Path) -> None:
    """Nothing at all."""
    stop.wait()


def cpu(stop: threading.Event, rng: random.Random, _folder: Path) -> None:
    """Pure computing on one core or on all, in long bursts with short rests; touches no memory, no disk."""
    cores = os.cpu_count() or 1
    threads = rng.choice((1, cores))
    rounds = rng.randint(20_000, 60_000)

    def work(local: random.Random) -> None:
        while not stop.is_set():
            # Key stretching runs outside the interpreter lock, so each thread takes a core.
            hashlib.pbkdf2_hmac("sha256", b"edgeloop", b"salt", rounds)
            stop.wait(local.uniform(0.0, 0.01))

    # Variation, not secrets, here and below: the same take does the same.
    seeds = [random.Random(rng.random()) for _ in range(threads)]  # noqa: S311
    _together([threading.Thread(target=work, args=(seed,)) for seed in seeds])


def memory(stop: threading.Event, rng: random.Random, _folder: Path) -> None:
    """Take 32 to 160 MiB, touch every page, walk through it, give it back."""
    most = rng.randint(64, 160)
    while not stop.is_set():
        size = rng.randint(32, most) * MIB
        with mmap.mmap(-1, size) as block:
            # Huge pages would take 512 faults at once, and differ from machine to machine.
            if hasattr(mmap, "MADV_NOHUGEPAGE"):
                block.madvise(mmap.MADV_NOHUGEPAGE)
            for start in range(0, size, MIB):
                block[start : start + MIB : PAGE] = b"\x01" * (MIB // PAGE)
                if stop.is_set():
                    return
            for _ in range(rng.randint(1, 3)):
                zlib.adler32(block)
        stop.wait(rng.uniform(0.005, 0.04))


def disk(stop: threading.Event, rng: random.Random, folder: Path) -> None:
    """Write 8 to 32 MiB in blocks made durable one by one, read them back from the disk, delete."""
    block = rng.randbytes(rng.choice((256, 512, 1024)) * 1024)
    path = folder / "disk.bin"
    while not stop.is_set():
        with path.open("wb", buffering=0) as file:
            for _ in range(rng.randint(8, 32) * MIB // len(block)):
                file.write(block)
                os.fsync(file.fileno())
                if stop.is_set():
                    return
            _forget(file.fileno())
        with path.open("rb", buffering=0) as file:
            while not stop.is_set() and file.read(len(block)):
                pass
        path.unlink()
        stop.wait(rng.uniform(0.0, 0.1))


def network(stop: threading.Event, rng: random.Random, _folder: Path) -> None:
    """One loopback connection at 4 to 24 MiB/s: bursts of 16 to 64 KiB one way, a short answer to each."""
    rate = rng.uniform(4, 24) * MIB
    block = rng.randbytes(rng.choice((16, 32, 64)) * 1024)
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(1.0)

        def answer() -> None:
            got = 0
            while piece := far.recv(65536):
                got += len(piece)
                while got >= len(block):
                    got -= len(block)
                    far.sendall(b"ok")

        def ask() -> None:
            due = time.monotonic()
            while not stop.is_set():
                near.sendall(block)
                near.recv(2, socket.MSG_WAITALL)
                due = max(due + len(block) / rate * rng.uniform(0.5, 1.5), time.monotonic() - 0.05)
                stop.wait(max(0.0, due - time.monotonic()))
            near.shutdown(socket.SHUT_WR)

        _together([threading.Thread(target=answer), threading.Thread(target=ask)])


def compress(stop: threading.Event, rng: random.Random, folder: Path) -> None:
    """A log archiver: write 4 to 8 MiB of log lines, pack them to a second file, unpack that and compare, delete."""
    words = [rng.randbytes(rng.randint(2, 6)).hex() for _ in range(4000)]
    plain, packed = folder / "log.txt", folder / "log.packed"
    turn = rng.randrange(2)
    while not stop.is_set():
        with plain.open("wb") as file:
            for _ in range(rng.randint(4, 8) * 8):
                file.write(" ".join(rng.choices(words, k=16_000)).encode()[: MIB // 8])
            file.flush()
            os.fsync(file.fileno())
            _forget(file.fileno())
        turn += 1
        squeeze, expand = _lzma_pair() if turn % 2 else _zlib_pair()
        with plain.open("rb") as source, packed.open("wb") as target:
            while (part := source.read(MIB)) and not stop.is_set():
                small = squeeze(part)
                target.write(len(small).to_bytes(4, "little") + small)
            target.flush()
            os.fsync(target.fileno())
            _forget(target.fileno())
        with plain.open("rb") as source, packed.open("rb") as target:
            while (head := target.read(4)) and not stop.is_set():
                if expand(target.read(int.from_bytes(head, "little"))) != source.read(MIB):
                    raise RuntimeError("compress: unpacked differs from what was packed")
        plain.unlink()
        packed.unlink()
        stop.wait(rng.uniform(0.0, 0.15))


def _lzma_pair() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return lambda part: lzma.compress(part, preset=0), lzma.decompress


def _zlib_pair() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return lambda part: zlib.compress(part, 6), zlib.decompress


def _forget(descriptor: int) -> None:
    """Drop a durable file from the page cache, as a backup program does, so that reading it reads the disk."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _together(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


Workload = Callable[[threading.Event, random.Random, Path], None]

WORKLOADS: dict[str, Workload] = {
    "idle": idle,
    "cpu": cpu,
    "memory": memory,
    "disk": disk,
    "network": network,
    "compress": compress,
}


@contextmanager
def running(name: str, *, take: int = 0, folder: Path | None = None) -> Iterator[int]:
    """The process id of workload `name`, running while the context is open, gone with its files after.

    It ends by itself when this process dies, whatever way: its standard input ends then. Its files are in a folder
    that both of them delete.

    Args:
        name: One of `WORKLOADS`.
        take: Seeds how hard it works, >= 0.
        folder: Where its files are; None is the system's folder for temporary files. In a RAM disk, the disk
            workload is none.

    Raises:
        ValueError: No such workload.
        RuntimeError: It did not start, or ended before it was told to.
    """
    if name not in WORKLOADS:
        raise ValueError(f"workload {name!r}: unknown, want one of {', '.join(WORKLOADS)}")
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory(prefix="edgeloop-", dir=folder, ignore_cleanup_errors=True) as own:
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, name, "--take", str(take), "--folder", own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            if cast("IO[bytes]", child.stdout).readline() != b"running\n":
                raise RuntimeError(f"workload {name}: did not start, exit code {child.wait(STOP_WITHIN_S)}")
            yield child.pid
            if child.poll() is not None:
                raise RuntimeError(f"workload {name}: ended by itself, exit code {child.returncode}")
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    cast("IO[bytes]", child.stdin).close()
    try:
        child.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    cast("IO[bytes]", child.stdout).close()


def main(arguments: list[str] | None = None) -> int:
    """Runs one workload until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m cloud_trainer.demo.workloads", description=main.__doc__)
    parser.add_argument("name", choices=WORKLOADS)
    parser.add_argument("--take", type=int, default=0, help="seeds how hard it works")
    parser.add_argument("--folder", type=Path, help="make its own folder for files in this one")
    asked = parser.parse_args(arguments)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def wait_for_the_end() -> None:
        # Raw reads: a daemon thread that holds the lock of sys.stdin would abort the interpreter at its end.
        while os.read(0, 4096):
            pass
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    rng = random.Random(f"{asked.name} {asked.take}")  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="edgeloop-", dir=asked.folder, ignore_cleanup_errors=True) as own:
        sys.stdout.write("running\n")
        sys.stdout.flush()
        try:
            WORKLOADS[asked.name](stop, rng, Path(own))
        except KeyboardInterrupt:
            stop.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
