"""One device lives through every fault of a table; after each, the store has each sealed record once."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edge_runtime.spool import lives
from tests.durability.content import ROWS
from tests.durability.world import World
from tests.spool.common import draft, open_spool, until

LOG = "spool.db-wal"
PAGE_BYTES = 24 + 4096
"""Of the log: a header and a page, https://www.sqlite.org/fileformat.html#the_write_ahead_log"""
YEAR_MS = 365 * 86_400_000
Files = dict[str, bytes]


def files_of(disk: Path) -> Files:
    return {file.name: file.read_bytes() for file in disk.iterdir() if file.is_file()}


def write_back(disk: Path, files: Files) -> None:
    """Into the files that are there, as a file system does after a power cut."""
    for file in disk.iterdir():
        if file.name not in files:
            file.unlink()
    for name, data in files.items():
        if not (disk / name).exists() or (disk / name).read_bytes() != data:
            (disk / name).write_bytes(data)


def restore(disk: Path, files: Files) -> None:
    """As a copy tool does: new files."""
    for file in list(disk.iterdir()):
        file.unlink()
    for name, data in files.items():
        (disk / f"{name}~").write_bytes(data)
        (disk / f"{name}~").rename(disk / name)


def set_back(disk: Path, files: Files) -> None:
    """The database and its log alone."""
    write_back(disk, files_of(disk) | {name: files[name] for name in ("spool.db", LOG)})


def an_outage_of_an_hour(world: World) -> None:
    world.broker.kill()
    for _ in range(360):
        world.submit_to_ledger()
        world.step(10.0)
    world.worker.flush()
    world.broker.start()


def a_clock_that_jumps(by_ms: int) -> Callable[[World], None]:
    def fault(world: World) -> None:
        world.make(3)
        world.step()
        world.wall_ms += by_ms
        world.make(3)

    return fault


@contextmanager
def no_space(disk: Path) -> Iterator[None]:
    """Files of this process cannot grow: the kernel refuses each write past their present sizes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in disk.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def a_full_disk(world: World) -> None:
    """Batches wait in the ring while there is no space, and are sealed when there is some."""
    world.broker.kill()
    world.make(20)
    with no_space(world.disk):
        late = [row for _ in range(40) for row in world.submit()]
        assert until(lambda: world.worker.is_disk_full)
        world.step()
    assert until(lambda: not world.worker.is_disk_full)
    world.worker.flush()
    world.ledger.update(late)
    assert world.worker.dropped_rows == 0
    world.broker.start()


def torn_tail(*, with_mark: bool) -> Callable[[World], None]:
    """Power goes while the log's last page is written: the last commit is gone, and what it held is made again."""

    def fault(world: World) -> None:
        world.broker.kill()
        for share in (0.0, 0.3, 0.7, 0.999):
            world.make(3)
            kept, made, before = set(world.ledger), world.made, files_of(world.disk)
            world.make(1)
            torn = files_of(world.disk)
            world.stop()
            whole = len(before[LOG])
            assert len(torn[LOG]) > whole
            torn[LOG] = torn[LOG][: whole + int(share * (len(torn[LOG]) - whole))]
            if not with_mark:
                torn["spool.db.mark"] = before["spool.db.mark"]
            write_back(world.disk, torn)
            epoch = world.worker.epoch
            world.start()
            assert world.made == made
            assert (world.worker.epoch != epoch) is with_mark, "a number that may have been sent is not given again"
            world.ledger = kept
        world.broker.start()

    return fault


def a_restored_image(how: Callable[[Path, Files], None]) -> Callable[[World], None]:
    """The disk is put back to where it was; what was made since is in the store, what waited then is sent again."""

    def fault(world: World) -> None:
        world.make(6)
        image = files_of(world.disk)
        world.make(10)
        world.settle()
        world.stop()
        how(world.disk, image)
        world.start()
        world.make(10)

    return fault


FAULTS: dict[str, Callable[[World], None]] = {
    "nothing": lambda world: world.make(5),
    "an outage of an hour": an_outage_of_an_hour,
    "a clock a year ahead": a_clock_that_jumps(YEAR_MS),
    "a clock a year back": a_clock_that_jumps(-2 * YEAR_MS),
    "a full disk": a_full_disk,
    "a torn tail": torn_tail(with_mark=False),
    "a torn tail after its commit": torn_tail(with_mark=True),
    "a restored image": a_restored_image(restore),
    "a database set back": a_restored_image(
        lambda disk, files: write_back(
            disk, files_of(disk) | {"spool.db": files["spool.db"], "spool.db-wal": files["spool.db-wal"]}
        )
    ),
}


