"""The promises of the spool: exact deletes, one transaction, a bound in bytes, a start on any file."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edge_runtime.errors import ContractError, UsageError
from edge_runtime.spool import KINDS, Draft, Gap, Spool, lives
from tests.spool.common import draft, gap_of, open_spool


def test_numbers_run_on_over_kinds_and_restarts(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool") as spool:
        epoch = spool.epoch
        spool.commit([draft(3), draft(1, kind="sum")], now_ms=5)
        spool.commit([draft(1, kind="ev")], now_ms=6)
        assert [(b.first_seq, b.last_seq, b.kind, b.sealed_ms) for b in spool.pending(9)] == [
            (1, 3, "rec", 5), (4, 4, "sum", 5), (5, 5, "ev", 6)
        ]  # fmt: skip
        assert spool.delete(epoch, [(1, 3), (4, 4), (5, 5)]) == 3
    with open_spool(tmp_path / "spool") as spool:
        assert spool.epoch == epoch
        assert spool.pending(9) == []
        spool.commit([draft(2)], now_ms=7)
        assert [(b.first_seq, b.last_seq) for b in spool.pending(9)] == [(6, 7)]
        assert spool.pending(9)[0].payload.startswith(b"rec 6 2 ")


def test_pending_goes_on_after_a_number_and_keeps_to_the_limit(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool") as spool:
        spool.commit([draft(2) for _ in range(5)], now_ms=0)
        assert [b.first_seq for b in spool.pending(2)] == [1, 3]
        assert [b.first_seq for b in spool.pending(9, after_seq=4)] == [5, 7, 9]


def test_only_what_is_named_exactly_is_deleted(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool") as spool:
        spool.commit([draft(4), draft(4), draft(4)], now_ms=0)
        wrong = [(1, 12), (1, 3), (2, 4), (1, 5), (0, 4), (5, 12), (-1, 2**70), (13, 16)]
        assert spool.delete(spool.epoch, wrong) == 0
        assert spool.delete(spool.epoch ^ 1, [(1, 4), (5, 8)]) == 0
        assert spool.delete(spool.epoch, [(5, 8), (5, 8)]) == 1
        assert [b.first_seq for b in spool.pending(9)] == [1, 9]


def test_batches_and_checkpoints_are_one_transaction(tmp_path: Path) -> None:
    def fail(_: int) -> bytes:
        raise RuntimeError("no payload")

    with open_spool(tmp_path / "spool") as spool:
        spool.commit([draft(2)], checkpoints={"a": b"1", "b": b"x"}, now_ms=0)
        bad = Draft(kind="rec", stream="s", rows=1, encode=fail)
        with pytest.raises(RuntimeError, match="no payload"):
            spool.commit([draft(2), bad], checkpoints={"a": b"2"}, now_ms=0)
        assert (spool.last_seq, spool.checkpoint("a"), len(spool.pending(9))) == (2, b"1", 1)
        spool.commit([], checkpoints={"a": b"3"}, now_ms=0)
        assert spool.checkpoints() == {"a": b"3", "b": b"x"}
        assert spool.checkpoint("c") is None
        spool.commit([draft(1)], now_ms=0)
        assert spool.pending(9, after_seq=2)[0].first_seq == 3


# ---- the bound

_DRAFT = st.tuples(st.sampled_from(KINDS), st.integers(1, 64), st.integers(10, 12_000))
_COMMITS = st.lists(st.lists(_DRAFT, min_size=1, max_size=6), min_size=60, max_size=120)


# No shrinking: every commit is an fsync, and a shrunk plan of commits takes minutes.
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(commits=_COMMITS, seed=st.integers(0, 999))
def test_a_full_spool_names_every_row_it_gives_up(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[tuple[str, int, int]]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool"
    choose, limit = random.Random(seed), 256 * 1024
    delivered: dict[str, set[int]] = {kind: set() for kind in KINDS}
    made: dict[str, set[int]] = {kind: set() for kind in KINDS}
    gaps: list[Gap] = []
    with open_spool(path, max_bytes=limit) as spool:
        for commit in commits:

            def note(kind: str, rows: int, size: int) -> Draft:
                def encode(first: int) -> bytes:
                    made[kind] |= set(range(first, first + rows))
                    return f"{kind} {first} {rows} ".encode().ljust(size, b".")

                return Draft(kind=kind, stream="" if kind == "ev" else "s", rows=rows, encode=encode)

            spool.commit([note(*d) for d in commit], now_ms=0)
            assert spool.stats().file_bytes <= limit + sum(size + 8192 for _, _, size in commit)
            if choose.random() < 0.05:
                _deliver(spool, delivered, gaps, limit=choose.randrange(5))
        _deliver(spool, delivered, gaps, limit=9999)
        dropped_rows = spool.stats().dropped_rows
    for kind in KINDS:
        lost = made[kind] - delivered[kind]
        named = [gap for gap in gaps if gap.kind == kind]
        assert sum(gap.rows for gap in named) == len(lost)
        assert all(any(gap.first_seq <= seq <= gap.last_seq for gap in named) for seq in lost)
    assert dropped_rows == sum(gap.rows for gap in gaps)


def _deliver(spool: Spool, delivered: dict[str, set[int]], gaps: list[Gap], *, limit: int) -> None:
    for batch in spool.pending(limit):
        gap = gap_of(batch)
        if gap:
            gaps.append(gap)
        else:
            delivered[batch.kind] |= set(range(batch.first_seq, batch.last_seq + 1))
        assert spool.delete(spool.epoch, [(batch.first_seq, batch.last_seq)]) == 1


def test_records_go_before_summaries_before_events(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool", max_bytes=256 * 1024) as spool:
        spool.commit([draft(1, kind="ev", size=4000), draft(1, kind="sum", size=4000)], now_ms=0)
        for _ in range(100):
            spool.commit([draft(8, size=4000)], now_ms=0)
        kinds = [b.kind for b in spool.pending(999) if not gap_of(b)]
        assert kinds[:2] == ["ev", "sum"]
        for _ in range(100):
            spool.commit([draft(1, kind="sum", size=4000)], now_ms=0)
        kept = spool.pending(999)
        assert {b.kind for b in kept} == {"ev", "sum"}
        assert {gap.kind for gap in map(gap_of, kept) if gap} == {"rec", "sum"}
        assert kept[0].first_seq == 1


def test_a_month_offline_leaves_one_gap_event_a_kind(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool", max_bytes=256 * 1024) as spool:
        for _ in range(400):
            spool.commit([draft(8, size=3000)], now_ms=0)
        assert sum(gap_of(b) is not None for b in spool.pending(999)) == 1
        read = [b for b in spool.pending(999) if gap_of(b)]
        # It was read, so it may be on its way: it stays as it is.
        spool.commit([draft(8, size=3000) for _ in range(3)], now_ms=0)
        assert [b for b in spool.pending(999) if gap_of(b)][:1] == read
        assert sum(gap_of(b) is not None for b in spool.pending(999)) == 2


def test_a_payload_that_never_fits_is_named_too(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool", max_bytes=256 * 1024) as spool:
        spool.commit([draft(5, size=300_000), draft(2)], now_ms=0)
        batches = spool.pending(9)
        assert [(b.first_seq, b.last_seq) for b in batches] == [(6, 7), (8, 8)]
        assert gap_of(batches[1]) == Gap(kind="rec", first_seq=1, last_seq=5, rows=5)


# ---- starts


def _abandon(path: Path, copy: Path, *, commits: int) -> tuple[int, int]:
    """A spool as a kill leaves it, copied with its log; (epoch, last_seq)."""
    copy.mkdir()
    with open_spool(path) as spool:
        for i in range(commits):
            spool.commit([draft(3, size=2000)], checkpoints={"n": str(i).encode()}, now_ms=0)
        for file in path.parent.glob(path.name + "*"):
            if file.is_file():
                (copy / file.name).write_bytes(file.read_bytes())
        return spool.epoch, spool.last_seq


@pytest.mark.parametrize("tail", ["", "-wal", ".mark"])
@pytest.mark.parametrize("commits", [12, 150])
def test_a_torn_file_stops_no_start_and_repeats_no_number(tmp_path: Path, tail: str, commits: int) -> None:
    epoch, last_seq = _abandon(tmp_path / "spool", tmp_path / "copy", commits=commits)
    whole = {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()}
    size = len(whole["spool" + tail])
    for cut in sorted({0, 1, 31, 33, 99, 4096, 5000, size // 2, size - 4200, size - 1, size}):
        here = tmp_path / f"cut{cut}"
        here.mkdir()
        for name, data in whole.items():
            (here / name).write_bytes(data[: max(0, cut)] if name == "spool" + tail else data)
        with open_spool(here / "spool") as spool:
            if spool.epoch == epoch:
                assert spool.last_seq == last_seq, f"cut at {cut}: numbers would be given twice"
                assert spool.checkpoint("n") == str(commits - 1).encode()
                assert len(spool.pending(9999)) == commits
            elif spool.set_aside is None:
                assert len(spool.pending(9999)) == int(spool.checkpoint("n") or b"-1") + 1
            else:
                assert spool.last_seq == 0
            spool.commit([draft(1)], now_ms=0)


def test_noise_in_the_file_never_stops_a_start(tmp_path: Path) -> None:
    _abandon(tmp_path / "spool", tmp_path / "copy", commits=150)
    whole = {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()}
    choose = random.Random(1)
    for n in range(20):
        here = tmp_path / f"noise{n}"
        here.mkdir()
        for name, data in whole.items():
            bytes_ = bytearray(data)
            if name != "spool.mark" and bytes_:
                at = choose.randrange(len(bytes_))
                bytes_[at : at + 600] = choose.randbytes(len(bytes_[at : at + 600]))
            (here / name).write_bytes(bytes_)
        with open_spool(here / "spool") as spool:
            spool.commit([draft(1)], now_ms=0)
            assert spool.pending(1)


def test_an_untrusted_file_is_set_aside_and_two_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    epochs = set()
    for n in range(1, 5):
        path.write_bytes(b"this is no spool %d" % n)
        with open_spool(path) as spool:
            assert spool.set_aside == tmp_path / f"spool.corrupt-{n}"
            epochs.add(spool.epoch)
    assert len(epochs) == 4
    assert sorted(p.name for p in tmp_path.glob("*.corrupt-*")) == ["spool.corrupt-3", "spool.corrupt-4"]
    assert (tmp_path / "spool.corrupt-4").read_bytes() == b"this is no spool 4"


def _spool_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _put_back(folder: Path, files: dict[str, bytes]) -> None:
    """As a copy tool does: the files are new ones."""
    for file in list(folder.iterdir()):
        file.unlink()
    for name, data in files.items():
        (folder / f"{name}.new").write_bytes(data)
        (folder / f"{name}.new").rename(folder / name)


@pytest.mark.parametrize("how", ["the database alone", "every file", "another start of the machine", "no mark"])
def test_a_restored_spool_goes_on_under_a_new_epoch_and_keeps_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path, boot = tmp_path / "disk" / "spool", tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(lives, "BOOT_ID", boot)
    with open_spool(path) as spool:
        spool.commit([draft(4), draft(3)], checkpoints={"n": b"7"}, now_ms=0)
        first = spool.epoch
    image = _spool_files(path.parent)
    with open_spool(path) as spool:
        assert spool.epoch == first, "a restart alone is no reason"
        spool.commit([draft(4)], checkpoints={"n": b"11"}, now_ms=0)
    if how == "the database alone":
        path.write_bytes(image["spool"])
    elif how == "no mark":
        path.with_name("spool.mark").unlink()
    elif how == "every file":
        _put_back(path.parent, image)
    else:  # an image of the whole disk has the same inodes; that it was put back shows in the machine's new start
        for name, data in image.items():
            (path.parent / name).write_bytes(data)
        boot.write_text("second\n")
    with open_spool(path) as spool:
        second, n = spool.epoch, 11 if how == "no mark" else 7
        assert second != first
        assert spool.set_aside is None
        assert (spool.last_seq, spool.checkpoint("n")) == (n, str(n).encode())
    with open_spool(path) as spool:
        assert spool.epoch not in (first, second), "nothing was sealed under it, so nothing remembers it"
        third = spool.epoch
        spool.commit([draft(2)], now_ms=0)
    with open_spool(path) as spool:
        assert spool.epoch == third
        assert [(b.epoch, b.first_seq) for b in spool.pending(2)] == [(first, 1), (first, 5)]
        last = spool.pending(9)[-1]
        assert (last.epoch, last.first_seq, last.last_seq) == (third, n + 1, n + 2)
        assert spool.delete(third, [(1, 4), (5, 7)]) == 0
        assert spool.delete(first, [(n + 1, n + 2)]) == 0
        assert spool.delete(first, [(1, 4), (5, 7)]) == 2
        assert spool.delete(third, [(n + 1, n + 2)]) == 1


def test_a_life_with_nothing_waiting_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = tmp_path / "boot_id"
    monkeypatch.setattr(lives, "BOOT_ID", boot)
    epochs = []
    for n in range(40):
        boot.write_text(str(n))
        with open_spool(tmp_path / "disk" / "spool") as spool:
            epochs.append(spool.epoch)
            spool.commit([draft(2)], now_ms=0)
            if n < 37:
                spool.delete(spool.epoch, [(b.first_seq, b.last_seq) for b in spool.pending(9)])
            assert len(spool._lives) < 5
    assert len(set(epochs)) == 40
    with open_spool(tmp_path / "disk" / "spool") as spool:
        assert [b.epoch for b in spool.pending(9)] == epochs[-3:]


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    open_spool(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=2")
    db.close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ContractError, match="schema 2, this program knows up to 1"):
        open_spool(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool") as spool:
        spool.commit([draft(1)], now_ms=0)
        with pytest.raises(UsageError, match="another process has it open"):
            open_spool(tmp_path / "spool")
        assert len(spool.pending(9)) == 1


def test_a_folder_without_rights_is_a_usage_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "spool").mkdir()  # root may write anywhere: a folder in the way will do
    else:
        tmp_path.chmod(0o500)
    with pytest.raises((UsageError, PermissionError)):
        open_spool(tmp_path / "spool")
    tmp_path.chmod(0o700)


def test_too_small_a_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="max_bytes: 1000 is less than 262144"):
        open_spool(tmp_path / "spool", max_bytes=1000)


@pytest.mark.parametrize(("kind", "rows"), [("log", 1), ("rec", 0)])
def test_a_bad_draft_is_refused(kind: str, rows: int) -> None:
    with pytest.raises(ValueError, match=r"kind|rows"):
        draft(rows, kind=kind)


# ---- what may not leave any more


def test_raw_windows_go_before_records(tmp_path: Path) -> None:
    with open_spool(tmp_path / "spool", max_bytes=256 * 1024) as spool:
        spool.commit([draft(1, size=4000), draft(1, kind="raw", size=4000)], now_ms=0)
        for _ in range(60):
            spool.commit([draft(1, kind="ev", size=4000)], now_ms=0)
        kept = spool.pending(999)
        assert {gap.kind for gap in map(gap_of, kept) if gap} >= {"raw"}
        assert "raw" not in {batch.kind for batch in kept}


def test_what_is_withdrawn_is_not_handed_out_and_is_named_with_the_next_commit(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with open_spool(path) as spool:
        spool.commit([draft(2), draft(1, kind="raw"), draft(1, kind="raw"), draft(3)], now_ms=0)
    with open_spool(path) as spool:
        spool.withdraw("raw", checkpoint=("", b"narrow"))
        assert [batch.first_seq for batch in spool.pending(9)] == [1, 5], "before anything is written, too"
        assert spool.checkpoint("") is None
        spool.commit([draft(1, kind="raw")], checkpoints={"s": b"1"}, now_ms=0)
        assert [batch.kind for batch in spool.pending(9)] == ["rec", "rec", "raw", "ev"], "what is new may go"
        [gap] = [gap for gap in map(gap_of, spool.pending(9)) if gap]
        assert gap == Gap(kind="raw", first_seq=3, last_seq=4, rows=2)
        assert spool.checkpoints() == {"": b"narrow", "s": b"1"}
        spool.commit([draft(1, kind="raw")], now_ms=0)
        assert [batch.kind for batch in spool.pending(9)].count("raw") == 2


def test_a_commit_that_fails_withdraws_nothing_and_the_next_one_does(tmp_path: Path) -> None:
    def fail(_: int) -> bytes:
        raise RuntimeError("no payload")

    with open_spool(tmp_path / "spool") as spool:
        spool.commit([draft(1, kind="raw")], now_ms=0)
        spool.withdraw("raw", checkpoint=("", b"narrow"))
        with pytest.raises(RuntimeError, match="no payload"):
            spool.commit([Draft(kind="rec", stream="s", rows=1, encode=fail)], now_ms=0)
        assert spool.pending(9) == []
        spool.commit([], now_ms=0)
        assert [gap.rows for gap in map(gap_of, spool.pending(9)) if gap] == [1]
