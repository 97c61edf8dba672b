"""``--verify-by``: when it is refused, and that it stays in the clone's own configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.commands._verify import SETTINGS
from tests.integration.commands.helpers import enable, objects, setup, state
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

ON = SETTINGS
OFF = dict.fromkeys(SETTINGS)
REFUSED: dict[str, dict[str, Any]] = {
    "built-in": {"remote_type": "S3"},
    "encrypted": {"encryption": "shared"},
    "chunked": {"chunk": "1MiB"},
    "exported": {"more_settings": ["exporttree=yes"]},
    "imported": {"more_settings": ["importtree=yes"]},
}


def switches(repo: AnnexRepo) -> dict[str, str | None]:
    """Return what the local configuration of the remote says."""
    found = {
        name: repo.run("git", "config", "--local", f"remote.s3.{name}", check=False).stdout.strip()
        for name in SETTINGS
    }
    return {name: value or None for name, value in found.items()}


def test_it_is_set_up_and_taken_back(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    (record,) = setup(annex, keys, new_bucket, verify_by="s3x")
    assert (record["status"], record["verify_by"], switches(annex)) == ("ok", "s3x", ON)
    before = state(annex)

    (record,) = setup(annex, keys, new_bucket, verify_by="s3x")
    assert (record["status"], record["verify_by"]) == ("notneeded", "s3x")
    (record,) = setup(annex, keys, new_bucket)  # it stays until it is taken back
    assert (record["status"], record["verify_by"]) == ("notneeded", "s3x")
    assert state(annex) == before

    (record,) = setup(annex, keys, new_bucket, verify_by="git-annex")
    assert (record["status"], record["verify_by"], switches(annex)) == ("ok", "git-annex", OFF)
    assert "git-annex verifies" in record["message"]


def test_enabling_does_it_too(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    setup(annex, keys, new_bucket, verify_by="s3x")
    branch = annex.run("git", "grep", "-h", "", "git-annex", "--", "remote.log").stdout
    assert not any(name in branch for name in SETTINGS)
    clone = annex.clone(tmp_path / "clone")

    (record,) = enable(clone)
    assert (record["status"], record["verify_by"], switches(clone)) == ("ok", "git-annex", OFF)
    (record,) = enable(clone, verify_by="s3x")
    assert (record["status"], record["verify_by"], switches(clone)) == ("ok", "s3x", ON)
    assert "s3x verifies" in record["message"]
    (record,) = enable(clone, verify_by="s3x")
    assert (record["status"], record["verify_by"]) == ("notneeded", "s3x")
    (record,) = enable(clone)
    assert (record["status"], record["verify_by"], switches(clone)) == ("notneeded", "s3x", ON)
    (record,) = enable(clone, name="s3", verify_by="git-annex")
    assert (record["status"], record["verify_by"], switches(clone)) == ("ok", "git-annex", OFF)


def test_a_fresh_clone_is_enabled_and_switched_in_one_go(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    setup(annex, keys, new_bucket)
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")
    clone = annex.clone(tmp_path / "clone")

    (record,) = enable(clone, verify_by="s3x")

    assert (record["status"], switches(clone)) == ("ok", ON)
    clone.annex("get", "data")
    assert (clone.path / "data").read_bytes() == b"some content"


def test_dry_runs_show_it_and_do_nothing(annex: AnnexRepo, keys: Endpoint, new_bucket: str) -> None:
    first = setup(annex, keys, new_bucket, verify_by="s3x", dry_run=True)
    setup(annex, keys, new_bucket)
    before = state(annex)

    again = setup(annex, keys, new_bucket, verify_by="s3x", dry_run=True)
    (record,) = enable(annex, verify_by="s3x", dry_run=True)

    assert state(annex) == before
    for name, value in SETTINGS.items():
        command = f"git config remote.s3.{name} {value}"
        assert command in first[0]["planned"]
        assert command in again[0]["planned"]
        assert command in record["message"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_s3x_could_not_verify_is_refused_and_nothing_is_contacted(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, case: str
) -> None:
    before = (annex.path / ".git" / "config").read_text()
    with Relay(keys.url) as relay:
        (record,) = setup(annex, keys.at(relay.url), bucket_name, verify_by="s3x", **REFUSED[case])
        assert relay.connections == 0

    assert record["status"] == "error", record
    assert "s3x cannot verify what is received" in record["message"]
    assert "--verify-by git-annex" in record["message"]
    assert (annex.path / ".git" / "config").read_text() == before


@pytest.mark.parametrize("case", ["built-in", "encrypted", "chunked"])
def test_so_it_is_for_a_remote_that_is_there(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, case: str
) -> None:
    setup(annex, keys, new_bucket, **REFUSED[case])
    before = state(annex)

    (named,) = enable(annex, name="s3", verify_by="s3x")
    (one_of_all,) = enable(annex, verify_by="s3x")
    (again,) = setup(annex, keys, new_bucket, verify_by="s3x", existing="reconfigure")

    assert [named["status"], one_of_all["status"]] == ["error", "impossible"]
    assert again["status"] == "error"
    assert "'s3' was left as it is: s3x cannot verify" in named["message"]
    assert state(annex) == before


def test_a_remote_that_s3x_verifies_is_not_made_a_chunked_one(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket, verify_by="s3x")

    (record,) = setup(annex, keys, new_bucket, chunk="1MiB", existing="reconfigure")
    assert record["status"] == "error"
    assert "chunks" in record["message"]

    (record,) = setup(
        annex, keys, new_bucket, chunk="1MiB", existing="reconfigure", verify_by="git-annex"
    )
    assert (record["status"], record["verify_by"], switches(annex)) == ("ok", "git-annex", OFF)


def test_chunks_that_git_annex_made_otherwise_never_get_in(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str
) -> None:
    setup(annex, keys, new_bucket, verify_by="s3x")
    annex.annex("enableremote", "s3", "chunk=100000")
    key = annex.add("data", b"1234567890" * 30_000)
    annex.annex("copy", "--to", "s3", "data")
    assert key not in objects(keys, new_bucket)
    annex.annex("drop", "data")

    done = annex.annex("get", "--json", "--json-error-messages", "data", check=False)

    assert done.returncode != 0
    assert "s3x cannot verify" in " ".join(json.loads(done.stdout)["error-messages"])
    setup(annex, keys, new_bucket, verify_by="git-annex", chunk="100000", existing="reconfigure")
    annex.annex("get", "data")
