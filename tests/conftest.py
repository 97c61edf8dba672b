"""Fixtures for everybody, and guards: no test sees or touches the user's files, keys or settings."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, MotoServer, RcloneServer, SeaweedServer, boto3_client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: "test_testremote" not in item.nodeid)


SERVERS = {"seaweedfs": SeaweedServer, "rclone": RcloneServer, "moto": MotoServer}


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the whole run a HOME, a git identity and a keyring of its own, and no keys."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("AWS_", "XDG_", "S3X", "GIT_"))]:
        del os.environ[name]
    os.environ.update(
        HOME=str(home),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL=str(home / ".gitconfig"),
        GIT_TERMINAL_PROMPT="0",
        AWS_EC2_METADATA_DISABLED="true",
        PYTHON_KEYRING_BACKEND="keyrings.alt.file.PlaintextKeyring",
        S3EXT_SERVER_HOME=str(home / "server"),
        PATH=f"{Path(os.sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        NO_PROXY="127.0.0.1,localhost",
    )
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n"
        '[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[protocol "file"]\n\tallow = always\n'
    )
    return home


@pytest.fixture(autouse=True)
def unchanged_environment(own_home: Path) -> Iterator[None]:
    """Fail a test that leaves other environment variables or another git configuration behind."""
    before = dict(os.environ)
    git_before = (own_home / ".gitconfig").read_text()
    yield
    after = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    before.pop("PYTEST_CURRENT_TEST", None)
    assert after == before
    assert (own_home / ".gitconfig").read_text() == git_before


def _running(kind: str) -> Iterator[Endpoint]:
    with SERVERS[kind]() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Endpoint]:
    yield from _running("seaweedfs")


@pytest.fixture(scope="session")
def rclone() -> Iterator[Endpoint]:
    yield from _running("rclone")


@pytest.fixture(scope="session")
def moto() -> Iterator[Endpoint]:
    yield from _running("moto")


def _chosen(request: pytest.FixtureRequest) -> Endpoint:
    fixture = {"seaweedfs": "seaweed"}.get(request.param, request.param)
    found: Endpoint = request.getfixturevalue(fixture)
    return found


@pytest.fixture(params=list(SERVERS))
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """Each real server in turn."""
    return _chosen(request)


@pytest.fixture(
    params=[
        "seaweedfs",
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("rclone", "moto")),
    ]
)
def any_endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """SeaweedFS; with the thorough tests, each real server in turn."""
    return _chosen(request)


@pytest.fixture
def bucket_name() -> str:
    """Return a name that no other test uses."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture
def new_bucket(seaweed: Endpoint, bucket_name: str) -> str:
    """Return the name of a fresh bucket on SeaweedFS."""
    boto3_client(seaweed).create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.fixture
def annex(tmp_path: Path) -> AnnexRepo:
    """Return a fresh repository with git-annex initialised."""
    return AnnexRepo.create(tmp_path / "repo")


@pytest.fixture(scope="session")
def git_annex_version(own_home: Path) -> str:
    found = subprocess.run(
        ["git", "annex", "version", "--raw"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()
