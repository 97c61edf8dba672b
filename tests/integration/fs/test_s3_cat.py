"""``datalad s3-cat``: bytes of files whose content lies in a bucket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext.commands.s3_cat import PIECE_BYTES
from tests.integration.commands.helpers import QUIET
from tests.integration.fs.scenes import BIG, FILES
from tests.support.faults import Body
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint
from tests.support.wire import Request

pytestmark = [pytest.mark.annex, pytest.mark.server]


def cat(repo: AnnexRepo, name: str, **options: Any) -> list[dict[str, Any]]:
    """Run s3-cat and return its records."""
    from datalad_s3ext.commands.s3_cat import S3Cat

    found: list[dict[str, Any]] = S3Cat()(str(repo.path / name), **{**QUIET, **options})
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_whole(
    in_bucket: AnnexRepo, name: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cat(in_bucket, name, ref="v1") == []
    assert capsysbinary.readouterr().out == FILES[name]


@pytest.mark.parametrize(
    ("asked", "part"),
    [("0-99", BIG[:100]), ("5-5", BIG[5:6]), ("1299990-", BIG[-10:]), ("-20", BIG[-20:])],
)
def test_a_range_is_that_of_http(
    in_bucket: AnnexRepo, asked: str, part: bytes, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cat(in_bucket, "data/big.dat", range=asked) == []
    assert capsysbinary.readouterr().out == part


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("nothing", {}, "no such file"),
        ("data", {}, "folder"),
        ("plain.txt", {"range": "x"}, "write it like"),
        ("plain.txt", {"range": "7-9"}, "lies not in the file"),
        ("plain.txt", {"ref": "nothing"}, "no commit"),
    ],
)
def test_what_cannot_be_had_is_told(
    in_bucket: AnnexRepo, name: str, options: dict[str, str], reason: str
) -> None:
    (record,) = cat(in_bucket, name, **options)

    assert record["status"] == "error"
    assert reason in record["message"]


def test_errors_stay_apart_from_bytes(in_bucket: AnnexRepo) -> None:
    command = [f"{Path(sys.executable).parent}/datalad", "s3-cat", "nothing"]
    done = subprocess.run(command, cwd=in_bucket.path, capture_output=True, check=False)

    assert done.returncode == 1
    assert done.stdout == b""
    assert b"there is no such file" in done.stderr
    assert b"Traceback" not in done.stderr


def test_in_a_shell_that_reads_only_the_beginning(in_bucket: AnnexRepo) -> None:
    command = f"{Path(sys.executable).parent}/datalad s3-cat data/big.dat | head -c 1000"
    done = subprocess.run(command, shell=True, cwd=in_bucket.path, capture_output=True, check=False)

    assert done.stdout == BIG[:1000]
    assert b"Traceback" not in done.stderr, done.stderr


def test_it_ends_with_its_reader_whatever_is_still_on_its_way(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str
) -> None:
    content = BIG * 10
    held: list[str] = []

    def is_far(request: Request) -> bool:
        asked = request.headers.get("range", "")
        return not asked.startswith("bytes=0-") and int(asked[6:].partition("-")[0]) >= PIECE_BYTES

    def hold(body: Body) -> Body:
        held.append("")
        relay.hold(600)
        yield from body

    with Relay(seaweed.url) as relay:
        annex.init_s3x(seaweed.at(relay.url), bucket_name)
        annex.add("large", content)
        annex.annex("move", "large", "--to", "s3")
        relay.shapers_down.add(is_far, hold, 1000)
        command = f"{Path(sys.executable).parent}/datalad s3-cat large | head -c 100"
        done = subprocess.run(
            command, shell=True, cwd=annex.path, env={**os.environ, **annex.env},
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.stdout == BIG[:100]
    assert done.stderr == b""
    assert held, "nothing was fetched ahead"
