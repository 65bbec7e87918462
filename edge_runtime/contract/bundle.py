"""The bundle file `.elb`: ustar, one byte string for one content. See FORMAT.md section "container".

One rule: nothing is believed before its hash is right, and nothing is read before its size is within limits.
What the members mean is for `engines`; whether a signature is true is for `update`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence

from edge_runtime.contract.document import read_json, write_json
from edge_runtime.contract.manifest import CHUNK_BYTES, Manifest, Member
from edge_runtime.errors import ContractError, TrustError
from edge_runtime.lean import TYPE_CHECKING, Final, dataclass, sha256

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Baseline
    from edge_runtime.contract.golden import Golden
    from edge_runtime.contract.order import Signature
    from edge_runtime.contract.program import Program

BLOCK: Final = 512
Keep = Callable[["Manifest"], Collection[str]]
"""Names the members to keep of a bundle that is read."""
PIECE_BYTES: Final = 8192
"""What is asked for at once: a multiple of `BLOCK`, so small that reading a bundle leaves no mark on a small device."""
MAX_MANIFEST_BYTES: Final = 2**20
MAX_SIGNATURES_BYTES: Final = 16384
MAX_BUNDLE_BYTES: Final = 64 * 2**20
"""Default limit of a whole file."""

_OCTAL = b"01234567"
_ZEROS = bytes(BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A verified bundle in memory.

    Attributes:
        manifest: Decoded from `manifest_bytes`.
        manifest_bytes: As they stood in the file; what signatures are over.
        members: Name -> bytes, in the order of the manifest; all of them, or those that its reader was to keep.
        signatures: As found; nobody has checked them yet.
        signatures_bytes: The file that they stood in, b"" for none.
    """

    manifest: Manifest
    manifest_bytes: bytes
    members: dict[str, bytes]
    signatures: tuple[Signature, ...] = ()
    signatures_bytes: bytes = b""

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's bytes: the name of this bundle."""
        return sha256(self.manifest_bytes).hexdigest()

    def program(self) -> Program:
        """Member `program.json`, decoded."""
        from edge_runtime.contract.program import Program

        return Program.from_bytes(self.members["program.json"])

    def baseline(self) -> Baseline:
        """Member `baseline.json`, decoded."""
        from edge_runtime.contract.baseline import Baseline

        return Baseline.from_bytes(self.members["baseline.json"])

    def matched_baseline(self) -> Baseline:
        """The baseline with the strata of member `strata.json`, where there is one: for who compares, not who counts.

        Raises:
            ContractError: A member is malformed, or they do not fit together.
        """
        from edge_runtime.contract.strata import MEMBER, Strata, matched

        baseline = self.baseline()
        return matched(baseline, Strata.from_bytes(self.members[MEMBER])) if MEMBER in self.members else baseline

    def golden(self) -> Golden:
        """Member `golden.json`, decoded."""
        from edge_runtime.contract.golden import Golden

        return Golden.from_bytes(self.members["golden.json"])


def members_of(members: Mapping[str, bytes]) -> tuple[Member, ...]:
    """The manifest's description of `members`, in their order."""
    return tuple(
        Member(
            name=name,
            length=len(data),
            sha256=sha256(data).hexdigest(),
            chunks=tuple(sha256(data[at : at + CHUNK_BYTES]).hexdigest() for at in range(0, len(data), CHUNK_BYTES)),
        )
        for name, data in members.items()
    )


