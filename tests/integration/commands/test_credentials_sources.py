"""Each source that botocore knows gives the keys of a request: what reaches the server is looked at."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from datalad_s3ext.credentials.chain import find_identity
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve
from datalad_s3ext.store.diagnose import key_facts
from datalad_s3ext.store.s3 import open_store
from tests.support.raw_server import HEAD_OK, RawServer, answer
from tests.support.servers import Endpoint

pytestmark = pytest.mark.server

LATER = "2999-12-31T23:00:00Z"
FOUND = {"AccessKeyId": "ASIAFOUND", "SecretAccessKey": "hush", "Token": "token", "Expiration": LATER}


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Be somebody with an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return monkeypatch


def configured(home: Path, *lines: str) -> None:
    (home / ".aws" / "config").write_text("\n".join(lines) + "\n")


def requested(profile: str | None) -> tuple[str, bool, str]:
    """Return access key id, whether there was a token, and botocore's name for the source."""
    provider = load_provider("seaweedfs")
    with RawServer() as server:
        connection = resolve(provider, endpoint=server.url, environ={})
        identity = find_identity(provider, profile=profile, endpoint_url=server.url)
        server.connections = [[HEAD_OK]]
        open_store(connection, identity, "bucket", read_timeout_s=3).head("name")
        (request,) = server.requests
        method = key_facts(connection, identity).method
    found = re.search(rb"[Cc]redential=([A-Z0-9]+)/", request)
    assert found, request
    return found[1].decode(), b"x-amz-security-token" in request.lower(), method


def as_json(document: object) -> bytes:
    return answer("200 OK", json.dumps(document).encode(), "Content-Type: application/json",
                  "Connection: close")  # fmt: skip


def test_keys_of_a_process(person: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = tmp_path / "keys.json"
    document.write_text(json.dumps({"Version": 1, "AccessKeyId": "ASIAPROCESS",
                                    "SecretAccessKey": "hush", "SessionToken": "token",
                                    "Expiration": LATER}))  # fmt: skip
    configured(tmp_path, "[profile lab]", f"credential_process = cat {document}")

    assert requested("lab") == ("ASIAPROCESS", True, "custom-process")


def test_keys_of_a_role(person: pytest.MonkeyPatch, moto: Endpoint, tmp_path: Path) -> None:
    configured(
        tmp_path,
        "[profile lab]", "role_arn = arn:aws:iam::123456789012:role/lab", "source_profile = me",
        "region = us-east-1", "services = campus",
        "[profile me]", "aws_access_key_id = AKIAME", "aws_secret_access_key = hush",
        "[services campus]", "sts =", f"  endpoint_url = {moto.url}",
    )  # fmt: skip

    key_id, has_token, method = requested("lab")

    assert (key_id[:4], has_token, method) == ("ASIA", True, "assume-role")


def test_keys_by_web_identity(person: pytest.MonkeyPatch, moto: Endpoint, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("header.body.signature")
    person.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    person.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/lab")
    person.setenv("AWS_ENDPOINT_URL_STS", moto.url)
    person.setenv("AWS_DEFAULT_REGION", "us-east-1")

    key_id, has_token, method = requested(None)

    assert (key_id[:4], has_token, method) == ("ASIA", True, "assume-role-with-web-identity")


def test_keys_of_single_sign_on(person: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configured(
        tmp_path,
        "[profile lab]", "sso_session = campus", "sso_account_id = 123456789012",
        "sso_role_name = reader", "region = us-east-1",
        "[sso-session campus]", "sso_region = us-east-1", "sso_start_url = https://example.org/start",
    )  # fmt: skip
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    for place in ("credentials.SSOProvider", "tokens.SSOTokenProvider"):  # made at import
        person.setattr(f"botocore.{place}._SSO_TOKEN_CACHE_DIR", str(cache))
    login = {"startUrl": "https://example.org/start", "region": "us-east-1", "accessToken": "logged-in",
             "expiresAt": LATER}  # fmt: skip
    (cache / f"{hashlib.sha1(b'campus').hexdigest()}.json").write_text(json.dumps(login))
    keys = {"accessKeyId": "ASIASSO", "secretAccessKey": "hush", "sessionToken": "token",
            "expiration": 32503676400000}  # fmt: skip
    with RawServer() as portal:
        portal.connections = [[as_json({"roleCredentials": keys})] for _ in range(2)]
        person.setenv("AWS_ENDPOINT_URL_SSO", portal.url)

        assert requested("lab") == ("ASIASSO", True, "sso")


def test_a_login_that_has_ended_says_how_to_log_in(person: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from datalad_s3ext.errors import CredentialsError

    configured(
        tmp_path,
        "[profile lab]", "sso_session = campus", "sso_account_id = 1", "sso_role_name = r",
        "[sso-session campus]", "sso_region = us-east-1", "sso_start_url = https://example.org/start",
    )  # fmt: skip

    with pytest.raises(CredentialsError, match="aws sso login --profile lab"):
        requested("lab")


def test_keys_of_a_container(person: pytest.MonkeyPatch) -> None:
    with RawServer() as agent:
        agent.connections = [[as_json(FOUND)] for _ in range(2)]
        person.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{agent.url}/keys")

        assert requested(None) == ("ASIAFOUND", True, "container-role")


def test_keys_of_a_machine(person: pytest.MonkeyPatch) -> None:
    plain = answer("200 OK", b"reader", "Connection: close")
    found = as_json({**FOUND, "Code": "Success", "LastUpdated": "2026-11-22T00:00:00Z"})
    with RawServer() as service:
        service.connections = [[plain], [plain], [found]] * 2
        person.setenv("AWS_EC2_METADATA_DISABLED", "false")
        person.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{service.url}/")

        assert requested(None) == ("ASIAFOUND", True, "iam-role")


def test_a_process_that_gives_out_expired_keys_is_told(
    person: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from datalad_s3ext.errors import CredentialsError

    document = tmp_path / "keys.json"
    document.write_text(
        json.dumps(
            {
                "Version": 1,
                "AccessKeyId": "ASIAOLD",
                "SecretAccessKey": "hush",
                "SessionToken": "token",
                "Expiration": "2020-01-01T00:00:00Z",
            }
        )
    )
    configured(tmp_path, "[profile lab]", f"credential_process = cat {document}")

    with pytest.raises(CredentialsError, match="from AWS profile 'lab' have expired"):
        requested("lab")
