"""Import requests in front of a real server, where a data set says things that are not so."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.integration.remote.test_requests import started
from tests.support.servers import Endpoint, boto3_client

LISTED = "INFO IMPORTKEY"


def git(folder: Path, *words: str, given: str = "") -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, input=given.encode(), capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def note_export(folder: Path, uuid: str, name: str, key: str) -> None:
    """Write into the git-annex branch that a tree with one file was exported."""
    pointer = git(folder, "hash-object", "-w", "--stdin", given=f"/annex/objects/{key}\n")
    tree = git(folder, "mktree", given=f"100644 blob {pointer}\t{name}\n")
    log = git(folder, "hash-object", "-w", "--stdin", given=f"1795358318s aaaa:{uuid} {tree}\n")
    branch = git(folder, "mktree", given=f"100644 blob {log}\texport.log\n")
    commit = git(
        folder, "-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", branch, "-m", "update"
    )
    git(folder, "update-ref", "refs/heads/git-annex", commit)


@pytest.mark.parametrize("is_contradicted", [True, False])
def test_a_note_of_a_version_counts_only_where_the_server_says_nothing_else(
    seaweed: Endpoint, new_bucket: str, tmp_path: Path, is_contradicted: bool
) -> None:
    """The note says that this version is the content of a key; its checksum may say that it is not."""
    client = boto3_client(seaweed)
    client.put_bucket_versioning(Bucket=new_bucket, VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket=new_bucket, Key="f", Body=b"new")["VersionId"]
    other = f"MD5E-s3--{hashlib.md5(b'old').hexdigest()}.txt"
    key = other if is_contradicted else "WORM-s3-m1--f"
    with started(seaweed, new_bucket, tmp_path, importtree="yes", bucketversioning="yes") as annex:
        note_export(tmp_path, annex.uuid, "f", key)
        annex.urls[key] = [f"s3://{new_bucket}/f?versionId={version}"]
        annex.start(LISTED)
        assert annex.ask("LISTIMPORTABLECONTENTS") == "IMPORTABLECONTENT 3 f"
        identifier = annex.receive().removeprefix("IMPORTABLECONTENTIDENTIFIER ")
        annex.expect("LISTIMPORTABLECONTENTS-SUCCESS")
        annex.send("IMPORT f")

        answer = annex.ask(f"IMPORTKEY 3 {identifier}")

    found = f"MD5-s3--{hashlib.md5(b'new').hexdigest()}" if is_contradicted else key
    assert answer == f"IMPORTKEY-SUCCESS {found}"
