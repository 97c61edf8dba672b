"""What everybody can read by its URL: git-annex's ``web`` remote, and public buckets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.store.base import ObjectStore

if TYPE_CHECKING:
    from datalad_s3ext.fs.dataset import Dataset

T = TypeVar("T")
CONNECTIONS = 32
_ALLOWED = "annex.security.allowed-ip-addresses"
_STORES: ProcessWide[Path, ObjectStore] = ProcessWide()


class Web:
    """The web, as a place that objects can be read from; their names are URLs."""

    def __init__(self, dataset: Dataset, url: str) -> None:
        self._dataset = dataset
        self.label = urlsplit(url).netloc.rpartition("@")[2]

    def read(self, request: Callable[[ObjectStore], T]) -> T:
        """Return what `request` makes of the web as a store."""
        return request(_STORES.get(self._dataset.git_dir, self._opened))

    def presigned(self, name: str, seconds: int) -> str:  # noqa: ARG002
        """Return the URL, which needs no signature."""
        return name

    def _opened(self) -> ObjectStore:
        from datalad_s3ext.store.patience import RetryPolicy
        from datalad_s3ext.store.web import AddressPolicy, open_web

        allowed = AddressPolicy(self._dataset.config(_ALLOWED) or "")
        return open_web(RetryPolicy(), allowed, CONNECTIONS)
