"""When s3x has to verify, what it verifies with, and what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.errors import LocalError, Unsupported
from datalad_s3ext.remote.local import read_choices
from datalad_s3ext.remote.verifying import required_digest

UUID = "e3d1a2b0-0000-4000-8000-000000000000"
ASIDE = Path(".git/annex/othertmp/GITMANIFEST1-2")
CONTENT = Path(".git/annex/tmp/file")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "verifies"),
    [
        ("true", True), ("yes", True), ("1", True), ("tru", True), ("TRUE", True),
        ("false", False), ("no", False), ("OFF", False), ("0", False), ("", False),
    ],
)  # fmt: skip
def test_only_a_clear_no_is_a_no(repo: Path, value: str, verifies: bool) -> None:
    assert read_choices("s3").verify is False

    subprocess.run(["git", "config", "remote.s3.s3x-verify", value], cwd=repo, check=True)

    assert read_choices("s3").verify is verifies
    assert read_choices("other").verify is False


def test_a_configuration_that_cannot_be_read_is_no_answer(repo: Path) -> None:
    (repo / ".git" / "config").write_text("[remote \n")

    with pytest.raises(LocalError, match="git cannot read its configuration"):
        read_choices("s3")


@pytest.mark.parametrize("name", [UUID, f"{UUID}.bak"])
def test_the_remotes_own_list_of_bundles_needs_no_verification_beside_the_annex(name: str) -> None:
    key = f"GITMANIFEST--{name}"

    assert required_digest(key, ASIDE, UUID) is None
    with pytest.raises(Unsupported, match="cannot verify GITMANIFEST"):
        required_digest(key, CONTENT, UUID)


@pytest.mark.parametrize(
    "key",
    ["GITMANIFEST--another", "GITMANIFEST--", "WORM-s3--file", "URL--x", f"SHA256-s1--{UUID}", ""],
)
def test_everything_else_without_a_checksum_is_refused_wherever_it_goes(key: str) -> None:
    for file in (ASIDE, CONTENT):
        with pytest.raises(Unsupported, match="--verify-by git-annex"):
            required_digest(key, file, UUID)


def test_a_checksum_is_taken_from_the_key() -> None:
    digest = required_digest("MD5E-s3--900150983cd24fb0d6963f7d28e17f72.tar.gz", CONTENT, UUID)

    assert digest is not None
    digest.update(b"abc")
    digest.check()
