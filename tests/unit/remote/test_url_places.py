"""Whose keys, if any, go to an endpoint that only a URL names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datalad_s3ext.credentials.model import Anonymous, Keys
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.url_places import foreign_connection, foreign_identity
from datalad_s3ext.repo.trust import trust_endpoint

UUID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def git_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for everybody")
    return tmp_path / ".git"


def test_a_host_that_nobody_knows_gets_no_keys(git_dir: Path) -> None:
    connection = foreign_connection("https://s3.somewhere.example.org")

    assert isinstance(foreign_identity(connection, git_dir, UUID), Anonymous)


@pytest.mark.parametrize(
    "endpoint",
    ["http://s3.somewhere.example.org", "https://127.0.0.1:9000", "http://localhost:9000",
     "https://169.254.169.254", "https://[::1]", "https://intranet", "https://minio.local",
     "https://10.0.0.1", "https://127.1", "https://0x7f.1",
     "https://router.home.arpa", "https://nas.localdomain"],
)  # fmt: skip
def test_what_is_not_public_is_not_asked_at_all(git_dir: Path, endpoint: str) -> None:
    with pytest.raises(ConfigError, match="S3X_TRUST_ENDPOINT"):
        foreign_identity(foreign_connection(endpoint), git_dir, UUID)
    with pytest.raises(ConfigError):
        foreign_identity(foreign_connection(endpoint), git_dir, UUID, anonymous=True)


def test_an_endpoint_that_was_agreed_to_gets_them(
    git_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = foreign_connection("http://127.0.0.1:9000")
    trust_endpoint(git_dir, UUID, "http://127.0.0.1:9000")
    assert isinstance(foreign_identity(connection, git_dir, UUID), Keys)
    assert isinstance(foreign_identity(connection, git_dir, UUID, anonymous=True), Anonymous)

    monkeypatch.setenv("S3X_TRUST_ENDPOINT", "http://127.0.0.1:9001")
    assert isinstance(
        foreign_identity(foreign_connection("http://127.0.0.1:9001"), git_dir, UUID), Keys
    )


def test_a_service_that_this_machine_knows_is_known_by_its_host(git_dir: Path) -> None:
    connection = foreign_connection("https://s3.eu-west-1.amazonaws.com")

    assert connection.provider.id == "aws"
    assert isinstance(foreign_identity(connection, git_dir, UUID), Keys)
