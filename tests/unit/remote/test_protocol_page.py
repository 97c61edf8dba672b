"""The page about the protocol says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datalad_s3ext.remote import messages
from datalad_s3ext.remote.session import Requests

ROOT = Path(__file__).parents[3]
REQUESTS = {
    "EXTENSIONS", "INITREMOTE", "PREPARE", "LISTCONFIGS", "TRANSFER", "CHECKPRESENT", "REMOVE", "GETCOST",
    "GETORDERED", "GETAVAILABILITY", "CLAIMURL", "CHECKURL", "WHEREIS", "GETINFO", "EXPORTSUPPORTED",
    "EXPORT", "TRANSFEREXPORT", "CHECKPRESENTEXPORT", "REMOVEEXPORT", "REMOVEEXPORTDIRECTORY",
    "RENAMEEXPORT", "IMPORTSUPPORTED", "LISTIMPORTABLECONTENTS", "IMPORT", "RETRIEVEIMPORT",
    "CHECKPRESENTIMPORT", "IMPORTKEY", "ERROR",
}  # fmt: skip
"""Of git-annex 10.20261026."""
OFFERED = {
    "INFO", "GETGITREMOTENAME", "UNAVAILABLERESPONSE", "TRANSFER-RETRIEVE-URL", "CHECKPRESENT-URL",
    "IMPORTKEY", "DELEGATE", "ASYNC",
}  # fmt: skip
"""What git-annex 10.20261026 sends after EXTENSIONS."""
MESSAGES = {
    "getconfig": "GETCONFIG", "setconfig": "SETCONFIG", "getuuid": "GETUUID", "getgitdir": "GETGITDIR",
    "getgitremotename": "GETGITREMOTENAME", "getcreds": "GETCREDS", "setcreds": "SETCREDS",
    "geturls": "GETURLS", "seturipresent": "SETURIPRESENT", "seturimissing": "SETURIMISSING",
    "seturlpresent": "SETURLPRESENT", "seturlmissing": "SETURLMISSING", "progress": "PROGRESS",
    "info": "INFO", "debug": "DEBUG", "getstate": "GETSTATE", "setstate": "SETSTATE",
    "dirhash": "DIRHASH", "dirhash_lower": "DIRHASH-LOWER", "getwanted": "GETWANTED",
    "setwanted": "SETWANTED", "error": "ERROR",
}  # fmt: skip
"""annexremote's methods."""


def table(title: str) -> dict[str, bool]:
    """Return the first two columns of the table below a title."""
    page = (ROOT / "docs" / "reference" / "protocol.rst").read_text()
    section = re.split(r"\n(?=[^\n]+\n-{5,}\n)", page.split(f"\n{title}\n", 1)[1])[0]
    rows = re.findall(r"^   \* - (\S+)\n     - (yes|no)$", section, re.MULTILINE)
    assert len(dict(rows)) == len(rows)
    return {name: done == "yes" for name, done in rows}


def test_every_request_of_git_annex_is_there_and_handled_as_it_says() -> None:
    handled = {name[3:] for name in dir(Requests) if name.startswith("do_")} - {"UNKNOWN"}

    assert table("Requests of git-annex") == dict.fromkeys(REQUESTS, True)
    assert handled == REQUESTS


def test_every_extension_is_there_and_used_as_it_says() -> None:
    assert table("Extensions") == {name: name in messages.EXTENSIONS for name in OFFERED}
    assert set(messages.EXTENSIONS) <= OFFERED


@pytest.mark.parametrize("method", sorted(MESSAGES))
def test_what_is_sent_is_what_it_says(method: str) -> None:
    code = "".join(path.read_text() for path in (ROOT / "datalad_s3ext" / "remote").glob("*.py"))
    is_sent = re.search(rf"\bannex\.{method}\b", code) is not None

    assert table("What s3x asks and tells")[MESSAGES[method]] == is_sent


def test_nothing_else_is_said_to_be_sent() -> None:
    assert set(table("What s3x asks and tells")) == {*MESSAGES.values(), "DOWNLOAD-URL"}
