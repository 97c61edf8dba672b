"""A server with the faults of mdx: signature v2 and path style alone, and a list V2 that never ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext import errors
from datalad_s3ext.credentials.model import Keys
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import Connection, resolve
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.s3 import open_store
from datalad_s3ext.store.s3_client import make_client
from tests.e2e.helpers import add_all, assert_nothing_recorded, is_here, object_names, pattern
from tests.support.mdx import MdxServer
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client

pytestmark = [pytest.mark.annex, pytest.mark.server, pytest.mark.thorough]

FILES = {f"scan-{number}.dat": pattern(30_000, number) for number in range(5)}
LARGE = {"volume.nii": pattern(12 * 1024 * 1024, 9)}


@pytest.fixture
def mdx(seaweed: Endpoint) -> Iterator[MdxServer]:
    with MdxServer(seaweed.url, page_limit=2) as server:
        yield server


def set_up(
    repo: AnnexRepo, mdx: MdxServer, seaweed: Endpoint, bucket: str, *settings: str, check: bool = True
) -> str:
    repo.use_keys(seaweed.at(mdx.url))
    done = repo.run(
        "datalad", "s3-setup", "mdx", *settings, "--endpoint", mdx.url, "--bucket", bucket, check=check
    )
    return done.stdout + done.stderr


def place_at(mdx: MdxServer, preset: str = "mdx") -> Connection:
    return resolve(load_provider(preset), endpoint=mdx.url, environ={}, signature="v2")


def keys_of(seaweed: Endpoint) -> Keys:
    return Keys(seaweed.access_key_id, seaweed.secret_access_key)


def store_at(mdx: MdxServer, seaweed: Endpoint, bucket: str, preset: str = "mdx") -> ObjectStore:
    return open_store(place_at(mdx, preset), keys_of(seaweed), bucket, page_size=2)


def test_the_server_lists_its_first_page_for_ever(
    mdx: MdxServer, seaweed: Endpoint, new_bucket: str
) -> None:
    """What the tests below rest on."""
    for name in "abcde":
        boto3_client(seaweed).put_object(Bucket=new_bucket, Key=name, Body=b"x")
    naive = make_client(place_at(mdx), keys_of(seaweed))
    after, pages = "", []
    for _ in range(4):
        page = naive.list_objects_v2(Bucket=new_bucket, StartAfter=after)
        pages.append([row["Key"] for row in page["Contents"]])
        after = pages[-1][-1]
        assert page["IsTruncated"]

    assert pages == [["a", "b"]] * 4


def test_the_whole_job_ends(
    annex: AnnexRepo, mdx: MdxServer, seaweed: Endpoint, new_bucket: str
) -> None:
    keys = add_all(annex, FILES | LARGE)

    said = set_up(annex, mdx, seaweed, new_bucket, "signature=v2")
    annex.annex("copy", "--to", "mdx", "--jobs", "4")
    annex.annex("drop", "--jobs", "4")
    annex.annex("get", "--jobs", "4")
    annex.annex("fsck", "--from", "mdx", "--jobs", "4")
    status = annex.run("datalad", "s3-status", "mdx").stdout

    assert "a test object was written, read back, compared and deleted" in said
    assert {name: (annex.path / name).read_bytes() for name in keys} == FILES | LARGE
    assert object_names(seaweed, new_bucket) == {*keys.values(), "annex-uuid"}
    assert "answers       yes: its marker is there" in status
    assert "there         6 keys" in status
    assert "not yet there nothing that the current branch needs" in status
    assert "AWS4-HMAC-SHA256" not in mdx.signatures


def test_the_doctor_finds_out_what_is_odd(
    annex: AnnexRepo, mdx: MdxServer, seaweed: Endpoint, new_bucket: str
) -> None:
    set_up(annex, mdx, seaweed, new_bucket, "signature=v2")

    found = annex.run("datalad", "s3-doctor", "mdx").stdout

    assert "signature v2 and the keys are accepted" in found
    assert "lists of version 2 are not complete" in found


def test_a_bucket_is_listed_to_its_end_page_by_page(
    mdx: MdxServer, seaweed: Endpoint, new_bucket: str
) -> None:
    store = store_at(mdx, seaweed, new_bucket)
    wanted = [f"n/{number} +ü" for number in range(5)]
    for name in wanted:
        boto3_client(seaweed).put_object(Bucket=new_bucket, Key=name, Body=b"x")

    assert [found.name for found in store.list()] == wanted
    assert [found.name for found in store.list("n/", start_after=wanted[2])] == wanted[3:]


def test_with_another_preset_the_list_ends_in_an_error_that_names_the_preset(
    mdx: MdxServer, seaweed: Endpoint, new_bucket: str
) -> None:
    store = store_at(mdx, seaweed, new_bucket, preset="other")
    for name in "abcde":
        boto3_client(seaweed).put_object(Bucket=new_bucket, Key=name, Body=b"x")

    with pytest.raises(errors.IntegrityError, match="its preset should say another listing version"):
        list(itertools.islice(store.list(), 1000))

    assert len(mdx.requests) <= 3


def test_a_bucket_is_made_and_asked_for(mdx: MdxServer, seaweed: Endpoint, bucket_name: str) -> None:
    store = store_at(mdx, seaweed, bucket_name)

    assert store.bucket_exists() is False
    store.create_bucket()
    assert store.bucket_exists() is True


def test_the_signature_that_is_refused_is_told_with_the_other_one(
    annex: AnnexRepo, mdx: MdxServer, seaweed: Endpoint, new_bucket: str
) -> None:
    said = set_up(annex, mdx, seaweed, new_bucket, check=False)

    assert "or set signature=v2, which some servers of this kind want" in said
    assert_nothing_recorded(annex)


def test_a_clone_gets_its_files_after_one_word(
    annex: AnnexRepo, mdx: MdxServer, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    add_all(annex, FILES)
    set_up(annex, mdx, seaweed, new_bucket, "signature=v2")
    annex.annex("copy", "--to", "mdx")
    clone = annex.clone(tmp_path / "clone")

    refused = clone.run("datalad", "s3-enable", "--name", "mdx", check=False)
    clone.run("git", "config", "remote.mdx.s3x-signature", "v2")
    clone.run("datalad", "s3-enable", "--name", "mdx")
    clone.annex("get", "scan-1.dat")

    assert refused.returncode != 0
    assert "s3x-signature v2" in refused.stdout + refused.stderr
    assert is_here(clone, "scan-1.dat")
