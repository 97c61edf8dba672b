"""Whether content is what a key demands, against the keys that git-annex makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.repo.digests import ALGORITHMS, KeyDigest, key_digest
from datalad_s3ext.repo.keys import parse_key

CONTENT = b"content of a file\n"
SHA256 = "7a5e1f5db8a1b5c8bb1d3f5f6b0b1f0e4d3c2b1a09f8e7d6c5b4a39281706f5e"
PLAIN = tuple(ALGORITHMS)
UNKNOWN = (
    "SKEIN256", "SKEIN512E", "BLAKE2BP512", "BLAKE2SP256", "BLAKE2SP224E", "BLAKE3_256", "XXH3E", "WORM",
)  # fmt: skip


def digest_of(key: str) -> KeyDigest | None:
    return key_digest(parse_key(key), key)


def calculated_key(backend: str, file: Path) -> str:
    done = subprocess.run(
        ["git", "annex", "calckey", f"--backend={backend}", file.name],
        cwd=file.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repo")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "annex", "init", "-q"], cwd=folder, check=True)
    (folder / "f.tar.gz").write_bytes(CONTENT)
    return folder / "f.tar.gz"


@pytest.mark.annex
def test_every_key_that_git_annex_makes_is_judged_as_git_annex_would(file: Path) -> None:
    assert len(PLAIN) == 18
    for backend in (*PLAIN, *(f"{name}E" for name in PLAIN)):
        digest = digest_of(calculated_key(backend, file))
        assert digest is not None, backend
        digest.update(CONTENT[:5])
        digest.update(memoryview(CONTENT)[5:])
        digest.check()

        digest.update(b"\0")
        with pytest.raises(IntegrityError, match=backend):
            digest.check()


@pytest.mark.annex
@pytest.mark.parametrize("backend", UNKNOWN)
def test_what_python_cannot_compute_is_not_judged(file: Path, backend: str) -> None:
    assert digest_of(calculated_key(backend, file)) is None


@pytest.mark.parametrize(
    "key",
    [
        f"SHA256-s9-S5-C1--{SHA256}",
        f"SHA256-s9-C1--{SHA256}",
        f"SHA256-s9-S5--{SHA256}",
        f"GPGHMACSHA1--{SHA256[:40]}",
        f"GPGHMACSHA256--{SHA256}",
        "URL--http&c%%example.org%f",
        "VURL--http&c%%example.org%f",
        "XANY--name",
        "GITMANIFEST--e3d1a2b0-0000-4000-8000-000000000000",
        "GITBUNDLE-s5--e3d1a2b0-0000-4000-8000-000000000000",
        f"SHA256-s5--{SHA256[:-1]}",
        f"SHA256-s5--{SHA256}0",
        f"SHA256-s5--{SHA256.upper()}",
        f"SHA256-s5--{SHA256}.txt",
        f"SHA256-s5--\\{SHA256}",
        f"SHA256EE-s5--{SHA256}",
        f"sha256-s5--{SHA256}",
        "SHA256-s5--",
        SHA256,
        "",
    ],
)
def test_keys_that_name_other_bytes_or_no_checksum_are_not_judged(key: str) -> None:
    assert digest_of(key) is None


def test_a_bundle_of_git_history_is_judged_by_the_end_of_its_name() -> None:
    known = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # of b"content"
    digest = digest_of(f"GITBUNDLE-s7--e3d1a2b0-0000-4000-8000-000000000000-{known}")

    assert digest is not None
    digest.update(b"content")
    digest.check()


def test_it_can_begin_anew() -> None:
    digest = digest_of("MD5E-s3--900150983cd24fb0d6963f7d28e17f72.tar.gz")
    assert digest is not None
    digest.update(b"something else")

    digest.begin()
    digest.update(b"abc")

    digest.check()


def test_the_whole_hash_counts_not_its_beginning() -> None:
    digest = digest_of("MD5-s3--900150983cd24fb0d6963f7d28e17f73")
    assert digest is not None
    digest.update(b"abc")

    with pytest.raises(IntegrityError, match="fsck --from"):
        digest.check()
