"""A client that adds the same parameters to all calls of an operation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from datalad_s3ext.store.extras import Extras, parameters_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def with_extras(client: S3Client, extras: Extras) -> S3Client:
    """Return `client`, or one around it that sends what `extras` wants. As safe in threads as it."""
    added = parameters_of(extras)
    return cast("S3Client", _Client(client, added)) if added else client


class _Client:
    def __init__(self, client: Any, added: Any) -> None:
        self._client = client
        self._added = added

    def __getattr__(self, name: str) -> Any:
        """Return the client's own; an operation with what goes with it."""
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._client, name)
        return partial(found, **self._added[name]) if name in self._added else found
