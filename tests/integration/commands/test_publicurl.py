"""Siblings that those without keys read below ``publicurl``, where S3 does not let them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.commands.helpers import BOTH_TYPES, enable, setup
from tests.support.cdn import Cdn
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


def allow_this_machine(repo: AnnexRepo) -> None:
    repo.run("git", "config", "annex.security.allowed-ip-addresses", "all")


@pytest.mark.thorough
@BOTH_TYPES
def test_clones_enable_what_is_proven_to_be_readable(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, remote_type: str
) -> None:
    allow_this_machine(annex)
    with Cdn(keys, bucket_name) as cdn:
        given = {"publicurl": cdn.url}
        (record,) = setup(annex, keys, bucket_name, settings=given, remote_type=remote_type)
        assert record["autoenable"] is True, record

        cdn.instead = lambda _: (200, {}, b"<h1>For sale</h1>")
        (record,) = setup(
            annex, keys, bucket_name, settings=given, remote_type=remote_type, name="b", prefix="b/"
        )
        assert record["autoenable"] is False, record


def test_a_clone_without_keys_enables_it(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    with Cdn(keys, bucket_name) as cdn:
        setup(annex, keys, bucket_name, settings={"publicurl": cdn.url}, autoenable="no")
        annex.add("data", b"some content")
        annex.annex("copy", "--to", "s3", "data")
        clone = annex.clone(tmp_path / "clone")
        allow_this_machine(clone)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("AWS_ACCESS_KEY_ID")
            patch.delenv("AWS_SECRET_ACCESS_KEY")

            cdn.instead = lambda _: (404, {}, b"")
            (record,) = enable(clone)
            assert record["status"] == "impossible", record
            cdn.instead = lambda _: None
            (record,) = enable(clone)

            assert record["status"] == "ok", record
            assert "anonymous" in record["credential_source"]
            clone.annex("get", "data")
            assert (clone.path / "data").read_bytes() == b"some content"
            assert all("authorization" not in headers for *_, headers in cdn.asked)
            assert enable(clone)[0]["status"] == "notneeded"
