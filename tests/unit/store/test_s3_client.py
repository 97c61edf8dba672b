from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datalad_s3ext import errors
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile, SdkChain
from datalad_s3ext.store.s3_client import make_client
from tests.unit.store.conftest import KEYS, Reply, Scripted, connection

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

URL = "http://127.0.0.1:9"


def client_for(identity: Identity, url: str | None = URL) -> S3Client:
    return make_client(connection(url), identity, "bucket")


def sent_headers(scripted: Scripted, identity: Identity) -> dict[str, str]:
    scripted.answer = lambda _: Reply(200)
    client = client_for(identity, scripted.url)
    client.head_bucket(Bucket="bucket")
    client.close()
    return scripted.requests[-1].headers


def write_config(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    path = folder / "config"
    path.write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))


def test_keys_are_not_mixed_with_the_environment(
    monkeypatch: pytest.MonkeyPatch, scripted: Scripted
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")

    headers = sent_headers(scripted, KEYS)

    assert "Credential=AKIAEXAMPLE/" in headers["authorization"]
    assert "x-amz-security-token" not in headers


def test_keys_do_not_care_for_a_broken_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scripted: Scripted
) -> None:
    write_config(monkeypatch, tmp_path, "[default\nthis is no config")

    assert "authorization" in sent_headers(scripted, KEYS)


def test_own_session_token_is_sent(scripted: Scripted) -> None:
    headers = sent_headers(scripted, Keys("AKIA", "secret", session_token="tok"))

    assert headers["x-amz-security-token"] == "tok"


def test_anonymous_signs_nothing(monkeypatch: pytest.MonkeyPatch, scripted: Scripted) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert "authorization" not in sent_headers(scripted, Anonymous())


def test_endpoint_variable_does_not_redirect_amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    assert client_for(KEYS, None).meta.endpoint_url.endswith("amazonaws.com")


def test_missing_profile_names_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_config(monkeypatch, tmp_path, "[profile lab]\nregion=x\n[profile home]\nregion=x\n")

    for identity in (Profile("nope"), SdkChain()):
        monkeypatch.setenv("AWS_PROFILE", "nope")
        with pytest.raises(errors.CredentialsError, match=r"'nope'.*home, lab"):
            client_for(identity)


def test_profile_without_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_config(monkeypatch, tmp_path, "[profile lab]\nregion=x\n")

    with pytest.raises(errors.CredentialsError, match="'lab' holds no keys"):
        client_for(Profile("lab"))


def test_profile_wins_over_keys_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scripted: Scripted
) -> None:
    write_config(
        monkeypatch, tmp_path,
        "[profile lab]\naws_access_key_id=LABKEY\naws_secret_access_key=x\n",
    )  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert "LABKEY" in sent_headers(scripted, Profile("lab"))["authorization"]


def test_half_a_pair_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")

    with pytest.raises(errors.CredentialsError, match="incomplete"):
        client_for(SdkChain())


def test_no_keys_anywhere_says_where_it_looked() -> None:
    with pytest.raises(errors.CredentialsError) as caught:
        client_for(SdkChain())

    text = str(caught.value)
    assert "AWS_ACCESS_KEY_ID" in text
    assert "AWS_PROFILE=NAME, or --profile NAME with datalad s3-setup and s3-enable" in text
    assert "Unable to locate" not in text


def test_endpoint_without_scheme() -> None:
    with pytest.raises(errors.ConfigError, match="no usable endpoint"):
        client_for(KEYS, "minio.example.org")


def test_tenant_bucket(scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200)
    client = make_client(connection(scripted.url), KEYS, "tenant:bucket")
    client.head_bucket(Bucket="tenant:bucket")

    assert scripted.requests[0].path == "/tenant:bucket"


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("is_wanted", [True, False])
def test_url_encoding(version: int, is_wanted: bool, scripted: Scripted) -> None:
    scripted.answer = lambda _: Reply(200, b"<ListBucketResult></ListBucketResult>")
    client = make_client(connection(scripted.url, url_encoding=is_wanted), KEYS)
    (client.list_objects if version == 1 else client.list_objects_v2)(Bucket="bucket")

    assert ("encoding-type" in scripted.requests[0].query) == is_wanted


def test_environment_and_loggers_stay_as_they_are() -> None:
    before = dict(os.environ)
    client_for(KEYS)

    assert dict(os.environ) == before


def test_package_imports_without_the_sdk() -> None:
    code = (
        "import sys, datalad_s3ext.store.base, datalad_s3ext.store.retrying,"
        " datalad_s3ext.store.memory, datalad_s3ext.store.probe;"
        "assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
