"""Where keys may go is said on this machine; what a git-annex branch may say is found in any writing."""

from pathlib import Path

import pytest

from datalad_s3ext.repo import trust
from tests.support.attacker import UUID, remote_line, write_remote_log
from tests.support.repos import AnnexRepo

pytestmark = pytest.mark.annex

URL = "https://s3.lab.example.org:8443"


def test_trust_is_noted_once_and_for_one_remote(annex: AnnexRepo) -> None:
    git_dir = annex.path / ".git"

    for url in (URL, URL, "https://other.example.org"):
        trust.trust_endpoint(git_dir, UUID, url)

    assert trust.trusted_endpoints(git_dir, UUID) == {URL, "https://other.example.org"}
    assert trust.trusted_endpoints(git_dir, UUID[:-1] + "0") == frozenset()
    config = (annex.path / ".git" / "config").read_text()
    assert config.count(URL) == 1


@pytest.mark.parametrize("uuid", ["", "-h", "a b", "x\ny", "*"])
def test_what_is_no_uuid_is_trusted_nowhere(annex: AnnexRepo, uuid: str) -> None:
    trust.trust_endpoint(annex.path / ".git", uuid, URL)

    assert trust.trusted_endpoints(annex.path / ".git", uuid) == frozenset()


def test_in_doubt_a_place_was_named_by_somebody_else(tmp_path: Path) -> None:
    assert trust.is_recorded_place(tmp_path, UUID, URL)
    assert trust.trusted_endpoints(tmp_path, UUID) == frozenset()


def test_a_remote_that_nobody_has_recorded_is_typed_here(annex: AnnexRepo) -> None:
    assert not trust.is_recorded_place(annex.path / ".git", UUID, URL)


@pytest.mark.parametrize(
    ("parameters", "recorded"),
    [
        ({"endpoint": URL}, True),
        ({"host": "s3.lab.example.org", "port": "8443"}, True),
        ({"host": "S3.Lab.Example.ORG", "port": "08443"}, True),
        ({"host": "s3.l&97;b.ex&0000000097;mple.org", "port": "844&51;"}, True),
        ({"host": "s3.lab.example.org", "port": "8443", "externaltype": "s&51;x"}, True),
        ({"endpoint": "https://s3.other.example.org:8443"}, False),
        ({"endpoint": URL, "type": "S3", "externaltype": ""}, False),
    ],
)
@pytest.mark.parametrize("branch", ["git-annex", "remotes/origin/git-annex"])
def test_a_recorded_place_is_found_however_it_is_written(
    annex: AnnexRepo, parameters: dict[str, str], recorded: bool, branch: str
) -> None:
    write_remote_log(annex, remote_line(parameters), remote_line({}, UUID[:-1] + "0"))
    if branch != "git-annex":
        annex.run("git", "update-ref", f"refs/{branch}", "git-annex")
        annex.run("git", "update-ref", "-d", "refs/heads/git-annex")

    assert trust.is_recorded_place(annex.path / ".git", UUID, URL) == recorded


def test_embedding_is_allowed_for_one_remote(annex: AnnexRepo) -> None:
    trust.allow_embedding(annex.path / ".git", UUID)

    assert trust.is_embedding_allowed(annex.path / ".git", UUID)
    assert not trust.is_embedding_allowed(annex.path / ".git", UUID[:-1] + "0")
