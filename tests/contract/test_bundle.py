"""The container: what goes in comes out, anything else is refused at the byte where it starts."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.contract.bundle import BLOCK, MAX_MANIFEST_BYTES, Bundle, Unpacker, _header, members_of, pack, unpack
from edge_runtime.contract.canonical import dumps
from edge_runtime.contract.manifest import CHUNK_BYTES, Manifest
from edge_runtime.errors import ContractError, TrustError
from tests.contract.samples import (
    BASELINE,
    BUNDLE,
    CONTAINER,
    GOLDEN_VECTORS,
    MANIFEST,
    MEMBERS,
    PROGRAM,
    SIGNATURES,
)

DIGEST = MANIFEST.digest
UNSIGNED = pack(MANIFEST, MEMBERS)
ORIGINAL = unpack(BUNDLE)
SIGNATURES_AT = len(UNSIGNED) - 2 * BLOCK


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same manifest bytes are decoded once, so that every position of a file can be tried."""
    monkeypatch.setattr(Manifest, "from_bytes", functools.lru_cache(Manifest.from_bytes))


def test_golden_container_of_format_0_1() -> None:
    """These bytes shipped; they never change."""
    data = CONTAINER.read_bytes()
    assert pack(MANIFEST, MEMBERS, SIGNATURES) == data
    bundle = unpack(data, digest=DIGEST)
    assert (bundle.manifest, bundle.manifest_bytes) == (MANIFEST, MANIFEST.to_bytes())
    assert (bundle.members, bundle.signatures) == (MEMBERS, SIGNATURES)
    assert list(bundle.members) == [member.name for member in MANIFEST.members]
    assert bundle.digest == DIGEST == hashlib.sha256(bundle.manifest_bytes).hexdigest()
    assert (bundle.program(), bundle.baseline(), bundle.golden()) == (PROGRAM, BASELINE, GOLDEN_VECTORS)


def test_signatures_are_outside_the_digest() -> None:
    assert unpack(UNSIGNED).digest == unpack(BUNDLE).digest
    assert unpack(UNSIGNED).signatures == ()


def test_python_tarfile_lists_and_reads_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(BUNDLE), mode="r:") as archive:
        assert archive.getnames() == ["manifest.json", *MEMBERS, "signatures.json"]
        for info in archive:
            assert (info.mode, info.uid, info.gid, info.mtime, info.uname, info.gname) == (0o644, 0, 0, 0, "", "")
            assert info.isreg()
        for name, data in MEMBERS.items():
            member = archive.extractfile(name)
            assert member is not None
            assert member.read() == data


