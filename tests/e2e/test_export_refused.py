"""An export to a bucket where nothing may be removed or copied for a while, by real git-annex."""

from __future__ import annotations

import json

import pytest

from tests.e2e.export_helpers import commit, export, in_bucket, init_export
from tests.support.faults import Request, s3_error
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


def removes_or_copies(request: Request) -> bool:
    return request.method == "DELETE" or "x-amz-copy-source" in request.headers


def test_what_could_not_be_removed_is_not_taken_for_its_successor(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str
) -> None:
    """The successor has the same size, so that only the memory of the failure tells them apart."""
    commit(annex, {"f": b"old", "other": b"1"})
    with Relay(any_endpoint.url) as relay:
        init_export(annex, any_endpoint.at(relay.url), bucket_name)
        export(annex)
        commit(annex, {"f": b"new"})
        relay.answer(removes_or_copies, s3_error(403, "AccessDenied"), 1000)

        refused = annex.annex("export", "main", "--to", "s3", "--json", check=False)

        rows = [json.loads(line) for line in refused.stdout.splitlines()]
        said = [(row["command"].split()[0], row["file"], row["success"]) for row in rows]
        assert said == [("unexport", "f", False), ("export", "f", False)]
        assert in_bucket(any_endpoint, bucket_name, {"f"}) == {"f": b"old"}
        assert annex.annex("find", "--in", "s3").stdout.split() == ["other"]
        relay.heal()
        export(annex)
        assert set(annex.annex("find", "--in", "s3").stdout.split()) == {"f", "other"}
    assert in_bucket(any_endpoint, bucket_name, {"f", "other"}) == {"f": b"new", "other": b"1"}