def pack(manifest: Manifest, members: Mapping[str, bytes], signatures: Sequence[Signature] = ()) -> bytes:
    """The bytes of a bundle file; equal content gives equal bytes.

    Raises:
        ContractError: `members` are not the ones that the manifest names, in name, content or number.
    """
    if members.keys() != {member.name for member in manifest.members}:
        raise ContractError(f"bundle: manifest names {[m.name for m in manifest.members]}, got {list(members)}")
    for member in manifest.members:
        if members_of({member.name: members[member.name]}) != (member,):
            raise ContractError(f"bundle: {member.name} is not what the manifest describes")
    files = {"manifest.json": manifest.to_bytes()} | {m.name: members[m.name] for m in manifest.members}
    if len(files["manifest.json"]) > MAX_MANIFEST_BYTES:
        raise ContractError(f"bundle: manifest.json: {len(files['manifest.json'])} bytes, limit {MAX_MANIFEST_BYTES}")
    if signatures:
        from edge_runtime.contract.order import check_signatures, signature_items

        check_signatures(tuple(signatures))
        files["signatures.json"] = write_json("signatures", {"signatures": signature_items(tuple(signatures))}, {})
    parts = [_header(name, len(data)) + data + bytes(-len(data) % BLOCK) for name, data in files.items()]
    return b"".join([*parts, _ZEROS, _ZEROS])


def unpack(
    data: bytes,
    *,
    digest: str | None = None,
    max_bytes: int = MAX_BUNDLE_BYTES,
    keep: Keep | None = None,
) -> Bundle:
    """The bundle in `data`.

    Args:
        data: A whole file.
        digest: The bundle's digest as known from a trusted place; None believes the manifest as it is.
        max_bytes: Greatest file [bytes].
        keep: Names the members that the bundle shall hold; None: all. All are checked.

    Raises:
        TrustError: A hash is wrong; names member and chunk.
        ContractError: The structure is wrong, truncated, or over a limit.
    """
    reader = Unpacker(digest, max_bytes=max_bytes, keep=keep)
    reader.feed(data)
    return reader.finish()


