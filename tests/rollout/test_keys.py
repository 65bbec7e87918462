"""Keys are made once, for their owner alone; what they sign, the device's own verifier believes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cloud_trainer.rollout import keys
from edge_runtime.contract.bundle import unpack
from edge_runtime.errors import TrustError, UsageError
from edge_runtime.update.trust import Trust, verify
from tests.update.bundles import packed_bundle


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = keys.create(folder)
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["release.key", "rollout.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    before = [path.read_bytes() for path in files]
    with pytest.raises(UsageError, match=r"exists and is not overwritten"):
        keys.create(folder)
    assert [path.read_bytes() for path in files] == before
    assert keys.public_keys(keys.load(folder)) == keys.public_keys(made)
    assert keys.public_hex(made.release) != keys.public_hex(made.rollout)


def test_one_key_that_exists_is_enough_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "rollout.key").write_text("mine")
    with pytest.raises(UsageError, match=r"rollout\.key"):
        keys.create(tmp_path)
    assert not (tmp_path / "release.key").exists()


@pytest.mark.parametrize("text", ["", "zz", "ab" * 31, "ab" * 33])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, text: str) -> None:
    keys.create(tmp_path)
    (tmp_path / "release.key").write_text(text)
    with pytest.raises(UsageError, match=r"release\.key"):
        keys.load(tmp_path)


def test_missing_keys_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        keys.load(tmp_path)
    assert "keys create" in caught.value.hint


def test_signed_bundle_keeps_its_digest_and_verifies(tmp_path: Path) -> None:
    made = keys.create(tmp_path)
    plain = packed_bundle()
    bundle = unpack(keys.sign_bundle(plain, [keys.signer(made.release)]))
    assert bundle.digest == unpack(plain).digest
    trusted = keys.public_keys(made)["release_keys"]
    assert verify(bundle.manifest_bytes, bundle.signatures, trusted, what="bundle") == bundle.signatures[0].key_id


def test_other_key_other_bytes_and_no_signature_are_refused(tmp_path: Path) -> None:
    made = keys.create(tmp_path)
    release, rollout = (keys.public_keys(made)[f"{role}_keys"] for role in keys.ROLES)
    signature = keys.signer(made.release)(b"payload")
    for payload, signatures, trusted in (
        (b"payload", [signature], rollout),
        (b"Payload", [signature], release),
        (b"payload", [], release),
        (b"payload", [signature], []),
    ):
        with pytest.raises(TrustError, match="no valid signature"):
            verify(payload, signatures, trusted, what="order")


@pytest.mark.parametrize("key", ["", "ab" * 31, "AB" * 32, "zz" * 32])
def test_trust_of_no_key_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="want 64 hex digits"):
        Trust(release_keys=(key,))
