"""The objects of ``s3://`` URLs, as a store is asked for them and as git-annex is told of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from datalad_s3ext.errors import AccessDenied, ConfigError, ObjectNotFound, S3xError

if TYPE_CHECKING:
    from datalad_s3ext.store.base import ObjectInfo, ObjectStore
    from datalad_s3ext.store.s3_url import S3Url

MULTI_LIMIT = 10_000
"""So many objects a URL with a prefix may mean; git-annex takes the list as one line."""

_BAD_REQUEST = 400
_FOLDED = re.compile(r"[^\w.-]")


def may_be_at_url(error: S3xError) -> bool:
    """Tell whether content may be at a URL of its key, although `error` answered for its object."""
    return isinstance(error, ObjectNotFound | AccessDenied) or is_bad_request(error)


def is_bad_request(error: S3xError) -> bool:
    """Tell whether the service may have refused the name of an object.

    The URL is part of the key of content without a checksum, and some services, MinIO among them,
    take no names with ``//``.
    """
    return isinstance(error, ConfigError) and error.http_status == _BAD_REQUEST


def object_name(url: S3Url) -> str:
    """Return how a store is to be asked for the object of `url`."""
    from datalad_s3ext.store.pinned import Pinned

    return Pinned(url.name, version_id=url.version_id) if url.version_id else url.name


def described(url: S3Url, store: ObjectStore) -> ObjectInfo:
    """Return what the store says of the object of `url`."""
    return store.head(object_name(url))


def with_checksums(url: S3Url, store: ObjectStore) -> ObjectInfo:
    """Return the same with the checksums that the store tells."""
    return store.describe(object_name(url))


def rows_below(url: S3Url, store: ObjectStore) -> list[dict[str, str | int]]:
    """Return the objects below `url`, with file names that none of the others has.

    Raises
    ------
    ConfigError
        There are too many, or two would become one file.
    """
    rows: dict[str, dict[str, str | int]] = {}  # by what git-annex makes of the name, in one folder
    for info in store.list(url.name):
        if info.name.endswith("/"):
            continue  # what consoles show as a folder
        if len(rows) == MULTI_LIMIT:
            raise _too_many(url)
        row_url = str(replace(url, name=info.name))
        name = _below(info.name.removeprefix(url.name))
        file = _FOLDED.sub("_", name)
        if file in rows:
            raise ConfigError(
                f"{rows[file]['url']} and {row_url} would become the same file {file!r}",
                remedy="add them one by one: git annex addurl --file NAME URL",
            )
        rows[file] = {"url": row_url, "size": info.size_bytes, "filename": name}
    if not rows:
        raise ObjectNotFound(f"there is nothing below {url}", remedy="check its spelling")
    return list(rows.values())


def _too_many(url: S3Url) -> ConfigError:
    return ConfigError(
        f"there are more than {MULTI_LIMIT} objects below {url}",
        remedy="add longer prefixes one by one, or set up a remote with importtree=yes",
    )


def _below(name: str) -> str:
    """Return a relative path for an object; it leaves its folder nowhere and holds no blanks."""
    return "/".join(_plain(part) for part in name.split("/"))


def file_name(name: str) -> str:
    """Return the name of a file for the object `name`."""
    return _plain(name.rpartition("/")[2])


def _plain(part: str) -> str:
    text = "".join(char if char.isprintable() and not char.isspace() else "_" for char in part)
    return "_" if text in ("", ".", "..") else text


__all__ = [
    "described", "file_name", "is_bad_request", "may_be_at_url", "object_name", "rows_below",
    "with_checksums",
]  # fmt: skip
