"""Reading what only a ``publicurl`` gives, in a clone that has enabled no remote."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalad_s3ext.fs.faults import ContentUnavailable
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from datalad_s3ext.repo.keys import chunk_key
from tests.e2e.export_helpers import export
from tests.support.cdn import Cdn
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.server, pytest.mark.annex]

CONTENT = bytes(range(256)) * 3000
CHUNK_BYTES = 300_000


@pytest.mark.parametrize(
    "layout",
    [
        f"chunk={CHUNK_BYTES}",
        pytest.param("exporttree=yes", marks=pytest.mark.thorough),
        pytest.param("chunk=0", marks=pytest.mark.thorough),
    ],
)
def test_parts_are_read_without_keys(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, tmp_path: Path, layout: str
) -> None:
    annex.add("a b", CONTENT)
    damaged = annex.add("damaged", CONTENT[::-1])
    with Cdn(seaweed, new_bucket) as cdn:
        annex.init_s3x(
            seaweed, new_bucket, layout, f"publicurl={cdn.url}", "fileprefix=p/", "autoenable=false"
        )
        if "exporttree" in layout:
            export(annex)
        else:
            annex.annex("copy", "--to", "s3", ".")
        copy = annex.clone(tmp_path / "copy")
        copy.run("git", "config", "annex.security.allowed-ip-addresses", "all")
        fs = AnnexFileSystem(str(copy.path))

        for start, end in ((0, 10), (299_990, 600_010), (700_000, len(CONTENT))):
            assert fs.cat_file("a b", start, end) == CONTENT[start:end]
        assert fs.cat_file("a b") == CONTENT
        assert all("authorization" not in headers for *_, headers in cdn.asked)
        if layout == f"chunk={CHUNK_BYTES}":
            second = chunk_key(damaged, CHUNK_BYTES, 2)
            boto3_client(seaweed).put_object(Bucket=new_bucket, Key=f"p/{second}", Body=b"short")
            with pytest.raises(ContentUnavailable, match="has 5 bytes"):
                fs.cat_file("damaged", 299_990, 300_010)
