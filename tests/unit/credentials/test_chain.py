"""Who asks: the order of sources, and what is said when keys are half given or lapsed."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from datalad_s3ext.credentials.chain import find_identity
from datalad_s3ext.credentials.model import Anonymous, Keys, Profile, SdkChain
from datalad_s3ext.errors import ConfigError, CredentialsError
from datalad_s3ext.providers.load import load_provider

MDX = load_provider("mdx")
EXPLICIT = Keys("explicit-id", "explicit-secret")
REMEMBERED = Keys("remembered-id", "remembered-secret", source="git-annex")
PAIR = {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret"}
PROFILE = {"AWS_PROFILE": "lab"}
NO_ENV: Mapping[str, str] = {}


@pytest.fixture(autouse=True)
def server_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S3EXT_SERVER_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def key_id(identity: object) -> str:
    assert isinstance(identity, Keys)
    return identity.access_key_id


def test_each_source_yields_to_those_before_it() -> None:
    everything = {
        "anonymous": True, "explicit": EXPLICIT, "profile": "given", "remembered": REMEMBERED,
        "environ": {**PAIR, **PROFILE},
    }  # fmt: skip

    def without(*names: str) -> object:
        return find_identity(MDX, **{k: v for k, v in everything.items() if k not in names})

    assert without() == Anonymous()
    assert without("anonymous") is EXPLICIT
    assert without("anonymous", "explicit") == Profile("given")
    assert without("anonymous", "explicit", "profile") is REMEMBERED
    assert key_id(without("anonymous", "explicit", "profile", "remembered")) == "env-id"
    assert find_identity(MDX, environ=PROFILE) == Profile("lab")
    assert find_identity(MDX, environ=NO_ENV) == SdkChain()


def test_keys_of_the_local_server_win_over_the_environment_for_its_preset(tmp_path: Path) -> None:
    record = {"endpoint": "http://127.0.0.1:1", "region": "us-east-1",
              "access_key_id": "local-id", "secret_access_key": "local-secret"}  # fmt: skip
    (tmp_path / "server.json").write_text(json.dumps(record))

    local = find_identity(load_provider("local"), environ=PAIR)

    assert isinstance(local, Keys)
    assert (local.access_key_id, local.secret_access_key) == ("local-id", "local-secret")
    assert local.source == f"local S3 server ({tmp_path / 'server.json'})"
    assert key_id(find_identity(MDX, environ=PAIR)) == "env-id"


def test_local_server_that_does_not_run_is_told() -> None:
    with pytest.raises(ConfigError, match="does not run; start it: datalad s3-serve --background"):
        find_identity(load_provider("local"), environ=PAIR)


def test_keys_of_the_environment_say_which_variables_they_stood_in() -> None:
    keys = find_identity(MDX, environ={**PAIR, "AWS_SESSION_TOKEN": "env-token"})

    assert keys == Keys(
        "env-id", "env-secret", "env-token",
        source="environment variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
    )  # fmt: skip


def test_empty_variables_count_as_unset() -> None:
    keys = find_identity(MDX, environ={**PAIR, "AWS_SESSION_TOKEN": ""})

    assert isinstance(keys, Keys)
    assert keys.session_token is None
    assert find_identity(MDX, environ=dict.fromkeys([*PAIR, *PROFILE], "")) == SdkChain()


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_half_a_pair_is_told_by_name(there: str, missing: str) -> None:
    with pytest.raises(CredentialsError) as failure:
        find_identity(MDX, environ={there: "value-not-shown", missing: "", **PROFILE})

    assert str(failure.value) == (
        f"the environment variable {there} is set, {missing} is not; set {missing}, or unset {there}"
    )


@pytest.mark.parametrize("variable", ["AWS_EXPIRATION", "AWS_CREDENTIAL_EXPIRATION"])
@pytest.mark.parametrize(
    "text", ["2999-12-31T23:00:00Z", "2999-12-31T23:00:00+00:00", "2999-12-31T23:00:00"]
)
def test_date_of_expiry_is_read(variable: str, text: str) -> None:
    keys = find_identity(MDX, environ={**PAIR, variable: text})

    assert isinstance(keys, Keys)
    assert keys.expires_at == datetime(2999, 12, 31, 23, tzinfo=UTC)


def test_expired_keys_are_refused_with_the_way_to_new_ones() -> None:
    environ = {**PAIR, "AWS_EXPIRATION": "2020-02-03T04:05:06Z"}

    with pytest.raises(CredentialsError) as failure:
        find_identity(MDX, environ=environ)

    assert str(failure.value) == (
        "the keys from environment variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY expired on"
        " 2020-02-03 at 04:05 UTC; get new ones for mdx object storage S3DS: mdx user portal"
    )


def test_expired_explicit_keys_are_refused() -> None:
    old = Keys("id", "secret", expires_at=datetime(2020, 1, 1, tzinfo=UTC))

    with pytest.raises(CredentialsError, match="the keys from the command line expired"):
        find_identity(MDX, explicit=old, environ=NO_ENV)


def test_expiry_that_is_no_date_is_told_without_its_value() -> None:
    with pytest.raises(CredentialsError, match="AWS_EXPIRATION holds no date") as failure:
        find_identity(MDX, environ={**PAIR, "AWS_EXPIRATION": "env-secret"})

    assert "env-secret" not in str(failure.value)


def test_nothing_shows_a_secret() -> None:
    keys = find_identity(MDX, environ={**PAIR, "AWS_SESSION_TOKEN": "env-token"})

    for text in (repr(keys), str(keys), f"{keys}", keys.source):
        assert "env-secret" not in text
        assert "env-token" not in text