@pytest.mark.skipif(shutil.which("tar") is None, reason="SKIP: no tar on this machine")
def test_tar_lists_and_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "fan.elb"
    path.write_bytes(BUNDLE)
    done = subprocess.run(["tar", "-tf", str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["manifest.json", *MEMBERS, "signatures.json"]
    assert done.stderr == ""
    done = subprocess.run(["tar", "-xOf", str(path), "program.json"], capture_output=True, text=True, check=True)
    assert done.stdout.encode() == MEMBERS["program.json"]


def fed(data: bytes, size: int) -> Bundle:
    reader = Unpacker(DIGEST, max_bytes=1 << 20)
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    return reader.finish()


@pytest.mark.parametrize("size", [1, 7, 511, 512, 513, 100_000])
def test_pieces_of_any_size_give_the_same_bundle(size: int) -> None:
    assert fed(BUNDLE, size) == unpack(BUNDLE)


def test_truncated_at_every_byte_is_refused() -> None:
    for data, start in ((BUNDLE, 0), (UNSIGNED, SIGNATURES_AT)):
        reader = Unpacker(DIGEST, max_bytes=1 << 20)
        reader.feed(data[:start])
        for i in range(start, len(data)):
            with pytest.raises(ContractError, match=f"bundle: truncated at byte {i}$"):
                reader.finish()
            reader.feed(data[i : i + 1])
        assert reader.finish().digest == DIGEST


def test_a_changed_byte_anywhere_is_never_silent(quick: None) -> None:
    """All positions. In the signature file it may give other signatures, for a verifier to refuse."""
    names = {}
    for at in range(len(BUNDLE)):
        spoilt = bytearray(BUNDLE)
        spoilt[at] ^= 1 << at % 8
        try:
            bundle = unpack(bytes(spoilt), digest=DIGEST)
        except (TrustError, ContractError) as error:
            names[at] = str(error)
        else:
            assert SIGNATURES_AT + BLOCK <= at < len(BUNDLE) - 2 * BLOCK, f"byte {at} changed silently"
            assert bundle.signatures_bytes != ORIGINAL.signatures_bytes
            assert (bundle.manifest, bundle.members) == (MANIFEST, MEMBERS)
    assert "manifest.json" in names[BLOCK]
    assert "golden.json: chunk 0 of 1" in names[SIGNATURES_AT - BLOCK]


def test_a_changed_byte_without_a_known_digest_is_another_bundle(quick: None) -> None:
    """Nothing to hold the manifest against; but whatever comes out is named by what went in."""
    for at in range(SIGNATURES_AT):
        spoilt = bytearray(BUNDLE)
        spoilt[at] ^= 0x01
        try:
            bundle = unpack(bytes(spoilt))
        except (TrustError, ContractError):
            continue
        assert bundle.digest != DIGEST
        assert bundle.members == MEMBERS


def test_a_flipped_byte_names_member_and_chunk_before_the_next_chunk_is_asked_for() -> None:
    big = MEMBERS | {"model.onnx": bytes(CHUNK_BYTES) + b"x" * 100}
    manifest = dataclasses.replace(MANIFEST, members=members_of(big))
    data = bytearray(pack(manifest, big))
    assert unpack(bytes(data), digest=manifest.digest).members == big
    at = data.index(b"xxxx")
    data[at] ^= 1
    reader = Unpacker(manifest.digest, max_bytes=1 << 20)
    with pytest.raises(TrustError, match=r"bundle: model\.onnx: chunk 1 of 2 is not the one in the manifest"):
        reader.feed(bytes(data[: at + BLOCK]))
    with pytest.raises(TrustError, match="chunk 1 of 2"):
        reader.feed(b"more")
    with pytest.raises(TrustError, match="chunk 1 of 2"):
        reader.finish()


def test_a_member_hash_that_its_chunks_do_not_have_is_refused() -> None:
    member = dataclasses.replace(MANIFEST.members[1], sha256="0" * 64)
    manifest = dataclasses.replace(MANIFEST, members=(MANIFEST.members[0], member, *MANIFEST.members[2:]))
    data = UNSIGNED.replace(file("manifest.json", MANIFEST.to_bytes()), file("manifest.json", manifest.to_bytes()))
    with pytest.raises(TrustError, match=r"bundle: model\.onnx: SHA-256"):
        unpack(data)


def file(name: str, data: bytes) -> bytes:
    """One file as it stands in the archive."""
    return _header(name, len(data)) + data + bytes(-len(data) % BLOCK)


FILES = [file("manifest.json", MANIFEST.to_bytes()), *(file(name, data) for name, data in MEMBERS.items())]
END = bytes(2 * BLOCK)


def rejects(data: bytes, message: str) -> None:
    with pytest.raises((ContractError, TrustError), match=message):
        unpack(data, max_bytes=1 << 21)


def test_the_pieces_of_these_tests_make_a_bundle() -> None:
    assert b"".join(FILES) + END == UNSIGNED


def test_members_missing_extra_twice_or_in_another_order_are_refused() -> None:
    rejects(b"".join(FILES[:-1]) + END, r"golden\.json: its header is not")
    rejects(b"".join([*FILES, file("extra", b"x")]) + END, r"want the header of signatures\.json, got b'extra'")
    rejects(b"".join([*FILES, FILES[-1]]) + END, "want the header of signatures")
    rejects(b"".join([FILES[0], FILES[2], FILES[1], *FILES[3:]]) + END, r"program\.json: its header")
    rejects(b"".join(FILES[1:]) + END, r"want the header of manifest\.json, got b'program\.json'")
    rejects(b"", "truncated at byte 0")


def test_the_end_is_two_zero_blocks_and_nothing_more() -> None:
    rejects(UNSIGNED[:-BLOCK], "truncated")
    rejects(UNSIGNED + b"\0", "bytes after the end")
    rejects(BUNDLE + bytes(BLOCK), "bytes after the end")
    rejects(UNSIGNED[:-1] + b"x", "two zero blocks")
    rejects(b"".join(FILES) + bytes(BLOCK) + FILES[1], "two zero blocks")


def test_signatures_are_limited_well_formed_and_last() -> None:
    rejects(b"".join(FILES) + file("signatures.json", b"{}") + END, "signatures.format")
    rejects(b"".join(FILES) + file("signatures.json", b"x" * 16385) + END, "16385 bytes, limit 16384")
    one = {"key_id": "0" * 16, "sig": "0" * 128}
    for found, message in (([one, one], "stands twice"), ([{**one, "x": 1}], "unknown field 'x'"), ([1], "object")):
        data = dumps({"format": "0.1", "kind": "signatures", "signatures": found})
        rejects(b"".join(FILES) + file("signatures.json", data) + END, message)
    rejects(BUNDLE[: -2 * BLOCK] + BUNDLE[SIGNATURES_AT:], "two zero blocks")


def test_the_manifest_is_limited_before_it_is_read() -> None:
    head = file("manifest.json", bytes(MAX_MANIFEST_BYTES + 1))[:BLOCK]
    rejects(head, f"manifest.json: {MAX_MANIFEST_BYTES + 1} bytes, limit {MAX_MANIFEST_BYTES}")
    with pytest.raises(ContractError, match=r"manifest\.json: \d+ bytes, limit 100"):
        unpack(UNSIGNED, max_bytes=100)


def test_the_whole_file_is_limited_before_a_member_is_read() -> None:
    assert unpack(UNSIGNED, max_bytes=len(UNSIGNED)).digest == DIGEST
    assert unpack(BUNDLE, max_bytes=len(BUNDLE)).digest == DIGEST
    reader = Unpacker(None, max_bytes=len(UNSIGNED) - 1)
    with pytest.raises(ContractError, match=f"{len(UNSIGNED)} bytes or more by its manifest, limit"):
        reader.feed(UNSIGNED[: len(FILES[0])])
    with pytest.raises(ContractError, match="limit"):
        unpack(BUNDLE, max_bytes=len(UNSIGNED))


def test_another_digest_is_refused_before_the_manifest_is_parsed() -> None:
    with pytest.raises(TrustError, match=f"digest {DIGEST}, want {'0' * 64}"):
        unpack(BUNDLE, digest="0" * 64)
    broken = file("manifest.json", b"not even JSON")
    with pytest.raises(TrustError, match="digest"):
        unpack(broken, digest=DIGEST)


def test_a_newer_major_format_says_what_to_do() -> None:
    newer = MANIFEST.to_bytes().replace(b'"format":"0.1"', b'"format":"1.0"')
    with pytest.raises(ContractError, match=r"manifest: format 1\.0: this build reads 0\.x") as caught:
        unpack(file("manifest.json", newer) + b"".join(FILES[1:]) + END)
    assert "update edgeloop" in caught.value.hint


def test_a_newer_minor_format_keeps_its_digest() -> None:
    newer = MANIFEST.to_bytes().replace(b'"format":"0.1"', b'"format":"0.2"')
    bundle = unpack(file("manifest.json", newer) + b"".join(FILES[1:]) + END)
    assert bundle.manifest.to_bytes() == newer
    assert bundle.digest == bundle.manifest.digest == hashlib.sha256(newer).hexdigest()


def test_pack_refuses_what_the_manifest_does_not_say() -> None:
    with pytest.raises(ContractError, match="manifest names"):
        pack(MANIFEST, MEMBERS | {"more": b"x"})
    with pytest.raises(ContractError, match=r"model\.onnx is not what the manifest describes"):
        pack(MANIFEST, MEMBERS | {"model.onnx": b"x"})
    with pytest.raises(ContractError, match="stands twice"):
        pack(MANIFEST, MEMBERS, SIGNATURES[:1] * 2)


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_members_of_every_length_come_back(length: int) -> None:
    members = MEMBERS | {"model.onnx": bytes(i % 251 for i in range(length))}
    manifest = dataclasses.replace(MANIFEST, members=members_of(members))
    assert unpack(pack(manifest, members), digest=manifest.digest).members == members
    chunks = manifest.members[1].chunks
    assert len(chunks) == -(-length // CHUNK_BYTES)
    assert chunks[0] == hashlib.sha256(members["model.onnx"][:CHUNK_BYTES]).hexdigest()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_bytes_give_a_bundle_or_an_error(data: st.DataObject) -> None:
    spoilt = bytearray(BUNDLE)
    at = data.draw(st.integers(0, len(spoilt)))
    spoilt[at : at + data.draw(st.integers(0, 600))] = data.draw(st.binary(max_size=20))
    try:
        bundle = unpack(bytes(spoilt), digest=DIGEST)
    except (ContractError, TrustError):
        return
    assert (bundle.manifest, bundle.members) == (MANIFEST, MEMBERS)


def test_manifest_of_the_sample_is_the_one_in_the_file() -> None:
    assert Manifest.from_bytes(unpack(BUNDLE).manifest_bytes) == MANIFEST
