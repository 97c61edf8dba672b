"""Whatever a clone brings as the UUID of a remote: no file outside of git-annex's folder is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.repo import kept_keys, remotes
from datalad_s3ext.repo.folders import annex_folder, as_file_name
from datalad_s3ext.repo.remotes import SpecialRemote
from tests.support.repos import AnnexRepo

A = "7880a225-1bc6-4012-8f21-f4b877be1b6b"
TRAPS = [
    "",
    ".",
    "..",
    "/",
    "../x",
    "a/b",
    "/etc/passwd",
    "a/../../x",
    f"{A}/",
    f"../creds/{A}",
    "a\0b",
]


@pytest.mark.parametrize(
    "uuid", [A, "a", "...", "..a", "a..b", ".hidden", "-rf", "a b", "a\\b", "ä\u202e", "%2e%2e%2f", "~"]
)
def test_what_stays_in_its_folder_can_be_a_files_name(uuid: str, tmp_path: Path) -> None:
    name = as_file_name(uuid)
    (tmp_path / name).touch()

    assert name == uuid
    assert [path.name for path in tmp_path.iterdir()] == [uuid]


@pytest.mark.parametrize("uuid", TRAPS)
def test_what_leads_elsewhere_cannot(uuid: str) -> None:
    with pytest.raises(ConfigError, match="UUID") as raised:
        as_file_name(uuid)

    assert "do not use this remote" in raised.value.remedy
    assert "\0" not in str(raised.value)


@pytest.mark.parametrize("uuid", TRAPS)
def test_no_keys_are_written_or_read_elsewhere(tmp_path: Path, uuid: str) -> None:
    git_dir = tmp_path / "repo" / ".git"
    git_dir.mkdir(parents=True)
    (tmp_path / "x-s3xcreds").write_text("AKID\nsecret\n")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ConfigError):
        kept_keys.read_keys(git_dir, uuid)
    with pytest.raises(ConfigError):
        kept_keys.keep_keys(git_dir, uuid, "AKID", "secret")

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("uuid", "config_uuid"), [("../../victim", None), (A, "../../victim")])
@pytest.mark.parametrize("externaltype", [None, "s3x"])
def test_no_file_elsewhere_is_taken_for_keys_or_removed(
    tmp_path: Path, uuid: str, config_uuid: str | None, externaltype: str | None
) -> None:
    AnnexRepo(tmp_path).run("git", "init", "-q")
    (tmp_path / ".git" / "annex" / "creds").mkdir(parents=True)
    victims = [tmp_path / ".git" / "victim", tmp_path / ".git" / "victim-s3xcreds"]
    for victim in victims:
        victim.write_text("AKID\nsecret\n")
    kind = "S3" if externaltype is None else "external"
    remote = SpecialRemote(uuid, "x", kind, externaltype, {}, config_uuid=config_uuid)

    with pytest.raises(ConfigError):
        remotes.remembered_keys(tmp_path, remote)
    with pytest.raises(ConfigError):
        remotes.forget_keys(tmp_path, remote)

    assert all(victim.exists() for victim in victims)


@pytest.mark.parametrize(
    ("commondir", "expected"),
    [
        (None, "main/.git/worktrees/w/annex"),
        ("../..\n", "main/.git/annex"),
        ("/shared", "/shared/annex"),
    ],
)
def test_worktrees_share_the_folder_of_git_annex(
    tmp_path: Path, commondir: str | None, expected: str
) -> None:
    git_dir = tmp_path / "main" / ".git" / "worktrees" / "w"
    git_dir.mkdir(parents=True)
    if commondir is not None:
        (git_dir / "commondir").write_text(commondir)

    assert annex_folder(git_dir).resolve() == tmp_path / expected
