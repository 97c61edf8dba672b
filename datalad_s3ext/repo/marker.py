"""The marker object: whose bucket, or part of a bucket, this is.

Built-in ``type=S3`` and s3x store the remote's UUID in the object ``<prefix>annex-uuid``. It keeps
two repositories from writing into the same place, and tells a clone that it reached the right one.
"""

from __future__ import annotations

from datalad_s3ext.errors import ConfigError, ObjectNotFound
from datalad_s3ext.repo.keys import MARKER
from datalad_s3ext.store.base import ObjectStore

_LONGEST_BYTES = 100


def read_marker(store: ObjectStore, prefix: str) -> str | None:
    """Return the UUID that `prefix` of the bucket belongs to; ``None`` when nobody marked it."""
    try:
        with store.get(prefix + MARKER) as answer:
            return answer.read(_LONGEST_BYTES).decode("ascii", "replace").strip()
    except ObjectNotFound:
        return None


def check_marker(store: ObjectStore, prefix: str, uuid: str) -> None:
    """Make sure that `prefix` of the bucket belongs to the remote `uuid`.

    Raises
    ------
    ConfigError
        When it is marked for another one, or not at all.
    """
    found = read_marker(store, prefix)
    name = f"{store.bucket}/{prefix}{MARKER}"
    if found is None:
        raise ConfigError(
            f"there is no object {name}, so this is not where the remote {uuid} keeps its content",
            remedy="check endpoint, bucket and prefix",
        )
    if found != uuid:
        raise ConfigError(
            f"{name} says that this place belongs to another remote ({found}, not {uuid})",
            remedy="check endpoint, bucket and prefix",
        )
