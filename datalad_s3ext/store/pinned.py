"""Objects in one state, when what they are now is not enough."""

from __future__ import annotations

from typing import Any


class Pinned(str):
    """The name of an object together with the state that is meant.

    Every store takes it for the object's name in `head`, `describe`, `get` and `delete`; one that knows
    versions then means just that version. Reading raises `ObjectChanged` when the ETag is another one.
    """

    version_id: str | None
    etag: str | None

    def __new__(cls, name: str, *, version_id: str | None = None, etag: str | None = None) -> Pinned:
        """Return `name` with the id of a version, an ETag, or both."""
        self = super().__new__(cls, name)
        self.version_id = version_id
        self.etag = etag
        return self


def version_of(name: str) -> str | None:
    """Return which version `name` means; ``None`` for the newest."""
    return name.version_id if isinstance(name, Pinned) else None


def version_parameter(name: str) -> dict[str, Any]:
    """Return how a request of S3 says which version `name` means."""
    version_id = version_of(name)
    return {"VersionId": version_id} if version_id is not None else {}


def etag_of(name: str) -> str | None:
    """Return which ETag `name` demands, if any."""
    return name.etag if isinstance(name, Pinned) else None
