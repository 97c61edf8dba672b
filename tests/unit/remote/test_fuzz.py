"""Lines that make no sense: whatever comes, each answer is a whole line, and the end is an end."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datalad_s3ext.remote.handlers import S3xRemote
from datalad_s3ext.remote.messages import Wire, decode, split_job
from datalad_s3ext.remote.session import Session
from datalad_s3ext.remote.shared import Shared

if TYPE_CHECKING:
    from annexremote import Master

WORDS = [
    b"INITREMOTE", b"PREPARE", b"TRANSFER", b"STORE", b"RETRIEVE", b"CHECKPRESENT", b"REMOVE", b"GETCOST",
    b"LISTCONFIGS", b"GETORDERED", b"GETAVAILABILITY", b"CLAIMURL", b"CHECKURL", b"WHEREIS", b"GETINFO",
    b"EXPORTSUPPORTED", b"EXPORT", b"TRANSFEREXPORT", b"CHECKPRESENTEXPORT", b"REMOVEEXPORT",
    b"REMOVEEXPORTDIRECTORY", b"RENAMEEXPORT", b"IMPORTSUPPORTED", b"LISTIMPORTABLECONTENTS", b"IMPORT",
    b"RETRIEVEIMPORT", b"CHECKPRESENTIMPORT", b"IMPORTKEY", b"ERROR", b"VALUE", b"CREDS", b"J", b"1", b"2",
    b"SHA256E-s1--x", b"-s-S-C--", b"s3://b/x", b"s3://b/x?versionId=", b"\xff\xfe", b"\r", b"\t", b"\0",
    b"%s", b"{0}", b"../..", b"\xe2\x80\xa8", b"a" * 300, b"", b"",
]  # fmt: skip
ANSWER = re.compile(
    rb"(J \d+ )?(EXTENSIONS|UNSUPPORTED-REQUEST|(INITREMOTE|PREPARE|TRANSFER|REMOVE|CHECKURL|CLAIMURL|WHEREIS"
    rb"|EXPORTSUPPORTED|IMPORTSUPPORTED|REMOVEEXPORTDIRECTORY|RENAMEEXPORT|LISTIMPORTABLECONTENTS"
    rb"|RETRIEVEIMPORT|IMPORTKEY)-(SUCCESS|FAILURE|SKIP)|CHECKPRESENT-(SUCCESS|FAILURE|UNKNOWN)|COST"
    rb"|CONFIG|CONFIGEND|ORDERED|AVAILABILITY|CHECKURL-(CONTENTS|MULTI)|INFOFIELD|INFOVALUE|INFOEND"
    rb"|DEBUG|INFO|PROGRESS|GET[A-Z]+|SET[A-Z]+)( [^\n]*)?"
)


def talk(lines: bytes) -> list[bytes]:
    """Return what is said to `lines`, after which git-annex hangs up."""
    output = io.BytesIO()
    shared = Shared()

    def make_remote(annex: Master) -> S3xRemote:
        return S3xRemote(annex, shared)

    Session(io.BytesIO(lines), Wire(output), make_remote, shared.stop).run()
    said = output.getvalue()
    assert said == b"" or said.endswith(b"\n")
    return said.split(b"\n")[:-1]


@pytest.mark.parametrize("extensions", [b"INFO IMPORTKEY", b"INFO TRANSFER-RETRIEVE-URL ASYNC"])
@pytest.mark.parametrize("seed", range(10))
def test_nonsense_is_answered_in_whole_lines_and_never_by_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, extensions: bytes
) -> None:
    monkeypatch.chdir(tmp_path)  # `.git` is named by none of the replies
    draw = random.Random(seed)
    lines = [b"EXTENSIONS " + extensions]
    for _ in range(1500):
        words = draw.choices(WORDS, k=draw.randint(0, 5))
        job = b"J %d " % draw.randint(1, 9) if b"ASYNC" in extensions and draw.random() < 0.9 else b""
        lines.append(job + b" ".join(words))

    said = talk(b"\n".join(lines))

    assert said[0] == b"EXTENSIONS " + extensions
    assert len(said) > 500
    for line in said:
        assert ANSWER.fullmatch(line), line


def test_a_line_without_its_end_is_a_line() -> None:
    assert talk(b"EXTENSIONS INFO\nGETORDERED") == [b"EXTENSIONS INFO", b"ORDERED"]


def test_any_bytes_make_the_round_trip_through_text() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        line = draw.randbytes(draw.randint(0, 40)).replace(b"\n", b"")

        text = decode(line + b"\n")

        assert text.encode("utf-8", "surrogateescape") == line
        found = split_job(text)
        assert found is None or text == f"J {found[0]} {found[1]}"