def test_each_fault_loses_and_repeats_nothing(tmp_path: Path, broker_name: str) -> None:
    with World(tmp_path, broker_name) as world:
        for name, fault in FAULTS.items():
            fault(world)
            world.make(2)
            world.settle()
            stored = world.stored()
            lost, duplicated = len(world.ledger - set(stored)), len(stored) - len(set(stored))
            print(f"{broker_name}: {name}: {len(world.ledger)} made, {lost} lost, {duplicated} duplicated")
            assert (lost, duplicated) == (0, 0), name
            assert set(stored) == world.ledger, name
        assert world.gap_rows() == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of so many bytes at `folder`."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"SKIP: no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(file: Path) -> None:
    """Write until nothing more fits."""
    with file.open("wb", buffering=0) as out:
        for size in (4096, 1):
            with suppress(OSError):
                while out.write(bytes(size)):
                    pass


@pytest.mark.system
def test_a_full_file_system_stops_neither_the_device_nor_its_start(tmp_path: Path, sharing_broker: str) -> None:
    """What waits is sealed once there is room; a device that starts on a full disk sends what it holds."""
    with small_disk(tmp_path / "disk", "1m"), World(tmp_path, sharing_broker) as world:
        world.make(5)
        world.broker.kill()
        world.make(20)
        fill(world.disk / "ballast")
        late = [row for _ in range(40) for row in world.submit()]
        assert until(lambda: world.worker.is_disk_full)
        (world.disk / "ballast").unlink()
        assert until(lambda: not world.worker.is_disk_full)
        world.worker.flush()
        world.ledger.update(late)
        world.stop()
        fill(world.disk / "ballast")
        world.start()
        world.broker.start()
        while set(world.stored()) != world.ledger:
            world.step()
        (world.disk / "ballast").unlink()
        assert until(lambda: not world.worker.is_disk_full)
        world.make(2)
        world.settle()
        stored = world.stored()
        assert (set(stored), len(stored)) == (world.ledger, len(world.ledger))
        assert (world.worker.set_aside, world.worker.dropped_rows, world.gap_rows()) == (None, 0, 0)


@pytest.mark.planted
def test_a_spool_that_does_not_notice_its_restoration_is_caught(
    tmp_path: Path, sharing_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lives, "place_of", lambda _mark: "anywhere")
    with World(tmp_path, sharing_broker) as world:
        a_restored_image(restore)(world)
        world.settle()
        assert len(world.ledger - set(world.stored())) > ROWS


@pytest.mark.timeout(900)
@pytest.mark.parametrize("with_mark", [False, True])
def test_a_log_torn_at_any_byte_of_its_last_page_costs_its_last_commit_alone(
    tmp_path: Path, *, with_mark: bool
) -> None:
    """Each 97th byte here, every one with EDGELOOP_KILLS: without a mark of it the commit never was."""
    disk = tmp_path / "disk"
    with open_spool(disk / "spool.db") as spool:
        for n in range(6):
            spool.commit([draft(3, size=2000)], checkpoints={"n": b"%d" % n}, now_ms=0)
            if n == 4:
                mark, last_seq = files_of(disk)["spool.db.mark"], spool.last_seq
        image, epoch = files_of(disk), spool.epoch
    if not with_mark:
        image["spool.db.mark"] = mark
    size = len(image[LOG])
    for cut in {*range(size - PAGE_BYTES, size, 1 if "EDGELOOP_KILLS" in os.environ else 97), size - 1}:
        write_back(disk, image | {LOG: image[LOG][:cut]})
        with open_spool(disk / "spool.db") as spool:
            assert spool.set_aside is None
            assert (spool.last_seq, spool.checkpoint("n")) == (last_seq, b"4")
            assert [(b.epoch, b.first_seq) for b in spool.pending(9)] == [(epoch, 1 + 3 * n) for n in range(5)]
            assert (spool.epoch == epoch) is not with_mark


def test_what_a_full_spool_gives_up_is_named_row_by_row(tmp_path: Path, broker_name: str) -> None:
    with World(tmp_path, broker_name, max_bytes=256 * 1024) as world:
        for _ in range(2):
            world.broker.kill()
            world.make(150, rows=64)
            world.broker.start()
            world.settle()
            stored = world.stored()
            lost = world.ledger - set(stored)
            print(f"{broker_name}: {len(world.ledger)} made, {len(lost)} lost, {world.gap_rows()} named")
            assert len(lost) == world.gap_rows() == world.worker.stats().dropped_rows > 1000
        # What is given up while it is under way may have arrived all the same: it is named too.
        world.make(20, rows=64)
        for _ in range(5):
            world.step()
        world.broker.kill()
        world.make(150, rows=64)
        world.broker.start()
        world.settle()
        stored = world.stored()
        assert len(world.ledger - set(stored)) <= world.gap_rows() == world.worker.stats().dropped_rows
        assert set(stored) < world.ledger
        assert len(set(stored)) == len(stored)
        assert world.unnamed() == 0
