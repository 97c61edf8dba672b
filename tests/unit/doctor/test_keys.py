"""Keys are judged by their look before anything is signed with them, then by the service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datalad_s3ext.credentials.chain import find_identity
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile, SdkChain
from datalad_s3ext.doctor.findings import Finding
from datalad_s3ext.providers.load import load_provider
from tests.support.faults import Answer
from tests.support.profiles import use_profile
from tests.support.relay import Relay
from tests.support.servers import Endpoint
from tests.support.wire import Request
from tests.unit.doctor.support import by_stage, examine, keys_of, last

pytestmark = pytest.mark.server

SECRET = "abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMN"


def examined(seaweed: Endpoint, identity: Identity) -> list[Finding]:
    return examine(seaweed.url, identity=identity)


@pytest.mark.parametrize(
    ("changes", "text", "remedy"),
    [
        ({"access_key_id": "AKIAEXAMPLE "}, "access key id from the test holds a blank", "copy it again"),
        ({"secret_access_key": f"{SECRET}\n"}, "secret key from the test holds a blank", "copy it again"),
        ({"secret_access_key": SECRET.replace("m", "\u2013")}, "that no key has", "word processor"),
        ({"access_key_id": "AKIA\u200bEXAMPLE"}, "that no key has", "word processor"),
        ({"session_token": "FwoG ZXIv"}, "session token from the test holds a blank", "copy it again"),
        ({"secret_access_key": f'"{SECRET}"'}, "stands in quotes", "copy it again"),
        ({"secret_access_key": SECRET.replace("/", r"\/")}, "JSON", "write / instead"),
        ({"access_key_id": "ASIAEXAMPLE"}, "needs its session token", "AWS_SESSION_TOKEN"),
    ],
    ids=str,
)  # fmt: skip
def test_keys_that_were_pasted_wrongly(
    seaweed: Endpoint, changes: dict[str, str], text: str, remedy: str
) -> None:
    keys = Keys(**{
        "access_key_id": "AKIAEXAMPLE", "secret_access_key": SECRET, "source": "the test", **changes,
    })  # fmt: skip

    findings = examined(seaweed, keys)

    assert last(findings) == ("credentials", "failed")
    assert text in findings[-1].text
    assert remedy in findings[-1].remedy
    assert SECRET[:10] not in str(findings)


@pytest.mark.parametrize(
    ("lifetime", "status", "text"),
    [
        (timedelta(minutes=-5), "failed", "expired on 2"),
        (timedelta(minutes=20), "warning", "they expire in 19 minutes"),
        (timedelta(hours=9), "ok", "they are good until 2"),
    ],
    ids=str,
)
def test_keys_that_expire(seaweed: Endpoint, lifetime: timedelta, status: str, text: str) -> None:
    keys = keys_of(seaweed, session_token="T", expires_at=datetime.now(UTC) + lifetime)

    found = next(one for one in examined(seaweed, keys) if one.stage == "credentials")

    assert (found.status, text in found.text) == (status, True)
    assert found.facts["has_token"] is True


def test_keys_that_are_half_given(seaweed: Endpoint) -> None:
    def half() -> Identity:
        return find_identity(load_provider("other"), environ={"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE"})

    findings = examine(seaweed.url, find_identity=half)

    assert last(findings) == ("credentials", "failed")
    assert "AWS_SECRET_ACCESS_KEY is not" in findings[-1].text


@pytest.mark.parametrize("identity", [SdkChain(), Profile("nobody")], ids=str)
def test_no_keys_at_all(seaweed: Endpoint, identity: Identity) -> None:
    findings = examined(seaweed, identity)

    assert last(findings) == ("credentials", "failed")
    assert findings[-1].facts["error"] == 17
    assert "profile" in findings[-1].remedy


@pytest.fixture
def lab(seaweed: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Profile]:
    with monkeypatch.context() as patch:
        yield Profile(use_profile(seaweed, tmp_path, patch))


def test_the_keys_of_a_profile(seaweed: Endpoint, lab: Profile) -> None:
    stages = by_stage(examined(seaweed, lab))

    assert "AWS profile 'lab', found by shared-credentials-file" in stages["credentials"].text
    assert stages["signature"].status == "ok"


def test_a_secret_that_the_server_repeats_is_not_shown(seaweed: Endpoint, lab: Profile) -> None:
    body = f"<Error><Code>Odd</Code><Message>got {seaweed.secret_access_key}</Message></Error>"
    with Relay(seaweed.url) as relay:
        relay.answer(lambda request: "authorization" in request.headers, Answer(400, body.encode()))
        findings = examine(relay.url, identity=lab)

    assert last(findings) == ("signature", "failed")
    assert "got ***" in findings[-1].text
    assert seaweed.secret_access_key not in str(findings)


def test_nothing_is_signed_for_an_address_that_nobody_chose(seaweed: Endpoint, new_bucket: str) -> None:
    sent: list[Request] = []

    def note(request: Request) -> bool:
        sent.append(request)
        return False

    with Relay(seaweed.url) as relay:
        relay.answer(note, Answer(200))
        findings = examine(
            relay.url, new_bucket, keys_of(seaweed), no_keys_because="say that it is right"
        )

    assert last(findings) == ("credentials", "failed")
    assert findings[-1].remedy == "say that it is right"
    assert by_stage(findings)["s3"].status == "ok"
    assert sent
    assert not any("authorization" in request.headers for request in sent)


def test_without_keys_nothing_is_written(moto: Endpoint, bucket_name: str) -> None:
    from tests.support.servers import boto3_client

    client = boto3_client(moto)
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="x", Body=b"x", ACL="public-read")
    with Relay(moto.url) as relay:
        findings = examine(relay.url, bucket_name, Anonymous())

    assert {method for method, _ in relay.requests} == {"GET", "HEAD"}
    assert by_stage(findings)["put"].status == "skipped"
    assert last(findings) == ("capabilities", "skipped")
