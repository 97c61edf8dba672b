"""Exported files whose names cannot be kept: refused, and never merged."""

from __future__ import annotations

import pytest

from tests.e2e.export_helpers import commit, export, in_bucket, init_export
from tests.e2e.helpers import object_names
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server, pytest.mark.thorough]


def test_names_that_cannot_be_kept_are_refused_and_never_merged(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    init_export(annex, endpoint, bucket_name)
    commit(annex, {"q\nq": b"with a break", "qq": b"without", "annex-uuid": b"mine", "good": b"good"})

    done = annex.annex("export", "main", "--to", "s3", check=False)

    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert object_names(endpoint, bucket_name) == {"good"}
    assert said.count("git-annex tells names without their line breaks") >= 2
    assert "the file name 'annex-uuid' cannot be kept: special remotes keep their UUID there" in said
    assert "internal error" not in said

    annex.run("git", "mv", "q\nq", "q-q")
    annex.run("git", "mv", "annex-uuid", "other")
    annex.run("git", "commit", "-q", "-m", "renamed")
    export(annex)
    expected = {"q-q": b"with a break", "qq": b"without", "other": b"mine", "good": b"good"}
    assert in_bucket(endpoint, bucket_name, object_names(endpoint, bucket_name)) == expected


def test_a_file_whose_twin_has_a_line_break_stays_when_the_twin_goes(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    init_export(annex, endpoint, bucket_name)
    commit(annex, {"qq": b"without"})
    export(annex)
    commit(annex, {"q\nq": b"with"})
    assert annex.annex("export", "main", "--to", "s3", check=False).returncode != 0
    assert in_bucket(endpoint, bucket_name, {"qq"}) == {"qq": b"without"}
    annex.run("git", "rm", "-q", "q\nq")
    annex.run("git", "commit", "-q", "-m", "gone")

    export(annex)

    assert in_bucket(endpoint, bucket_name, object_names(endpoint, bucket_name)) == {"qq": b"without"}
    annex.run("git", "mv", "qq", "q\nq")
    annex.run("git", "commit", "-q", "-m", "now it has one")
    assert annex.annex("export", "main", "--to", "s3", check=False).returncode != 0
    assert object_names(endpoint, bucket_name) == set()


def test_a_name_that_is_not_utf8_is_refused(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    init_export(annex, endpoint, bucket_name)
    commit(annex, {"n\udcff": b"x", "good": b"good"})

    done = annex.annex("export", "main", "--to", "s3", check=False)

    assert done.returncode != 0
    assert "it is not UTF-8, as the names of objects are" in done.stdout + done.stderr
    assert object_names(endpoint, bucket_name) == {"good"}
