"""Data sets whose content lies in a bucket only, in each layout that git-annex gives it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

BIG = random.Random(1).randbytes(1_300_000)
ODD = "data/ümläut & 100%.dat"
IN_GIT = {"plain.txt": b"in git\n", "data/notes.md": b"# notes\n"}
ANNEXED = {
    "data/big.dat": BIG,
    "data/deep/er/small.dat": b"small",
    "unlocked.dat": BIG[:300_000],
    ODD: b"odd name",
    "empty.dat": b"",
}
FILES = {**IN_GIT, **ANNEXED}
"""All files, links excepted."""


def fill(repo: AnnexRepo) -> None:
    """Add all files, one of them unlocked, and a link to one; tag that as v1."""
    for name, content in FILES.items():
        file = repo.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    repo.run("git", "-c", "annex.largefiles=nothing", "add", *IN_GIT)
    repo.annex("add", "--", *ANNEXED)
    repo.annex("unlock", "unlocked.dat")
    (repo.path / "link.dat").symlink_to("data/big.dat")
    repo.run("git", "add", "link.dat")
    repo.run("git", "commit", "-q", "-m", "all files")
    repo.run("git", "tag", "v1")


def plain(repo: AnnexRepo, endpoint: Endpoint, bucket: str) -> None:
    repo.init_s3x(endpoint, bucket, "fileprefix=pre/")
    _move(repo)


def chunked(repo: AnnexRepo, endpoint: Endpoint, bucket: str) -> None:
    repo.init_s3x(endpoint, bucket, "chunk=300KB")
    _move(repo)


def built_in(repo: AnnexRepo, endpoint: Endpoint, bucket: str) -> None:
    repo.init_builtin(endpoint, bucket, name="s3")
    repo.run("git", "config", f"s3x.{repo.uuid('s3')}.endpoint", endpoint.url)
    _move(repo)


def exported(repo: AnnexRepo, endpoint: Endpoint, bucket: str) -> None:
    repo.init_s3x(endpoint, bucket, "exporttree=yes", "fileprefix=tree/")
    repo.annex("export", "main", "--to", "s3")
    repo.annex("drop", "--force", "--all")


def _move(repo: AnnexRepo) -> None:
    repo.annex("move", "--all", "--to", "s3")


LAYOUTS: dict[str, Callable[[AnnexRepo, Endpoint, str], None]] = {
    "plain": plain,
    "chunked": chunked,
    "built_in": built_in,
    "exported": exported,
}


def scene(path: Path, layout: str, endpoint: Endpoint, bucket: str) -> AnnexRepo:
    """Return a repository that is filled and whose content lies in `bucket` only."""
    repo = AnnexRepo.create(path)
    fill(repo)
    LAYOUTS[layout](repo, endpoint, bucket)
    objects = repo.path / ".git" / "annex" / "objects"
    assert not [file for file in objects.rglob("*") if file.is_file()]
    return repo
