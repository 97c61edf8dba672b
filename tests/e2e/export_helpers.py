"""What the tests of exported trees share."""

from __future__ import annotations

from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint, boto3_client


def init_export(repo: AnnexRepo, endpoint: Endpoint, bucket: str, *more: str, name: str = "s3") -> None:
    repo.init_s3x(endpoint, bucket, "exporttree=yes", *more, name=name)


def write(repo: AnnexRepo, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = repo.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)


def commit(repo: AnnexRepo, files: dict[str, bytes] | None = None) -> None:
    write(repo, files or {})
    repo.annex("add", ".")
    repo.run("git", "add", "-A", ".")
    repo.run("git", "commit", "-q", "-m", "files")


def export(repo: AnnexRepo, *more: str, to: str = "s3") -> str:
    done = repo.annex("export", "main", "--to", to, *more)
    return done.stdout + done.stderr


def in_bucket(endpoint: Endpoint, bucket: str, names: set[str]) -> dict[str, bytes]:
    client = boto3_client(endpoint)
    return {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}
