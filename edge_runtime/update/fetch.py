"""A bundle over HTTP, resumed by range, hashed while it arrives. One rule: no byte past the ordered length is read.

Nothing is trusted because of where it came from: what was on disk before is hashed again with the rest.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.contract.bundle import Bundle, Unpacker
from edge_runtime.errors import BudgetError, ContractError, TransportError, TrustError
from edge_runtime.lean import Protocol

CHUNK_BYTES = 64 << 10
TIMEOUT_S = 30.0


class _Body(Protocol):
    """What is used of an HTTP response."""

    def read(self, n: int, /) -> bytes:
        """Return up to *n* bytes, empty at the end."""


def _check_room(part: Path, url: str, *, length: int, max_bytes: int) -> None:
    """Refuse before the first byte what cannot end well."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ContractError(f"order url {url!r}: want http:// or https://", hint="publish the bundle on a depot")
    if not 0 < length <= max_bytes:
        raise BudgetError(
            f"bundle of {length} bytes, limit is {max_bytes}", hint="raise budget.bundle_bytes or shrink the bundle"
        )
    room = os.statvfs(part.parent)
    free = room.f_bavail * room.f_frsize + (part.stat().st_size if part.exists() else 0)
    if length > free:
        raise BudgetError(f"bundle of {length} bytes, the disk has {free} free", hint="free space on the device")


def fetch(url: str, part: Path, *, digest: str, length: int, max_bytes: int) -> Bundle:
    """Return the verified bundle, whose bytes are then all in *part* (not yet synced).

    A partial file that turns out wrong is fetched once more from the start; a download that is refused leaves none.

    Raises:
        BudgetError: the length is over *max_bytes* or the free space.
        TransportError: the server is away or stops sending; *part* keeps what came.
        ContractError, TrustError: what the server sends is not the bundle *digest*.
    """
    _check_room(part, url, length=length, max_bytes=max_bytes)
    while True:
        resumed = part.exists()
        try:
            return _fetch(url, part, digest=digest, length=length)
        except (ContractError, TrustError):
            part.unlink(missing_ok=True)
            if not resumed:
                raise


def _fetch(url: str, part: Path, *, digest: str, length: int) -> Bundle:
    unpacker = Unpacker(digest, max_bytes=length)
    with part.open("a+b") as file:
        file.seek(0)
        while chunk := file.read(CHUNK_BYTES):
            unpacker.feed(chunk)
        while (have := file.tell()) < length:
            for chunk in _rest(url, have, length):
                unpacker.feed(chunk)
                file.write(chunk)
            if file.tell() == have:
                raise TransportError(f"{url}: nothing comes after byte {have} of {length}", hint="is the bundle there?")
    return unpacker.finish()


def _rest(url: str, start: int, length: int) -> Iterator[bytes]:
    """Yield the bytes *start*..*length* of *url* as far as one connection gives them; a cut just ends them.

    Raises:
        TransportError: the server is away or does not have it.
    """
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{length - 1}"})  # noqa: S310  scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            if response.status == 200:  # a server without ranges starts at 0
                _skip(response, start)
            while start < length and (chunk := response.read(min(CHUNK_BYTES, length - start))):
                start += len(chunk)
                yield chunk
    except urllib.error.HTTPError as error:
        raise TransportError(f"{url}: HTTP {error.code}", hint="publish the bundle on the depot") from error
    except urllib.error.URLError as error:
        raise TransportError(f"{url}: {error.reason}", hint="retried with back-off; is the depot up?") from error
    except (http.client.HTTPException, OSError):
        return  # cut on the way: the next request goes on where this one ended


def _skip(body: _Body, n: int) -> None:
    while n > 0 and (chunk := body.read(min(CHUNK_BYTES, n))):
        n -= len(chunk)
