"""Keys that expire in the middle: a source that can renews them, else a repeated command goes on."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest

from tests.e2e.helpers import failure, is_here, object_bytes, pattern
from tests.integration.commands.helpers import QUIET
from tests.support import faults
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, RcloneServer, boto3_client
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]

EXPIRED = faults.s3_error(400, "ExpiredToken", "The provided token has expired.")
BIG = pattern(21 * 2**20)


def key_id_of(request: Request) -> str:
    return request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


# -- a platform that gives keys by the environment --------------------------------------------------


def platform_environment(moto: Endpoint, relay: Relay) -> dict[str, str]:
    """Return what a service of Onyxia finds: an endpoint without scheme, and temporary keys."""
    sts = boto3.session.Session().client(
        "sts", endpoint_url=moto.url, region_name="us-east-1",
        aws_access_key_id="any", aws_secret_access_key="any",
    )  # fmt: skip
    role = "arn:aws:iam::123456789012:role/datalab"
    keys = sts.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    return {
        "AWS_S3_ENDPOINT": relay.url.removeprefix("http://"),
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXPIRATION": keys["Expiration"].isoformat(),
    }


def set_up_on_platform(
    repo: AnnexRepo, bucket: str, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from datalad_s3ext.commands.s3_setup import S3Setup

    with monkeypatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        (record,) = S3Setup()(
            "onyxia", ["partsize=5MiB"], bucket=bucket, name="s3", dataset=str(repo.path), **QUIET
        )
    assert record["status"] == "ok", record
    assert "AWS_SESSION_TOKEN" in record["credential_source"]


@pytest.fixture
def relay(moto: Endpoint) -> Iterator[Relay]:
    with Relay(moto.url) as relay:
        yield relay


def test_a_transfer_goes_on_with_renewed_keys_of_the_environment(
    annex: AnnexRepo, moto: Endpoint, relay: Relay, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3_client(moto).create_bucket(Bucket=bucket_name)
    old, new = platform_environment(moto, relay), platform_environment(moto, relay)
    set_up_on_platform(annex, bucket_name, old, monkeypatch)
    key = annex.add("big", BIG)
    annex.run("git", "config", "remote.s3.s3x-connections", "1")

    def has_lapsed(request: Request) -> bool:
        late = "partNumber=3" in request.path or "partNumber=4" in request.path
        return late and key_id_of(request) == old["AWS_ACCESS_KEY_ID"]

    relay.answer(has_lapsed, EXPIRED, times=1000)
    annex.env = old
    said = failure(annex, "copy", "--to", "s3", "big")
    sent = len(relay.requests)
    annex.env = new
    annex.annex("copy", "--to", "s3", "big")

    assert "the temporary keys from environment variables AWS_ACCESS_KEY_ID" in said
    assert "have expired" in said
    assert "get new ones for Onyxia datalab (SSP Cloud, Nubonyxia): on the platform" in said
    assert object_bytes(moto, bucket_name, key) == BIG
    parts = [path for method, path in relay.requests[sent:] if method == "PUT" and "partNum" in path]
    assert len(parts) == 3  # 3, 4 and 5: the first two were there
    assert not list((annex.path / ".git" / "annex").glob("creds/*"))

    annex.annex("drop", "big")
    down = relay.bytes_down
    relay.heal()
    relay.answer(lambda request: _is_late_range(request, new), EXPIRED, times=1000)
    failure(annex, "get", "big")
    annex.env = old
    annex.annex("get", "big")

    assert (annex.path / "big").read_bytes() == BIG
    assert relay.bytes_down - down < 2 * len(BIG)


def _is_late_range(request: Request, environ: Mapping[str, str]) -> bool:
    start = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
    mine = key_id_of(request) == environ["AWS_ACCESS_KEY_ID"]
    return request.method == "GET" and mine and int(start) >= 12 * 2**20


def test_keys_that_have_expired_are_not_tried(
    annex: AnnexRepo, moto: Endpoint, relay: Relay, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3_client(moto).create_bucket(Bucket=bucket_name)
    environ = platform_environment(moto, relay)
    set_up_on_platform(annex, bucket_name, environ, monkeypatch)
    annex.add("data", b"content")
    annex.env = {**environ, "AWS_EXPIRATION": "2026-01-02T03:04:05Z"}
    used: list[str] = []
    relay.answer(lambda request: bool(used.append(key_id_of(request))), EXPIRED)

    said = failure(annex, "copy", "--to", "s3", "data")

    assert "expired on 2026-01-02 at 03:04 UTC; get new ones for Onyxia" in said
    assert set(used) <= {""}  # that everybody may write is tried, without keys


# -- a process that gives out keys for a short time ------------------------------------------------


class TwoPairs(RcloneServer):
    """A server that knows two pairs of keys."""

    def __init__(self) -> None:
        super().__init__()
        self.second = (secrets.token_hex(10).upper(), secrets.token_hex(20))

    def environment(self) -> Mapping[str, str]:
        return {
            "RCLONE_AUTH_KEY": f'"{self.access_key_id},{self.secret_access_key}",'
            f'"{self.second[0]},{self.second[1]}"'
        }


def test_keys_of_a_process_are_renewed_while_a_file_is_sent(
    annex: AnnexRepo, tmp_path: Path, bucket_name: str
) -> None:
    server = TwoPairs()
    overlap_s, first_late = 0.5, [0.0]
    used: list[str] = []
    with server as endpoint, Relay(endpoint.url, latency_s=0.02) as relay:
        pairs = [(endpoint.access_key_id, endpoint.secret_access_key), server.second]
        process = process_with_two_pairs(tmp_path, pairs)
        profile = tmp_path / "aws-config"
        profile.write_text(f"[profile lab]\ncredential_process = {process}\n")
        annex.env = {"AWS_CONFIG_FILE": str(profile), "AWS_PROFILE": "lab"}
        boto3_client(endpoint).create_bucket(Bucket=bucket_name)
        annex.annex(
            "initremote", "s3", "type=external", "externaltype=s3x", f"endpoint={relay.url}",
            f"bucket={bucket_name}", "encryption=none", "partsize=5MiB",
        )  # fmt: skip
        annex.run("git", "config", "remote.s3.s3x-connections", "1")
        key = annex.add("big", BIG)

        def has_lapsed(request: Request) -> bool:
            """Note who asks; some time after the first parts, the first pair is worth nothing."""
            if faults.is_upload_part(request):
                used.append(key_id_of(request))
            if len(used) == 2 and not first_late[0]:
                (tmp_path / "renewed").touch()
                first_late[0] = time.monotonic() + overlap_s
            late = first_late[0] and time.monotonic() > first_late[0]
            return bool(late) and key_id_of(request) == pairs[0][0]

        relay.answer(has_lapsed, EXPIRED, times=1000)
        annex.annex("copy", "--to", "s3", "big")

        assert object_bytes(endpoint, bucket_name, key) == BIG
    assert list(dict.fromkeys(used)) == [pairs[0][0], pairs[1][0]]
    assert len(used) == 5  # no part was sent twice


def process_with_two_pairs(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    """Return a program that gives out the first pair, and the second when "renewed" is there."""
    for number, (key_id, secret) in enumerate(pairs):
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
        document = {"Version": 1, "AccessKeyId": key_id, "SecretAccessKey": secret, "Expiration": soon}
        (folder / f"pair{number}.json").write_text(json.dumps(document))
    script = folder / "process"
    script.write_text(
        f"#!/bin/sh\nif [ -e {folder}/renewed ]; then cat {folder}/pair1.json;"
        f" else cat {folder}/pair0.json; fi\n"
    )
    script.chmod(0o755)
    return script


# -- a file that somebody rewrites -----------------------------------------------------------------


def test_a_profile_that_is_rewritten_is_read_again_by_the_same_process(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, tmp_path: Path
) -> None:
    """As with tools that log in and write temporary keys to a file: after a refusal it is read anew."""
    file = tmp_path / "credentials"
    right = (f"[lab]\naws_access_key_id = {seaweed.access_key_id}\n"
             f"aws_secret_access_key = {seaweed.secret_access_key}\n")  # fmt: skip
    file.write_text(right)
    annex.env = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "lab"}
    with Relay(seaweed.url) as relay:
        annex.annex(
            "initremote", "s3", "type=external", "externaltype=s3x", f"endpoint={relay.url}",
            f"bucket={new_bucket}", "encryption=none",
        )  # fmt: skip
        for name in "abc":
            annex.add(name, name.encode() * 1000)
        file.write_text("[lab]\naws_access_key_id = AKIAOLD\naws_secret_access_key = lapsed\n")

        def renew_at_first_refusal(request: Request) -> bool:
            if key_id_of(request) != "AKIAOLD":
                return False
            file.write_text(right)
            return True

        relay.answer(renew_at_first_refusal, EXPIRED, times=1000)
        done = annex.annex("copy", "--to", "s3", "--jobs", "1", "a", "b", "c", check=False)

    assert done.returncode != 0
    assert done.stdout.count("ok\n") >= 2, done.stdout  # only the first was lost
    assert is_here(annex, "a")
