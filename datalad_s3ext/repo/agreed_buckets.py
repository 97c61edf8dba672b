"""Buckets whose objects the user of this clone has asked for by URL.

The URLs of a data set come in with a clone. One of them may name a private object that the user, and
not its author, can read: fetched without a thought, and pushed on, it would be private no more. So the
user's keys read content that no checksum vouches for only where a person here has asked for it::

    [s3x "UUID-OF-THE-REMOTE"]
        bucket = s3://my-bucket/
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from datalad_s3ext.errors import LocalError, one_line

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def setting_of(uuid: str) -> str:
    """Return the name of the git configuration that lists the buckets for a remote."""
    return f"s3x.{uuid}.bucket"


def agreed_buckets(git_dir: Path, uuid: str) -> frozenset[str]:
    """Return the agreed buckets as URLs that end in ``/``; none when git cannot say."""
    if not _ID.fullmatch(uuid):
        return frozenset()
    return frozenset(_git(git_dir, "config", "--get-all", setting_of(uuid)).stdout.split())


def agree_to_bucket(git_dir: Path, uuid: str, bucket_url: str) -> None:
    """Note that a person here has asked for objects of a bucket.

    Raises
    ------
    LocalError
        When git cannot write its configuration.
    """
    if bucket_url in agreed_buckets(git_dir, uuid) or not _ID.fullmatch(uuid):
        return
    done = _git(git_dir, "config", "--local", "--add", setting_of(uuid), bucket_url)
    if done.returncode and bucket_url not in agreed_buckets(git_dir, uuid):
        raise LocalError(f"git cannot write its configuration: {one_line(done.stderr)}")


def _git(git_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", f"--git-dir={git_dir}", *arguments],
        capture_output=True, text=True, errors="surrogateescape", check=False,
    )  # fmt: skip
