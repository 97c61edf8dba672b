"""Keys that lie about how large their content is: every way to read them fails, and soon."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from datalad_s3ext.fs.faults import ContentUnavailable
from datalad_s3ext.fs.filesystem import AnnexFileSystem
from tests.integration.fs.scenes import BIG
from tests.integration.fs.test_s3_cat import cat
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.server, pytest.mark.annex, pytest.mark.timeout(60)]
TRUE = BIG[:300_000]
FAR = 10**17
READS: dict[str, Callable[[AnnexFileSystem], Any]] = {
    "cat_file": lambda fs: fs.cat_file("file"),
    "a far part": lambda fs: fs.cat_file("file", FAR, FAR + 10),
    "a long part": lambda fs: fs.cat_file("file", 5, 10**11),
    "open": lambda fs: fs.open("file").read(),
    "in pieces": lambda fs: list(iter(partial(fs.open("file").read, 2**20), b"")),
    "cat_ranges": lambda fs: fs.cat_ranges(
        ["file"] * 2, [0, FAR], [10**18, FAR + 10], on_error="raise"
    ),
}


def claiming(annex: AnnexRepo, seaweed: Endpoint, bucket: str, size: int, *how: str) -> AnnexRepo:
    """Return a data set with a file whose key says `size`; what is in the bucket has 300 kB."""
    annex.init_s3x(seaweed, bucket, *how)
    client = boto3_client(seaweed)
    true = annex.add("true", TRUE)
    annex.annex("move", "true", "--to", "s3")
    claimed = f"SHA256-s{size}--{true.partition('--')[2].partition('.')[0]}"
    for one in client.list_objects_v2(Bucket=bucket)["Contents"]:
        if "--" in one["Key"]:
            middle = one["Key"].partition("--")[0].partition("-S")[2]
            name = claimed.replace("--", f"-S{middle}--") if middle else claimed
            client.copy_object(Bucket=bucket, Key=name, CopySource=f"{bucket}/{one['Key']}")
    annex.annex("fromkey", "--force", claimed, "file")
    annex.annex("setpresentkey", claimed, annex.uuid("s3"), "1")
    if how:  # what a clone would bring along: the chunks of the true key, said of the other one
        _say_chunked(annex, true, claimed)
    annex.run("git", "commit", "-q", "-m", "claimed")
    return annex


def _say_chunked(annex: AnnexRepo, true: str, claimed: str) -> None:
    where = [
        annex.annex("examinekey", "--format=${hashdirlower}${key}.log.cnk", key).stdout.strip()
        for key in (true, claimed)
    ]
    log = annex.run("git", "show", f"git-annex:{where[0]}").stdout
    journal = annex.path / ".git" / "annex" / "journal" / where[1].replace("_", "__").replace("/", "_")
    journal.write_text(log)
    annex.annex("merge")


@pytest.mark.parametrize(
    "how",
    [(), pytest.param(("chunk=100kB",), marks=pytest.mark.thorough)],
    ids=["one object", "chunks"],
)
def test_a_key_that_says_too_much(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, how: tuple[str, ...]
) -> None:
    fs = AnnexFileSystem(str(claiming(annex, seaweed, bucket_name, 999_999_999_999_999_999, *how).path))

    for name, read in READS.items():
        with pytest.raises(ContentUnavailable, match="file cannot be read") as caught:
            read(fs)
        assert "\n" not in str(caught.value), name
    for options in ({}, {"range": "100-"}, {"range": "-100"}):
        (record,) = cat(annex, "file", **options)
        assert record["status"] == "error"
        assert "file cannot be read" in record["message"]


@pytest.mark.thorough
@pytest.mark.parametrize("size", [100, 0])
def test_a_key_that_says_too_little(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, size: int
) -> None:
    fs = AnnexFileSystem(str(claiming(annex, seaweed, bucket_name, size).path))

    for name in ("cat_file", "open", "in pieces"):
        with pytest.raises(ContentUnavailable, match="file cannot be read"):
            READS[name](fs)
    (record,) = cat(annex, "file")
    assert "file cannot be read" in record["message"]
