"""How git-annex is told who asks, and where a remote that is recorded can be reached."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from datalad_s3ext.commands import _connect
from datalad_s3ext.commands._access import (
    Choice,
    builtin_keys,
    environment,
    local_config,
    masking_config,
    record_choice,
)
from datalad_s3ext.credentials.model import Anonymous, Keys, Profile, SdkChain
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.remotes import SpecialRemote
from tests.support.repos import AnnexRepo

KEYS = Keys("AKID", "hush", "token", datetime(2026, 11, 22, 18, tzinfo=UTC))
NOTHING = {
    "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None,
    "AWS_PROFILE": None, "S3X_ANONYMOUS": None, "AWS_EXPIRATION": None,
    "AWS_CREDENTIAL_EXPIRATION": None,
}  # fmt: skip


def test_keys_go_by_environment_and_remove_all_else() -> None:
    assert environment(KEYS) == {
        **NOTHING,
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "AWS_SESSION_TOKEN": "token",
        "AWS_EXPIRATION": "2026-11-22T18:00:00+00:00",
    }


def test_a_profile_removes_keys_that_would_win() -> None:
    assert environment(Profile("lab")) == {**NOTHING, "AWS_PROFILE": "lab"}


def test_anonymous_removes_every_key() -> None:
    assert environment(Anonymous()) == {**NOTHING, "S3X_ANONYMOUS": "1"}


def test_what_boto3_finds_by_itself_is_left_to_it() -> None:
    assert environment(SdkChain()) == {"S3X_ANONYMOUS": None}


def test_only_names_of_profiles_enter_the_git_config() -> None:
    assert local_config(KEYS) == {"s3x-profile": None, "s3x-anonymous": None}
    assert local_config(Profile("lab")) == {"s3x-profile": "lab", "s3x-anonymous": None}
    assert local_config(Anonymous()) == {"s3x-profile": None, "s3x-anonymous": "true"}


def test_built_in_s3_takes_keys_or_nobody() -> None:
    assert builtin_keys(KEYS) is KEYS
    assert builtin_keys(Anonymous()) == Anonymous()
    for other in (Profile("lab"), SdkChain()):
        with pytest.raises(ConfigError, match="--remote-type s3x"):
            builtin_keys(other)


def test_choices_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="--profile and --credential exclude each other"):
        Choice(profile="a", credential="b")


@pytest.mark.annex
def test_an_older_choice_has_no_effect_on_the_call_that_replaces_it(annex: AnnexRepo) -> None:
    record_choice(annex.path, "s3", Profile("old"))

    assert masking_config(annex.path, "s3", Anonymous()) == {"remote.s3.s3x-profile": ""}
    assert masking_config(annex.path, "s3", Profile("new")) == {"remote.s3.s3x-profile": "new"}
    assert masking_config(annex.path, "s3", Profile("old")) == {}

    record_choice(annex.path, "s3", Anonymous())

    assert remotes.get_config(annex.path, "s3", "s3x-profile") is None
    assert remotes.get_config(annex.path, "s3", "s3x-anonymous") == "true"


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:9000", True), ("http://127.8.8.8", True), ("http://[::1]:9000", True),
     ("https://localhost", True), ("https://s3.example.org", False), ("http://10.0.0.1", False),
     (None, False)],
)  # fmt: skip
def test_this_machine_is_told_from_others(url: str | None, expected: bool) -> None:
    assert _connect.is_loopback(url) is expected


@pytest.mark.annex
def test_only_the_address_and_port_of_a_server_on_this_machine_are_allowed(
    annex: AnnexRepo,
) -> None:
    name = "annex.security.allowed-ip-addresses"

    assert _connect.builtin_address_config(annex.path, "http://127.0.0.1:9000") == {
        name: "[127.0.0.1]:9000"
    }
    assert _connect.builtin_address_config(annex.path, "https://s3.example.org") == {}

    remotes.set_local(annex.path, name, "10.0.0.1")
    assert _connect.builtin_address_config(annex.path, "http://127.0.0.1:9000") == {
        name: "10.0.0.1 [127.0.0.1]:9000"
    }
    for enough in ("all", "10.0.0.1 [127.0.0.1]:9000"):
        remotes.set_local(annex.path, name, enough)
        assert _connect.builtin_address_config(annex.path, "http://127.0.0.1:9000") == {}


def _recorded(**parameters: str) -> SpecialRemote:
    externaltype = parameters.get("externaltype")
    return SpecialRemote("u", "s3", parameters["type"], externaltype, parameters)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"type": "S3", "host": "s3.example.org", "port": "443"}, "https://s3.example.org"),
        ({"type": "S3", "host": "s3.example.org", "port": "80"}, "http://s3.example.org"),
        ({"type": "S3", "host": "h", "port": "9000", "datacenter": "US"}, "http://h:9000"),
        ({"type": "S3", "host": "s3.amazonaws.com", "datacenter": "US"}, None),
        ({"type": "external", "externaltype": "s3x", "endpoint": "https://s3.example.org"},
         "https://s3.example.org"),
        ({"type": "external", "externaltype": "s3x", "provider": "not-known-here",
          "endpoint": "https://s3.example.org"}, "https://s3.example.org"),
    ],
    ids=str,
)  # fmt: skip
def test_the_endpoint_of_a_recorded_remote(
    parameters: dict[str, str], expected: str | None, tmp_path: Path
) -> None:
    remote = _recorded(bucket="lab", **parameters)

    found = _connect.recorded_connection(remote, dataset=tmp_path).endpoint_url

    assert found is None if expected is None else (found or "").removesuffix(":80") in {
        expected, f"{expected}:443",
    }  # fmt: skip


def test_the_signature_of_a_clone_counts_for_nothing(tmp_path: Path) -> None:
    remote = _recorded(
        type="external", externaltype="s3x", bucket="lab", endpoint="https://s3.example.org",
        signature="v2",
    )  # fmt: skip

    assert _connect.recorded_connection(remote, dataset=tmp_path).signature == "v4"


def test_an_unknown_preset_without_an_endpoint_is_an_error(tmp_path: Path) -> None:
    remote = _recorded(type="external", externaltype="s3x", bucket="lab", provider="nowhere")

    with pytest.raises(ConfigError, match="nowhere"):
        _connect.recorded_connection(remote, dataset=tmp_path)
