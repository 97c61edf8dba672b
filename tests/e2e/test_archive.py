"""Content in an archive class: refused with what to do, restored on request, and got afterwards.

moto is the server: it answers GET of an archived object with InvalidObjectState, and restores at once.
A restore that takes its time is shown on the wire in tests/unit/transfer/test_restoring.py.
"""

from __future__ import annotations

import secrets

import pytest

from tests.integration.commands.helpers import QUIET
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint


@pytest.fixture
def archived(annex: AnnexRepo, moto: Endpoint, bucket_name: str) -> AnnexRepo:
    annex.init_s3x(moto, bucket_name, "storageclass=GLACIER")
    annex.add("a", b"12345")
    annex.annex("copy", "--to=s3", "a")
    annex.annex("drop", "a")
    return annex


def test_an_archived_object_is_there_and_cannot_be_read(archived: AnnexRepo) -> None:
    key = archived.annex("lookupkey", "a").stdout.strip()

    got = archived.annex("get", "a", check=False)

    assert got.returncode
    assert "must be restored before it can be read" in got.stdout + got.stderr
    assert "datalad s3-restore" in got.stdout + got.stderr
    archived.annex("checkpresentkey", key, "s3")


def test_restore_yes_asks_once_and_the_next_get_succeeds(archived: AnnexRepo) -> None:
    archived.annex("enableremote", "s3", "restore=yes")

    first = archived.annex("get", "a", check=False)
    second = archived.annex("get", "a")

    assert first.returncode
    assert "is being restored from GLACIER" in first.stdout + first.stderr
    assert second.returncode == 0
    assert (archived.path / "a").read_bytes() == b"12345"


def test_all_chunks_of_a_file_are_asked_for_at_once(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    annex.run("git", "config", "annex.s3-restore-tier", "bulk")
    annex.run("git", "config", "remote.s3.annex-s3-restore-days", "3")
    content = secrets.token_bytes(250_000)
    with Relay(moto.url) as relay:
        annex.init_s3x(
            moto, bucket_name, f"endpoint={relay.url}", "storageclass=DEEP_ARCHIVE>=1kB",
            "restore=yes", "chunk=100kB",
        )  # fmt: skip
        annex.add("a", content)
        annex.annex("copy", "--to=s3", "a", env={"S3X_TRUST_ENDPOINT": relay.url})
        annex.annex("drop", "a")

        first = annex.annex("get", "a", check=False)
        asked = [path for method, path in relay.requests if method == "POST" and "restore" in path]
        annex.annex("get", "a")

    assert "(3 objects)" in first.stdout + first.stderr
    assert len(asked) == len(set(asked)) == 3
    assert (annex.path / "a").read_bytes() == content


def test_an_exported_file_is_restored_too(annex: AnnexRepo, moto: Endpoint, bucket_name: str) -> None:
    annex.init_s3x(moto, bucket_name, "storageclass=GLACIER", "exporttree=yes", "restore=yes")
    annex.add("a", b"12345")
    annex.annex("export", "HEAD", "--to=s3")
    annex.annex("drop", "--force", "a")

    first = annex.annex("get", "--from=s3", "a", check=False)
    annex.annex("get", "--from=s3", "a")

    assert "is being restored from GLACIER" in first.stdout + first.stderr


def test_what_git_remote_annex_keeps_is_never_archived(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(moto, bucket_name, "storageclass=GLACIER", name="origin2")
    annex.annex("enableremote", "origin2", "--with-url")
    annex.add("a", b"12345")

    annex.run("git", "push", "-q", "origin2", "main")
    annex.run("git", "fetch", "-q", "origin2")


@pytest.mark.parametrize("server", ["seaweed", pytest.param("rclone", marks=pytest.mark.thorough)])
def test_where_nothing_is_archived_content_is_read_at_once_and_nothing_can_be_restored(
    annex: AnnexRepo, request: pytest.FixtureRequest, bucket_name: str, server: str
) -> None:
    """These servers keep the name of a storage class, and the content as any other."""
    from datalad_s3ext.commands.s3_restore import S3Restore

    endpoint: Endpoint = request.getfixturevalue(server)
    annex.init_s3x(endpoint, bucket_name, "storageclass=GLACIER", "restore=yes")
    annex.add("a", b"12345")
    annex.annex("copy", "--to=s3", "a")
    annex.annex("drop", "a")

    (record,) = S3Restore()([str(annex.path / "a")], dataset=str(annex.path), **QUIET)
    annex.annex("get", "a")

    assert record["status"] == "error"
    assert "this service cannot do it: MethodNotAllowed" in record["message"]
    assert (annex.path / "a").read_bytes() == b"12345"
