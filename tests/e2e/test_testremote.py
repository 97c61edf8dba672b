"""git-annex's own conformance suite for special remotes, on each real server."""

from __future__ import annotations

import pytest

from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server, pytest.mark.slow]


@pytest.mark.parametrize("prefix", ["", pytest.param("a/b/", marks=pytest.mark.thorough)])
def test_all_573_cases_pass(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str, prefix: str
) -> None:
    annex.init_s3x(endpoint, bucket_name, *([f"fileprefix={prefix}"] if prefix else []))

    done = annex.annex("testremote", "--size=999B", "s3", check=False)

    assert "All 573 tests passed" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode == 0


def test_the_125_fast_cases_pass_at_real_size(
    annex: AnnexRepo, endpoint: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(endpoint, bucket_name)

    done = annex.annex("testremote", "--fast", "s3", check=False)

    assert "All 125 tests passed" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode == 0