class Unpacker:
    """Reads a bundle file piece by piece and stops at the first wrong byte.

    Feed it the file's bytes in order, in pieces of any size, then call `finish`. It buffers at most one chunk
    or the manifest beside the members it has verified. After an error it stays broken.
    """

    def __init__(self, digest: str | None, *, max_bytes: int, keep: Keep | None = None) -> None:
        """`digest` and `max_bytes` as of `unpack`; `keep` names the members to keep, None: all."""
        self._digest, self._keep = digest, keep
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._taken = 0
        self._bundle: Bundle | None = None
        self._error: ContractError | TrustError | None = None
        self._steps = self._read()
        self._want = next(self._steps)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            TrustError: A hash is wrong; names member and chunk.
            ContractError: The structure is wrong or over a limit.
        """
        if self._error is not None:
            raise self._error
        try:
            self._feed(memoryview(chunk))
        except (ContractError, TrustError) as error:
            self._error = error
            raise

    def finish(self) -> Bundle:
        """The bundle, after the last byte.

        Raises:
            ContractError: The file is truncated.
        """
        if self._error is not None:
            raise self._error
        if self._bundle is None:
            raise ContractError(f"bundle: truncated at byte {self._taken + len(self._buffer)}")
        return self._bundle

    def _feed(self, chunk: memoryview) -> None:
        at = 0
        while at < len(chunk):
            if self._bundle is not None:
                raise ContractError(f"bundle: bytes after the end at {self._taken}")
            part = chunk[at : at + self._want - len(self._buffer)]
            self._buffer += part
            at += len(part)
            if len(self._buffer) == self._want:
                piece = bytes(self._buffer)
                self._buffer.clear()
                self._taken += len(piece)
                try:
                    self._want = self._steps.send(piece)
                except StopIteration as end:
                    self._bundle = end.value

    def _read(self) -> Generator[int, bytes, Bundle]:
        """Yields how many bytes it wants next, is sent exactly those, returns the bundle."""
        length = _file_size((yield BLOCK), "manifest.json", min(MAX_MANIFEST_BYTES, self._max_bytes))
        manifest_bytes = _unpad((yield _padded(length)), length, "manifest.json")
        found = sha256(manifest_bytes).hexdigest()
        if self._digest is not None and found != self._digest:
            raise TrustError(f"bundle: manifest.json: digest {found}, want {self._digest}")
        manifest = Manifest.from_bytes(manifest_bytes)
        total = _size(length, manifest)
        if total > self._max_bytes:
            raise ContractError(f"bundle: {total} bytes or more by its manifest, limit {self._max_bytes}")
        members: dict[str, bytes] = {}
        kept = self._keep(manifest) if self._keep else [member.name for member in manifest.members]
        for member in manifest.members:
            data = yield from _read_member(member, is_kept=member.name in kept)
            if member.name in kept:
                members[member.name] = data
        signed = b""
        block = yield BLOCK
        if block != _ZEROS:
            length = _file_size(block, "signatures.json", min(MAX_SIGNATURES_BYTES, self._max_bytes - total))
            signed = _unpad((yield _padded(length)), length, "signatures.json")
            block = yield BLOCK
        if block != _ZEROS or (yield BLOCK) != _ZEROS:
            raise ContractError("bundle: want two zero blocks at the end")
        return Bundle(
            manifest=manifest,
            manifest_bytes=manifest_bytes,
            members=members,
            signatures=_signatures(signed) if signed else (),
            signatures_bytes=signed,
        )


def _read_member(member: Member, *, is_kept: bool) -> Generator[int, bytes, bytes]:
    if (yield BLOCK) != _header(member.name, member.length):
        raise ContractError(f"bundle: {member.name}: its header is not the one for {member.length} bytes")
    is_cut, whole, parts = len(member.chunks) > 1, sha256(), []
    for i, want in enumerate(member.chunks):
        length = min(CHUNK_BYTES, member.length - i * CHUNK_BYTES)
        chunk = sha256() if is_cut else whole  # the only one is the whole
        for at in range(0, length, PIECE_BYTES):
            size = min(PIECE_BYTES, length - at)
            part = _unpad((yield _padded(size)), size, member.name)
            chunk.update(part)
            if is_cut:
                whole.update(part)
            if is_kept:
                parts.append(part)
        if chunk.hexdigest() != want:
            raise TrustError(f"bundle: {member.name}: chunk {i} of {len(member.chunks)} is not the one in the manifest")
    if whole.hexdigest() != member.sha256:
        raise TrustError(f"bundle: {member.name}: SHA-256 {whole.hexdigest()}, want {member.sha256}")
    return b"".join(parts)


def _header(name: str, length: int) -> bytes:
    """The ustar header of a plain file, every other field at its constant (POSIX.1-1988 ustar)."""
    numbers = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % length + b"00000000000\0"
    head = name.encode().ljust(100, b"\0") + numbers
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    checksum = sum(head) + 8 * ord(" ") + sum(tail)
    return head + b"%06o\0 " % checksum + tail


def _file_size(block: bytes, name: str, limit: int) -> int:
    """The length in `block`, which must be exactly the header of a file `name` of up to `limit` bytes."""
    size = block[124:136]
    length = int(size[:11], 8) if not size[:11].strip(_OCTAL) and size[11:] == b"\0" else -1
    if length < 1 or block != _header(name, length):
        raise ContractError(f"bundle: want the header of {name}, got {block[:100].rstrip(bytes(1))[:40]!r}")
    if length > limit:
        raise ContractError(f"bundle: {name}: {length} bytes, limit {limit}")
    return length


def _unpad(piece: bytes, length: int, name: str) -> bytes:
    if any(piece[length:]):
        raise ContractError(f"bundle: {name}: its padding is not zero")
    return piece[:length]


def _padded(length: int) -> int:
    return length + -length % BLOCK


def _size(manifest_length: int, manifest: Manifest) -> int:
    """Bytes of the file without signatures."""
    sizes = [manifest_length, *(member.length for member in manifest.members)]
    return sum(BLOCK + _padded(size) for size in sizes) + 2 * BLOCK


def _signatures(data: bytes) -> tuple[Signature, ...]:
    from edge_runtime.contract.order import check_signatures, take_signatures

    fields = read_json(data, "signatures")
    found = take_signatures(fields, what="signatures")
    check_signatures(found)
    return found
