"""The objects of a bucket as plain HTTP serves them: each has its name below one URL.

So a content delivery network, a web site over a bucket, or any web server with the same files can be
read from. None of them knows S3: what they say of an object is weaker than what S3 says, and whoever
believes that something is not there has to look at the server first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from datalad_s3ext.errors import Unsupported
from datalad_s3ext.store.base import ObjectInfo, ObjectStore, RangeReader
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.pinned import etag_of, version_of
from datalad_s3ext.store.retrying import Retrying
from datalad_s3ext.store.web import AddressPolicy, WebStore, shown

if TYPE_CHECKING:
    import urllib3

    from datalad_s3ext.store.throttled import Throttle


def open_below_url(
    base_url: str,
    bucket: str,
    *,
    policy: RetryPolicy,
    addresses: AddressPolicy,
    connections: int = 16,
    throttle: Throttle | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> ObjectStore:
    """Return what lies below `base_url` as a store that tries again. Nothing is sent yet.

    Parameters
    ----------
    bucket
        What messages call it.
    throttle
        The bandwidth that this store shares with others of the process; by default there is no limit.
    sleep
        How to wait between two tries; may raise to give up.
    """
    store = BelowUrl(base_url, bucket, policy, addresses, connections)
    return Retrying(throttle.around(store) if throttle else store, policy, sleep=sleep)


class BelowUrl(WebStore):
    """The objects whose names are paths below `base_url`; nothing is tried twice here.

    A server that sends no parts of files is read from the beginning on. A name with the id of a version
    asks for that version, and an answer that does not confirm it is refused.
    """

    takes_whole = True
    asking = MappingProxyType({"Cache-Control": "no-cache", "Pragma": "no-cache"})

    def __init__(
        self, base_url: str, bucket: str, policy: RetryPolicy, addresses: AddressPolicy,
        connections: int,
    ) -> None:  # fmt: skip
        super().__init__(policy, addresses, connections)
        self.bucket = bucket
        self._base_url = base_url.rstrip("/")

    def url_of(self, name: str) -> str:
        """Return the URL of the object `name`."""
        version_id = version_of(name)
        query = f"?{urlencode({'versionId': version_id})}" if version_id is not None else ""
        return f"{self._base_url}/{quote(name)}{query}"

    def head(self, name: str) -> ObjectInfo:
        """Describe an object as it is now.

        Raises
        ------
        ObjectNotFound
            The server says so. Whether that can be believed depends on the server.
        Unsupported
            A cache answered from its memory: that tells what was there once.
        """
        return _confirmed(name, super().head(self.url_of(name)))

    def get(
        self, name: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> RangeReader:
        """Open a part of an object; all from `start` on where the server sends no parts."""
        wanted = if_match or etag_of(name)
        reader = super().get(self.url_of(name), start=start, length=length, if_match=wanted)
        try:
            reader.info = _confirmed(name, reader.info)
        except BaseException:
            reader.close()
            raise
        return reader

    def _check_fresh(self, url: str, answer: urllib3.BaseHTTPResponse) -> None:
        age = answer.headers.get("Age", "0").strip()
        if age.strip("0"):
            raise Unsupported(
                f"a cache answered for {shown(url)} from its memory (Age: {age}), which does not tell "
                "what is there now",
                remedy="ask again later, or with keys",
            )


def _confirmed(name: str, info: ObjectInfo) -> ObjectInfo:
    """Return `info` under the name that was asked for, if it is of the version that was asked for."""
    version_id = version_of(name)
    if version_id not in (None, info.version_id):
        raise Unsupported(
            f"the server of {info.name} does not tell which version it sends",
            remedy="read it from S3: give keys",
        )
    return replace(info, name=name)
