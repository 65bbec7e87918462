"""A download goes on where it was cut, reads no byte too many, and keeps nothing of what it refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.contract.bundle import Bundle, unpack
from edge_runtime.errors import BudgetError, ContractError, TransportError, TrustError
from edge_runtime.update.fetch import fetch
from tests.update.bundles import packed_bundle
from tests.update.served import Server, serving

DATA = packed_bundle()
DIGEST = unpack(DATA).digest


def get(server: Server, part: Path, *, length: int = len(DATA), max_bytes: int = 1 << 20) -> Bundle:
    return fetch(server.url, part, digest=DIGEST, length=length, max_bytes=max_bytes)


def test_whole_download(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    with serving(DATA) as server:
        assert get(server, part).digest == DIGEST
    assert part.read_bytes() == DATA


def test_cut_connections_are_resumed_where_they_ended(tmp_path: Path) -> None:
    with serving(DATA) as server:
        server.cut_after = [1000, 1, 3000]
        assert get(server, tmp_path / "x.part").digest == DIGEST
        last = len(DATA) - 1
        assert server.asked == [f"bytes={first}-{last}" for first in (0, 1000, 1001, 4001)]


def test_a_server_that_stops_leaves_the_part_for_the_next_time(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    with serving(DATA) as server:
        server.cut_after = [2000, 0]
        with pytest.raises(TransportError, match="nothing comes after byte 2000"):
            get(server, part)
        assert part.read_bytes() == DATA[:2000]
        assert get(server, part).digest == DIGEST
        assert server.asked[-1] == f"bytes=2000-{len(DATA) - 1}"


def test_a_server_without_ranges_is_enough(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(DATA[:1500])
    with serving(DATA) as server:
        server.has_ranges = False
        assert get(server, part).digest == DIGEST
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("start", [b"x" * 700, DATA[:900] + b"torn" * 10, DATA + b"more", b""])
def test_a_part_that_is_wrong_is_fetched_again(tmp_path: Path, start: bytes) -> None:
    """A power cut leaves any bytes in the part; the next try starts over by itself."""
    part = tmp_path / "x.part"
    part.write_bytes(start)
    with serving(DATA) as server:
        assert get(server, part).digest == DIGEST
    assert part.read_bytes() == DATA


def test_no_byte_past_the_ordered_length_is_kept(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    with serving(DATA) as server:
        server.tail = b"z" * 100_000
        assert get(server, part).digest == DIGEST
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("length", [len(DATA) - 1, len(DATA) - 512, 100])
def test_a_length_that_is_too_short_is_refused(tmp_path: Path, length: int) -> None:
    part = tmp_path / "x.part"
    with serving(DATA) as server, pytest.raises(ContractError):
        get(server, part, length=length)
    assert not part.exists()


def test_a_truncated_file_never_becomes_a_bundle(tmp_path: Path) -> None:
    with serving(DATA[:-700]) as server, pytest.raises(TransportError, match="nothing comes after"):
        get(server, tmp_path / "x.part")


def test_another_digest_is_refused_at_the_manifest(tmp_path: Path) -> None:
    part = tmp_path / "x.part"
    with serving(packed_bundle(2)) as server, pytest.raises(TrustError, match="digest"):
        get(server, part)
    assert not part.exists()


def test_limits_are_checked_before_the_first_byte(tmp_path: Path) -> None:
    with serving(DATA) as server:
        with pytest.raises(BudgetError, match="limit is 1000"):
            get(server, tmp_path / "x.part", max_bytes=1000)
        with pytest.raises(BudgetError, match="free"):
            get(server, tmp_path / "x.part", length=1 << 60, max_bytes=1 << 61)
        assert server.asked == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/b.elb", "b.elb", "//x/b.elb"])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ContractError, match="want http"):
        fetch(url, tmp_path / "x.part", digest=DIGEST, length=10, max_bytes=100)


def test_a_server_that_is_away_or_has_nothing_is_a_transport_error(tmp_path: Path) -> None:
    with serving(DATA) as server:
        server.status = 404
        with pytest.raises(TransportError, match="HTTP 404"):
            get(server, tmp_path / "x.part")
    with pytest.raises(TransportError):
        get(server, tmp_path / "x.part")
