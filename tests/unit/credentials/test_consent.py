"""Which endpoints may get keys although somebody else has named them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from datalad_s3ext.credentials.consent import is_vouched_for
from datalad_s3ext.providers.load import load_provider
from datalad_s3ext.providers.resolve import resolve

NOTHING: Mapping[str, str] = {}


@pytest.fixture(autouse=True)
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3EXT_SERVER_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def vouched(provider: str, endpoint: str | None, environ: Mapping[str, str] = NOTHING) -> bool:
    found = resolve(load_provider(provider), endpoint=endpoint, environ={})
    return is_vouched_for(found, environ)


@pytest.mark.parametrize(
    ("provider", "endpoint"),
    [
        ("aws", None),
        ("aws", "https://s3.eu-west-1.amazonaws.com"),
        ("wasabi", "https://s3.eu-central-1.wasabisys.com"),
        ("mdx", "https://s3ds.mdx.jp"),
        ("cloudflare-r2", "https://0123abcd.r2.cloudflarestorage.com"),
    ],
)
def test_places_of_the_preset_are_known(provider: str, endpoint: str | None) -> None:
    assert vouched(provider, endpoint)


@pytest.mark.parametrize(
    ("provider", "endpoint"),
    [
        ("other", "https://s3.example.org"),
        ("wasabi", "https://s3.example.org"),
        ("wasabi", "http://s3.eu-central-1.wasabisys.com"),
        ("wasabi", "https://s3.eu-central-1.wasabisys.com:8443"),
        ("wasabi", "https://s3.eu-central-1.wasabisys.com.example.org"),
        ("wasabi", "https://s3xeu-central-1.wasabisys.com"),
        ("aws", "https://s3.amazonaws.com.example.org"),
        ("aws", "https://wasabisys.com"),
        ("cloudflare-r2", "https://r2.cloudflarestorage.com.example.org"),
        ("minio", "http://127.0.0.1:9000"),
        ("local", "http://127.0.0.1:9000"),
    ],
)
def test_other_places_are_not(provider: str, endpoint: str) -> None:
    assert not vouched(provider, endpoint)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_S3_ENDPOINT", "minio.lab.example.org"),
        ("AWS_ENDPOINT_URL", "https://minio.lab.example.org/"),
        ("AWS_ENDPOINT_URL_S3", "https://minio.lab.example.org"),
        ("S3X_TRUST_ENDPOINT", "https://s3.example.org https://minio.lab.example.org"),
    ],
)
def test_what_the_environment_names_is_known(variable: str, value: str) -> None:
    assert vouched("other", "https://minio.lab.example.org", {variable: value})
    assert not vouched("other", "http://minio.lab.example.org", {variable: value})
    assert not vouched("other", "https://lab.example.org", {variable: value})


def test_the_running_local_server_is_known(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(
        '{"endpoint": "http://127.0.0.1:4711", "region": "r", "access_key_id": "i",'
        ' "secret_access_key": "s"}'
    )

    assert vouched("other", "http://127.0.0.1:4711")
    assert not vouched("other", "http://127.0.0.1:4712")


def test_a_preset_that_only_the_data_set_has_vouches_for_nothing(tmp_path: Path) -> None:
    from datalad_s3ext.providers.load import load_file

    file = tmp_path / "theirs.toml"
    file.write_text(
        'id = "theirs"\nname = "Lab"\nkind = "academic"\n[endpoint]\n'
        'default = "https://s3.example.org"\n[evidence]\nchecked = "2026-11-22"\nconfidence = "low"\n'
    )

    assert not is_vouched_for(resolve(load_file(file), environ={}), {})
