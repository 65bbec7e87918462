"""The depot answers ranges as RFC 9110 says, and serves nothing but bundles."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_trainer.rollout.depot import Depot, span
from edge_runtime.errors import UsageError

DATA = bytes(range(256)) * 1000
NAME = "a" * 64 + ".elb"


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    folder = tmp_path / "depot"
    folder.mkdir()
    (folder / NAME).write_bytes(DATA)
    (folder / "fan-1.elb").write_bytes(b"named")
    (folder / "empty.elb").write_bytes(b"")
    (folder / "release.key").write_text("secret")
    (tmp_path / "outside.elb").write_text("secret")
    (folder / "link.elb").symlink_to(tmp_path / "outside.elb")
    with Depot(folder) as running:
        yield running


def ask(depot: Depot, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(depot.url.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for key, value in headers.items():
            connection.putheader(key.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_whole_file(depot: Depot) -> None:
    status, headers, body = ask(depot, f"/{NAME}")
    assert (status, body, headers["Content-Length"]) == (200, DATA, str(len(DATA)))
    assert (headers["ETag"], headers["Accept-Ranges"]) == (f'"{hashlib.sha256(DATA).hexdigest()}"', "bytes")


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=255000-", 255000, 256000),
        ("bytes=255999-999999999", 255999, 256000),
        ("bytes=-10", 255990, 256000),
        ("bytes=-9999999", 0, 256000),
    ],
)
def test_range(depot: Depot, asked: str, first: int, end: int) -> None:
    status, headers, body = ask(depot, f"/{NAME}", Range=asked)
    assert (status, body) == (206, DATA[first:end])
    assert headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(DATA)}"


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=999999-1000000", "bytes=-0"])
def test_range_that_cannot_be_met(depot: Depot, asked: str) -> None:
    status, headers, body = ask(depot, f"/{NAME}", Range=asked)
    assert (status, headers["Content-Range"], body) == (416, f"bytes */{len(DATA)}", b"")


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=a-b", "rows=1-2", "bytes=1-2,5-6", "bytes=" + "9" * 99 + "-"])
def test_range_of_another_form_is_ignored(depot: Depot, asked: str) -> None:
    status, headers, body = ask(depot, f"/{NAME}", Range=asked)
    assert (status, body) == (200, DATA)
    assert "Content-Range" not in headers


def test_range_of_another_version_is_ignored(depot: Depot) -> None:
    assert ask(depot, f"/{NAME}", Range="bytes=1-2", If_Range='"other"')[0] == 200
    tag = ask(depot, f"/{NAME}", method="HEAD")[1]["ETag"]
    assert ask(depot, f"/{NAME}", Range="bytes=1-2", If_Range=tag)[0] == 206


def test_head_has_no_body(depot: Depot) -> None:
    status, headers, body = ask(depot, f"/{NAME}", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(DATA)), b"")


def test_named_and_empty_bundles(depot: Depot) -> None:
    assert ask(depot, "/fan-1.elb")[2] == b"named"
    assert ask(depot, "/empty.elb")[:1] == (200,)
    assert ask(depot, "/empty.elb", Range="bytes=0-")[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "/", "/release.key", "/../outside.elb", "/..%2foutside.elb", "//etc/passwd", "/link.elb", "/none.elb",
        f"/{NAME}/", f"/./{NAME}", f"/{NAME}?x", f"http://x/{NAME}", "/%61.elb", "/.elb", "/" + "a" * 300 + ".elb",
    ],
)  # fmt: skip
def test_anything_else_is_not_there(depot: Depot, path: str) -> None:
    status, _, body = ask(depot, path)
    assert status == 404
    assert b"secret" not in body


def test_other_methods_are_refused(depot: Depot) -> None:
    assert ask(depot, f"/{NAME}", method="DELETE")[0] == 501


def test_only_the_loopback_address_is_the_default(depot: Depot) -> None:
    assert depot.url.startswith("http://127.0.0.1:")


def test_folder_and_port_are_checked(depot: Depot, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        Depot(tmp_path / "absent")
    with pytest.raises(UsageError, match="in use"):
        Depot(tmp_path, port=int(depot.url.rpartition(":")[2]))


def test_span_of_no_header_is_all() -> None:
    assert span(None, 10) == (200, 0, 10)
