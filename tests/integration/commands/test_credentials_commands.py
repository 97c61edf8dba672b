"""What s3-setup and s3-enable do with profiles, stored credentials, and places nobody knows here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.repo import trust
from tests.integration.commands.conftest import PublicBucket
from tests.integration.commands.helpers import BOTH_TYPES, QUIET, enable, recorded, setup, state
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]


def choose(repo: AnnexRepo, preset: str, **options: Any) -> dict[str, Any]:
    """Run s3-setup without naming an endpoint."""
    from datalad_s3ext.commands.s3_setup import S3Setup

    given = {"name": "s3", "dataset": str(repo.path), **QUIET, **options}
    (record,) = S3Setup()(preset, **given)
    return dict(record)


# -- profiles --------------------------------------------------------------------------------------


@pytest.fixture
def pod(seaweed: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a profile that says where it belongs, too."""
    file = tmp_path / "config"
    file.write_text(
        f"[profile osn-pod]\nregion = us-west-2\nendpoint_url = {seaweed.url}\n"
        f"aws_access_key_id = {seaweed.access_key_id}\n"
        f"aws_secret_access_key = {seaweed.secret_access_key}\n"
    )
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(file))
        yield "osn-pod"


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_profile_says_endpoint_and_region(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str, pod: str, by_variable: bool,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        if by_variable:
            patch.setenv("AWS_PROFILE", pod)
        named = {} if by_variable else {"profile": pod}

        record = choose(annex, "other", bucket=new_bucket, **named)

        assert record["status"] == "ok", record
        assert (recorded(annex)["endpoint"], recorded(annex)["region"]) == (seaweed.url, "us-west-2")
        if not by_variable:
            clone = annex.clone(tmp_path / "clone")
            (enabled,) = enable(clone, profile=pod)
            assert enabled["status"] == "ok", enabled  # the profile names the place: no question


def test_the_endpoint_of_a_profile_does_not_replace_that_of_a_service(
    annex: AnnexRepo, pod: str, new_bucket: str
) -> None:
    record = choose(
        annex, "wasabi", bucket=new_bucket, profile=pod, region="eu-central-1", dry_run=True
    )

    assert record["endpoint"] == "https://s3.eu-central-1.wasabisys.com"


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT"])
def test_the_environment_names_the_endpoint(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(variable, keys.url)

        record = choose(annex, "minio", bucket=new_bucket, dry_run=True)

    assert record["endpoint"] == keys.url


# -- which source it is ----------------------------------------------------------------------------


def test_the_source_is_named_and_nothing_else_happens(
    annex: AnnexRepo, nobody: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datalad.support.keyring_ import keyring

    keyring.set("campus", "key_id", nobody.access_key_id)
    keyring.set("campus", "secret_id", nobody.secret_access_key)
    document = {"Version": 1, "AccessKeyId": nobody.access_key_id, "Expiration": "2999-12-31T23:00:00Z",
                "SecretAccessKey": nobody.secret_access_key}  # fmt: skip
    (tmp_path / "keys.json").write_text(json.dumps(document))
    config = tmp_path / "config"
    config.write_text(f"[profile lab]\ncredential_process = cat {tmp_path / 'keys.json'}\n")
    before = state(annex)
    expected = {
        "environment": ({}, "environment variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"),
        "profile": ({"profile": "lab"}, "keys from AWS profile 'lab': credential_process"),
        "stored": ({"credential": "campus"}, "keys from DataLad credential 'campus'"),
        "not stored": ({"credential": "new"}, "credential 'new', which would be asked for"),
        "nobody": ({"anonymous": True}, "no keys (anonymous)"),
    }  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(config))
        for options, source in expected.values():
            (record,) = setup(annex, nobody, "bucket", show_credential_source=True, **options)

            assert record["status"] == "ok", record
            assert source in record["message"]
            assert record["message"].startswith(f"would ask {nobody.url} with ")
            shown = json.dumps(record, default=str)
            assert nobody.secret_access_key not in shown
            assert nobody.access_key_id not in shown
            if "profile" in options:
                assert "expire on 2999-12-31 at 23:00 UTC" in record["message"]
    assert state(annex) == before


def test_a_source_without_keys_is_an_error(annex: AnnexRepo, nobody: Endpoint) -> None:
    (record,) = setup(annex, nobody, "bucket", show_credential_source=True, profile="no-such")

    assert record["status"] == "error"
    assert "no AWS profile 'no-such'" in record["message"]


def test_a_credential_of_datalad_next_is_used(
    annex: AnnexRepo, seaweed: Endpoint, new_bucket: str
) -> None:
    """`datalad credentials set` of DataLad-next keeps the key id in git's configuration."""
    from datalad import cfg
    from datalad.support.keyring_ import keyring

    keyring.set("next", "secret", seaweed.secret_access_key)
    cfg.set("datalad.credential.next.key", seaweed.access_key_id, scope="override")
    try:
        (record,) = setup(annex, seaweed, new_bucket, credential="next")
    finally:
        cfg.unset("datalad.credential.next.key", scope="override")

    assert record["status"] == "ok", record
    assert record["credential_source"] == "DataLad credential 'next'"


# -- places that only the clone names --------------------------------------------------------------


@pytest.fixture
def clone(
    annex: AnnexRepo, keys: Endpoint, new_bucket: str, tmp_path: Path, remote_type: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[AnnexRepo]:  # fmt: skip
    """Return a clone of somebody with the right keys, who has not said that the place is right."""
    (record,) = setup(annex, keys, new_bucket, remote_type=remote_type)
    assert record["status"] == "ok", record
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")
    with monkeypatch.context() as patch:
        patch.delenv("S3X_TRUST_ENDPOINT")
        yield annex.clone(tmp_path / "clone")


class Person:
    is_interactive = True

    def __init__(self, answer: bool) -> None:
        self.asked: list[str] = []
        self.answer = answer

    def yesno(self, text: str, **_: object) -> bool:
        self.asked.append(text)
        return self.answer

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


@BOTH_TYPES
@pytest.mark.parametrize("yes", [True, False])
def test_in_a_terminal_one_is_asked(
    clone: AnnexRepo, keys: Endpoint, yes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datalad.ui

    person = Person(yes)
    with monkeypatch.context() as patch:
        patch.setattr(datalad.ui, "ui", person)
        (record,) = enable(clone)

    (question,) = person.asked
    assert f"at {keys.url} (bucket" in question
    assert "environment variables AWS_ACCESS_KEY_ID" in question
    assert record["status"] == ("ok" if yes else "impossible"), record
    if yes:
        clone.annex("get", "data")
        (again,) = enable(clone)
        assert again["status"] == "notneeded"


@BOTH_TYPES
def test_where_nobody_can_be_asked_the_option_is_named(clone: AnnexRepo, keys: Endpoint) -> None:
    (refused,) = enable(clone, name="s3")
    (planned,) = enable(clone, dry_run=True)
    (record,) = enable(clone, name="s3", trust_endpoint=f"{keys.url}/")

    assert refused["status"] == "error"
    assert f"add --trust-endpoint {keys.url}" in refused["message"]
    assert f"--trust-endpoint {keys.url}" in planned["message"]
    assert record["status"] == "ok", record
    clone.annex("get", "data")
    assert keys.url in trust.trusted_endpoints(clone.path / ".git", clone.uuid("s3"))


@pytest.mark.parametrize("remote_type", ["s3x"])
def test_git_annex_alone_says_what_to_do(clone: AnnexRepo, keys: Endpoint) -> None:
    refused = clone.annex("enableremote", "s3", check=False)
    clone.annex("enableremote", "s3", env={"S3X_TRUST_ENDPOINT": keys.url})
    clone.annex("verifyremote", "s3", check=False)
    again = clone.annex("enableremote", "s3", check=False)

    assert refused.returncode != 0
    assert f"S3X_TRUST_ENDPOINT={keys.url} git annex enableremote NAME" in refused.stderr
    assert again.returncode == 0, again.stderr


def test_anonymous_needs_no_word(annex: AnnexRepo, public: PublicBucket, tmp_path: Path) -> None:
    """A public bucket at an endpoint of its own, read by somebody with other keys in the environment."""
    with public.keys() as moto:
        setup(annex, moto, public.name, autoenable="no")
        annex.add("data", b"some content")
        annex.annex("copy", "--to", "s3", "data")
    clone = annex.clone(tmp_path / "clone")
    clone.env = {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "other"}

    (record,) = enable(clone, anonymous=True)

    assert record["status"] == "ok", record
    clone.annex("get", "data")
    assert (clone.path / "data").read_bytes() == b"some content"


def test_keys_that_came_with_the_data_set_need_no_word(
    annex: AnnexRepo, rclone: Endpoint, bucket_name: str, tmp_path: Path
) -> None:
    """They are no secret of whoever clones. git-annex copies them to where kept keys lie."""
    annex.init_s3x(rclone, bucket_name, "embedcreds=yes")
    annex.add("data", b"some content")
    annex.annex("copy", "--to", "s3", "data")
    clone = annex.clone(tmp_path / "clone")
    clone.forget_keys()

    for _ in range(2):
        clone.annex("enableremote", "s3")
    clone.annex("verifyremote", "s3", "--safe", "1", check=False)
    clone.annex("get", "data")

    assert (clone.path / "data").read_bytes() == b"some content"
