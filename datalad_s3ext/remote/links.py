"""Retrieval by a link: git-annex downloads by itself, from a presigned URL.

Only where this clone's git configuration says ``remote.NAME.s3x-presign=true``. git-annex then reads
over one connection, with its own settings for downloads (``annex.web-options``, proxies), and asks no
servers on private networks unless ``annex.security.allowed-ip-addresses`` says so.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from annexremote import RemoteError

from datalad_s3ext.errors import AccessDenied, ObjectNotFound
from datalad_s3ext.remote.settings import CUSTOMER_KEY
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.remote.local import LocalChoices
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.remote.shared import Shared

EXTENSION = "TRANSFER-RETRIEVE-URL"
LIFETIME_S = 3600
"""How long a link works; a download that has begun goes on."""


class LinkRequests:
    """The part of :class:`.handlers.S3xRemote` about links; it reports errors in the same way."""

    _shared: Shared
    annex: Any

    def link_to(self, key: str) -> str | None:
        """Return a URL with which git-annex can download the content of `key` by itself.

        ``None`` when it is not to do so, or when the object is not there and may be found elsewhere.

        Raises
        ------
        RemoteError
            The object is another one than that of `key`, or cannot be asked for.
        """
        from datalad_s3ext.credentials.model import Anonymous
        from datalad_s3ext.store.extras import Extras
        from datalad_s3ext.store.presign import presigned_url
        from datalad_s3ext.transfer.download import check_size

        with self._reported():
            if not self._is_by_link():
                return None
            place = self._for_reading()
            if isinstance(place.identity, Anonymous):
                return None
            name = place.layout.of_key(key)
            try:
                info = place.store.head(name)
            except (ObjectNotFound, AccessDenied):
                return None
            check_size(info, parse_key(key).stored_bytes)
            extras = Extras(requester_pays=self._own_place()[0].requester_pays)
            return presigned_url(
                place.connection, place.identity, place.store.bucket, name, LIFETIME_S, extras
            )

    def _is_by_link(self) -> bool:
        """Tell whether the user wants links, and links alone are enough to read."""
        choices, settings = self._own_place()[0], self._shared.settings(self.annex)
        needs_headers = settings.sse == CUSTOMER_KEY or settings.restore
        return choices.presign and not choices.verify and not needs_headers

    # -- what the rest of the remote offers -------------------------------------------------------

    @abstractmethod
    def _reported(self) -> AbstractContextManager[None]: ...
    @abstractmethod
    def _for_reading(self) -> Place: ...
    @abstractmethod
    def _own_place(self) -> tuple[LocalChoices, Connection]: ...


class LinkMessages:
    """The part of :class:`.session.Requests` about links."""

    remote: Any
    extensions: list[str]

    def do_TRANSFER(self, param: str) -> str:  # noqa: N802
        """Transfer content, or tell git-annex where to download it."""
        words = param.split(" ", 2)
        if len(words) == 3 and words[0] == "RETRIEVE" and EXTENSION in self.extensions:
            key = words[1]
            try:
                url = self.remote.link_to(key)
            except RemoteError as error:
                return f"TRANSFER-FAILURE RETRIEVE {key} {error}"
            if url is not None:
                return f"{EXTENSION} {key} {url}"
        reply: str = super().do_TRANSFER(param)  # type: ignore[misc]
        return reply


__all__ = ["EXTENSION", "LinkMessages", "LinkRequests"]
