"""What goes with every request to a bucket: no command opens a remote's bucket without it.

SeaweedFS encrypts with a customer's key (SSE-C) and answers nothing without it. None of the servers
charges whoever reads, so of requests that must say who pays the wire is looked at.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from datalad_s3ext.errors import Unsupported
from datalad_s3ext.store.extras import Extras
from datalad_s3ext.store.presign import presigned_url
from tests.e2e.helpers import copies
from tests.integration.commands.helpers import QUIET, recorded
from tests.integration.commands.test_s3_copy import copy
from tests.integration.commands.test_s3_migrate import migrate
from tests.integration.store.conftest import connection_to, keys_of
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return new_key(tmp_path / "key")


def new_key(path: Path) -> Path:
    path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o600)
    return path


def name_key(repo: AnnexRepo, remote: str, file: Path) -> None:
    repo.run("git", "config", f"remote.{remote}.s3x-sse-c-key-file", str(file))


@contextmanager
def toll(endpoint: Endpoint, *buckets: str) -> Iterator[tuple[Relay, list[str]]]:
    """Yield a relay, and what was asked of these buckets without a word on who pays."""
    unpaid: list[str] = []

    def note(request: Request) -> bool:
        # nobody pays for asking whether a bucket is there, or how it is set
        asked = (request.path, f"/{request.headers.get('x-amz-copy-source', '').lstrip('/')}")
        is_priced = any(
            path.startswith((f"/{name}/", f"/{name}?")) for path in asked for name in buckets
        )
        is_signed = "authorization" in request.headers and not request.path.endswith("?versioning")
        if is_priced and is_signed and "x-amz-request-payer" not in request.headers:
            unpaid.append(f"{request.method} {request.path}")
        return False

    with Relay(endpoint.url) as relay:
        relay.shapers_up.add(note, iter, 10_000)
        yield relay, unpaid


# -- s3-migrate --------------------------------------------------------------------------------


def test_a_remote_with_a_key_of_ones_own_follows_its_bucket(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, key_file: Path, tmp_path: Path
) -> None:
    name_key(annex, "old", key_file)
    annex.init_s3x(keys, bucket_name, "sse=customer", name="old")
    annex.add("one", b"1")
    annex.annex("copy", "--to", "old", "one")
    back = migrate(annex, to="S3")
    with Relay(keys.url) as relay:
        name_key(annex, "old", new_key(tmp_path / "other"))
        wrong = migrate(annex, endpoint=relay.url)
        name_key(annex, "old", key_file)

        done = migrate(annex, endpoint=relay.url)

        assert done["status"] == "ok", done["message"]
        assert (done["checked"], done["compared"]) == (1, 1)
        assert recorded(annex)["sse"] == "customer"
        annex.annex("drop", "--force", "one")
        annex.annex("get", "--from", "old", "one")
    assert "sse=customer" in back["message"]
    assert "copy the content" in back["message"]
    assert "another SSE-C key" in wrong["message"]
    log = annex.run("git", "log", "-p", "git-annex").stdout
    assert b64encode(key_file.read_bytes()).decode() not in log
    assert str(key_file) not in log


def test_a_bucket_that_charges_is_followed_by_who_pays(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(keys, bucket_name, name="old")
    annex.add("one", b"1")
    annex.annex("copy", "--to", "old", "one")
    with toll(keys, bucket_name) as (relay, unpaid):
        typed = migrate(annex, endpoint=relay.url, settings=["requester-pays=yes"])

        assert typed["status"] == "ok", typed["message"]
        assert annex.run("git", "config", "remote.old.s3x-requester-pays").stdout == "true\n"
        annex.run("git", "config", "--unset", "remote.old.s3x-requester-pays")
        refused = migrate(annex, settings=["partsize=5MiB"])
        annex.run("git", "config", "remote.old.s3x-requester-pays", "true")
        agreed = migrate(annex, settings=["partsize=5MiB"])
        asked = [path for _, path in relay.requests if path.startswith(f"/{bucket_name}/")]

    assert agreed["status"] == "ok", agreed["message"]
    assert "nobody in this clone has agreed to pay" in refused["message"]
    assert asked
    assert unpaid == []


# -- s3-copy -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "which", ["a", *(pytest.param(n, marks=pytest.mark.thorough) for n in ("b", "ab"))]
)
def test_the_service_copies_with_the_keys_of_both_sides(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, tmp_path: Path, which: str
) -> None:
    for name in which:
        name_key(annex, name, new_key(tmp_path / name))
    for name in "ab":
        parameters = ("sse=customer",) if name in which else ()
        annex.init_s3x(keys, f"{bucket_name}-{name}", *parameters, name=name)
    content = secrets.token_bytes(5000)
    annex.add("one", content)
    annex.annex("copy", "--to", "a", "one")

    (record,) = copy(annex, way="server", verify=True)

    assert record["status"] == "ok", record["message"]
    assert (record["way"], record["compared_by"]) == ("server", "read back")
    assert annex.uuid("b") in copies(annex, "one")
    annex.annex("drop", "--force", "one")
    annex.annex("get", "--from", "b", "one")
    assert (annex.path / "one").read_bytes() == content


def test_who_copies_from_a_bucket_that_charges_pays(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    other = f"{bucket_name}-b"
    with toll(keys, bucket_name) as (relay, unpaid):
        here = keys.at(relay.url)
        annex.run("git", "config", "remote.a.s3x-requester-pays", "true")
        annex.init_s3x(here, bucket_name, "requester-pays=yes", name="a")
        annex.add("one", b"1")
        annex.annex("copy", "--to", "a", "one")
        annex.init_s3x(here, other, name="b")

        (record,) = copy(annex, way="server", trust_endpoint=relay.url)

        copied = [
            path for method, path in relay.requests if method == "PUT" and path.startswith(f"/{other}/")
        ]
    assert record["status"] == "ok", record["message"]
    assert len(copied) > 1
    assert unpaid == []


# -- s3-doctor ---------------------------------------------------------------------------------


def findings(repo: AnnexRepo, name: str) -> dict[str, list[str]]:
    """Run s3-doctor and return its messages by status."""
    from datalad_s3ext.commands.s3_doctor import S3Doctor

    found: dict[str, list[str]] = {}
    for record in S3Doctor()(name, dataset=str(repo.path), **QUIET):
        found.setdefault(record["status"], []).append(str(record["message"]))
    return found


def test_the_doctor_examines_with_the_key_of_ones_own(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str, key_file: Path
) -> None:
    name_key(annex, "s3", key_file)
    annex.init_s3x(keys, bucket_name, "sse=customer")
    found = findings(annex, "s3")
    annex.run("git", "config", "--unset", "remote.s3.s3x-sse-c-key-file")

    without = findings(annex, "s3")

    assert not {"error", "impossible"} & set(found), found
    assert any("keeps the content of s3" in text for text in found["ok"])
    assert any("s3x-sse-c-key-file" in text for text in without["error"])
    said = " ".join(text for texts in found.values() for text in texts)
    assert b64encode(key_file.read_bytes()).decode() not in said


def test_the_doctor_pays_where_somebody_has_agreed(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    with toll(keys, bucket_name) as (relay, unpaid):
        annex.run("git", "config", "remote.s3.s3x-requester-pays", "true")
        annex.init_s3x(keys.at(relay.url), bucket_name, "requester-pays=yes")
        before = len(relay.requests)

        found = findings(annex, "s3")

        assert len(relay.requests) > before + 20, found
    assert unpaid == []


# -- URLs --------------------------------------------------------------------------------------


def test_only_what_somebody_asked_for_is_paid_for_in_another_bucket(
    annex: AnnexRepo, keys: Endpoint, bucket_name: str
) -> None:
    other = f"{bucket_name}-b"
    client = boto3_client(keys)
    client.create_bucket(Bucket=other)
    client.put_object(Bucket=other, Key="theirs", Body=b"theirs")
    with toll(keys, other) as (relay, unpaid):
        annex.run("git", "config", "remote.s3.s3x-requester-pays", "true")
        annex.init_s3x(keys.at(relay.url), bucket_name, "requester-pays=yes")
        annex.annex("addurl", "--file=a", f"s3://{other}/theirs")
        annex.run("git", "commit", "-q", "-m", "a")
        annex.annex("drop", "--force", "a")
        annex.annex("get", "a")
        asked = [path for _, path in relay.requests if path == f"/{other}/theirs"]
        assert len(asked) > 1
        assert unpaid == []
        annex.run("git", "config", "--unset-all", f"s3x.{annex.uuid('s3')}.bucket")
        annex.annex("drop", "--force", "a")

        annex.annex("get", "a")

    assert f"GET /{other}/theirs" in unpaid


def test_a_link_alone_says_who_pays_and_holds_no_key(keys: Endpoint, new_bucket: str) -> None:
    boto3_client(keys).put_object(Bucket=new_bucket, Key="a b", Body=b"1")
    here, who, pays = connection_to(keys.url), keys_of(keys), Extras(requester_pays=True)

    link = presigned_url(here, who, new_bucket, "a b", 60, pays)
    old = presigned_url(replace(here, signature="v2"), who, new_bucket, "a b", 60, pays)

    assert "x-amz-request-payer=requester" in link
    assert "x-amz-request-payer=requester" in old  # SeaweedFS refuses such a link of signature v2
    answer = urllib3.request("GET", link, retries=False)
    assert (answer.status, answer.data) == (200, b"1")
    with pytest.raises(Unsupported, match="a URL alone"):
        presigned_url(here, who, new_bucket, "a b", 60, Extras(customer_key=bytes(32)))
