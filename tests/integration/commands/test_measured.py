"""What the doctor measured and saved is what the remote does from then on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import Answer
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]

CRC32 = "x-amz-checksum-crc32"
SIZE = 6 * 1024 * 1024


@pytest.fixture
def relay(rclone: Endpoint) -> Iterator[Relay]:
    with Relay(rclone.url) as found:
        yield found


@pytest.fixture
def repo(
    annex: AnnexRepo, relay: Relay, rclone: Endpoint, bucket_name: str, tmp_path: Path
) -> AnnexRepo:
    """A data set whose preset promises that CRC32 is verified, before a server that ignores it."""
    annex.env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    annex.init_s3x(rclone.at(relay.url), bucket_name, "provider=seaweedfs", "partsize=5MiB")
    return annex


def checksums_sent(relay: Relay, repo: AnnexRepo, name: str) -> set[str]:
    """Store a new file, and return with which checksums its parts went out."""
    sent: set[str] = set()

    def note(request: Request) -> bool:
        if request.method == "PUT" and "partNumber" in request.path:
            sent.update({CRC32, "content-md5"} & request.headers.keys())
        return False

    repo.add(name, name.encode() * (SIZE // len(name)))
    relay.answer(note, Answer(200))
    repo.annex("copy", "--to", "s3", name)
    return sent


def test_what_was_saved_is_what_the_remote_does(relay: Relay, repo: AnnexRepo) -> None:
    before = checksums_sent(relay, repo, "first")
    saved = repo.run("datalad", "s3-doctor", "s3", "--save").stdout
    again = repo.run("datalad", "s3-doctor", "s3").stdout

    assert before == {CRC32}
    assert "transfers to this endpoint follow it in place of the preset" in saved
    assert "upload.verified_checksums" in saved
    assert "what was measured before is in force" in again
    assert "the preset seaweedfs says otherwise (upload.verified_checksums" in again
    assert checksums_sent(relay, repo, "second") == {"content-md5"}
    assert "verified_checksums = Content-MD5" in repo.annex("info", "s3").stdout


def test_a_file_that_is_wrong_stops_transfers_with_one_line(relay: Relay, repo: AnnexRepo) -> None:
    repo.run("datalad", "s3-doctor", "s3", "--save")
    (file,) = Path(repo.env["XDG_CONFIG_HOME"]).rglob("measured/*.toml")
    file.write_text(file.read_text().replace("[listing]", "[lissting]"))
    repo.add("file", b"content")

    refused = repo.annex("copy", "--to", "s3", check=False)
    told = repo.annex("info", "s3").stdout
    examined = repo.run("datalad", "s3-doctor", "s3", "--save", check=False)

    line = f"{file}: lissting is not known (did you mean listing?)"
    assert refused.returncode != 0
    assert line in refused.stdout + refused.stderr
    assert f"rm {file}" in refused.stdout + refused.stderr
    assert line in told
    assert line in examined.stdout
    assert "transfers to this endpoint follow it" in examined.stdout
    repo.annex("copy", "--to", "s3")
