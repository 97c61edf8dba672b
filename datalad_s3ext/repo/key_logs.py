"""What the git-annex branch says of one key, beyond where its content is.

A log is a file of the branch; its newest lines may still lie in git-annex's journal. Source:
git-annex's page "internals", and what 10.20261026 was seen to write.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Iterator
from pathlib import Path

from datalad_s3ext.repo.branch_files import committed, journaled
from datalad_s3ext.repo.pointers import as_file_name, lower_folder


def content_ids(git_dir: Path, key: str, uuid: str | None = None) -> set[str]:
    """Return every content identifier that `key` was imported with, from the remote `uuid` or any.

    Raises
    ------
    LocalError
        When git cannot be asked, or the journal not read.
    """
    found: set[str] = set()
    for line in _lines(git_dir, key, ".log.cid"):
        words = line.split(" ", 2)
        if len(words) == 3 and uuid in {None, words[1]}:
            found.update(_plain(cid) for cid in words[2].split(":"))
    return found


def recorded_versions(git_dir: Path, key: str, uuid: str) -> list[tuple[str, str]]:
    """Return (object name, version id) of `key` as built-in ``type=S3`` with versioning recorded them.

    Only of the remote `uuid`, the newest first. Raises as `content_ids` does.
    """
    present: dict[tuple[str, str], str] = {}
    for line in _lines(git_dir, key, ".log.rmet"):
        stamp, *fields = line.split(" ")
        mine = False
        for word in fields:
            if word[:1] not in "+-":
                mine = word == f"{uuid}:V"
            elif mine and (pair := _version(_plain(word[1:]))):
                old = present.get(pair, "")
                if stamp.removesuffix("s") >= old.partition(" ")[0]:
                    present[pair] = f"{stamp.removesuffix('s')} {word[0]}"
    kept = [(stamp, pair) for pair, stamp in present.items() if stamp.endswith("+")]
    return [pair for _, pair in sorted(kept, reverse=True)]


def key_of_file(path: Path) -> str:
    """Return the key whose content git-annex wants in the temporary file `path`."""
    return path.name.replace("%", "/").replace("&c", ":").replace("&s", "%").replace("&a", "&")


def _version(text: str) -> tuple[str, str] | None:
    """Return (object name, version id) of ``<version id>#<object name>``."""
    version_id, separator, name = text.partition("#")
    return (name, version_id) if separator and version_id and name else None


def _plain(text: str) -> str:
    """Return a value of a log; those with odd characters are in Base64, after an exclamation mark."""
    if not text.startswith("!"):
        return text
    try:
        return b64decode(text[1:], validate=True).decode("utf-8", "surrogateescape")
    except NoBase64:
        return text


def _lines(git_dir: Path, key: str, ending: str) -> Iterator[str]:
    path = f"{lower_folder(key)}/{as_file_name(key)}{ending}"
    for data in (journaled(git_dir, path), committed(git_dir, path)):
        yield from data.decode("utf-8", "surrogateescape").splitlines()
