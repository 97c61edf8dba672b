"""Encryption and chunks, which git-annex does, through s3x: real git-annex and GnuPG."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalad_s3ext.units import MIB
from tests.e2e.helpers import (
    add_all,
    clone_of,
    kill_group,
    object_bytes,
    object_names,
    pattern,
    remotes_of,
    start,
    wait_until,
)
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

PERSON = "colleague@example.org"
needs_gpg = pytest.mark.skipif(not shutil.which("gpg"), reason="GnuPG (gpg) is not installed")


@pytest.fixture(scope="module")
def gpg_home() -> Iterator[str]:
    """Return a home of GnuPG with one key pair; its path is short, for the agent's socket."""
    home = tempfile.mkdtemp(prefix="gpg-")
    command = ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", ""]
    try:
        subprocess.run(
            [*command, "--quick-generate-key", PERSON, "default", "default", "never"],
            check=True, capture_output=True,
        )  # fmt: skip
        yield home
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


def scheme(name: str) -> object:
    """Return the parameters of an encryption; what needs more than GnuPG's defaults is left to ALL=1."""
    keyid = () if name in ("none", "shared") else (f"keyid={PERSON}",)
    marks = [] if name == "none" else [needs_gpg]
    if name != "hybrid":
        marks.append(pytest.mark.thorough)
    return pytest.param((f"encryption={name}", *keyid), id=name, marks=marks)


@pytest.mark.parametrize(
    "parameters", [scheme(name) for name in ("none", "shared", "hybrid", "pubkey", "sharedpubkey")]
)
def test_files_come_back_from_a_remote_with_encryption_and_chunks(
    annex: AnnexRepo,
    any_endpoint: Endpoint,
    bucket_name: str,
    tmp_path: Path,
    parameters: tuple[str, ...],
    gpg_home: str,
) -> None:
    annex.env["GNUPGHOME"] = gpg_home
    files = {"small": b"nothing but a few words", "large": pattern(2 * MIB + 17), "empty": b""}
    keys = add_all(annex, files)
    annex.init_s3x(any_endpoint, bucket_name, *parameters, "chunk=1MiB")

    annex.annex("copy", "--to", "s3", "-J3", ".")
    annex.annex("fsck", "--fast", "--from", "s3", "-J3", ".")
    colleague = clone_of(annex, tmp_path / "copy")
    colleague.annex("get", "-J3", ".")

    assert {name: (colleague.path / name).read_bytes() for name in files} == files
    names = object_names(any_endpoint, bucket_name) - {"annex-uuid"}
    if parameters[0] == "encryption=none":
        chunks = [("small", 1), ("empty", 1), ("large", 1), ("large", 2), ("large", 3)]
        assert names == {keys[name].replace("--", f"-S{MIB}-C{i}--", 1) for name, i in chunks}
    else:
        assert len(names) == 5
        assert all(name.startswith("GPGHMACSHA1--") for name in names)
        stored = b"".join(object_bytes(any_endpoint, bucket_name, name) or b"" for name in names)
        assert files["small"] not in stored
        assert files["large"][:64] not in stored
    annex.annex("drop", "--from", "s3", "--force", "-J3", ".")
    assert object_names(any_endpoint, bucket_name) == {"annex-uuid"}


@needs_gpg
def test_a_killed_upload_goes_on_behind_the_chunks_that_are_there(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str, gpg_home: str
) -> None:
    annex.env["GNUPGHOME"] = gpg_home
    content, count = pattern(8 * MIB), 8
    with Relay(any_endpoint.url) as relay:
        annex.init_s3x(any_endpoint.at(relay.url), bucket_name, "encryption=shared", "chunk=1MiB")
        annex.add("large", content)
        relay.rate_bytes_per_s = 2 * MIB
        process = start(annex, "copy", "--to", "s3", "large")

        def chunks() -> int:
            return len(object_names(any_endpoint, bucket_name) - {"annex-uuid"})

        wait_until(lambda: chunks() >= 3 or process.poll() is not None, 60, "three chunks")
        assert process.poll() is None, "it was over before it could be killed"
        kill_group(process)
        wait_until(lambda: not remotes_of(annex), 20, "the end of the remote")
        relay.rate_bytes_per_s = None
        there, seen = chunks(), len(relay.requests)

        annex.annex("copy", "--to", "s3", "large")

        sent = [method for method, _ in relay.requests[seen:] if method == "PUT"]
        assert len(sent) <= count - there
        annex.annex("drop", "large")
        annex.annex("get", "large")
        assert (annex.path / "large").read_bytes() == content


@pytest.mark.thorough
def test_large_chunks_go_up_in_parts(
    annex: AnnexRepo, any_endpoint: Endpoint, bucket_name: str
) -> None:
    annex.init_s3x(any_endpoint, bucket_name, "chunk=100MiB")
    key = annex.add("large", pattern(210 * MIB))

    annex.annex("copy", "--to", "s3", "large")
    annex.annex("drop", "large")
    annex.annex("get", "large")

    assert object_names(any_endpoint, bucket_name) == {
        "annex-uuid",
        *(key.replace("--", f"-S{100 * MIB}-C{number}--", 1) for number in (1, 2, 3)),
    }
