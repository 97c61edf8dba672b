"""Where the objects of URLs lie, and with whose keys they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datalad_s3ext.errors import ConfigError

if TYPE_CHECKING:
    from datalad_s3ext.credentials.model import Identity
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.remote.local import LocalChoices
    from datalad_s3ext.remote.url_owner import Keeper, Occupant
    from datalad_s3ext.store.base import ObjectStore


_LOCAL_DOMAINS = frozenset({
    "arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost",
})  # fmt: skip


class UrlPlaces:
    """The buckets of URLs that this process has opened. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stores: dict[tuple[object, ...], ObjectStore] = {}
        self.known: tuple[Keeper | None, list[Keeper | Occupant]] | None = None
        """The remote itself, if it answers for URLs, and all of the data set; ``None`` before that."""
        self.agreeing = Lock()
        """Held while git's configuration is changed: git lets only one at a time."""
        self.own: tuple[LocalChoices, Connection] | None = None
        """How the remote itself is reached; ``None`` before that is known."""

    def get(self, key: tuple[object, ...], opener: Callable[[], ObjectStore]) -> ObjectStore:
        """Return the store for endpoint, bucket and who asks and pays; opened the first time."""
        with self._lock:
            if key not in self._stores:
                self._stores[key] = opener()
            return self._stores[key]


def foreign_connection(endpoint: str) -> Connection:
    """Return how to reach an endpoint that only a URL names.

    What presets of this machine know of its host counts; one of the data set has no say.
    """
    from datalad_s3ext.providers.guess import guess
    from datalad_s3ext.providers.load import load_provider
    from datalad_s3ext.providers.resolve import resolve

    return resolve(guess(endpoint) or load_provider("other"), endpoint=endpoint)


def foreign_identity(
    connection: Connection, git_dir: Path, uuid: str, *, anonymous: bool = False
) -> Identity:
    """Return who asks at an endpoint that a URL names: the user only with the user's consent.

    Raises
    ------
    ConfigError
        Nobody here has agreed, and it is no endpoint to be asked at all then.
    """
    from datalad_s3ext.credentials.chain import find_identity
    from datalad_s3ext.credentials.consent import is_vouched_for
    from datalad_s3ext.credentials.model import Anonymous
    from datalad_s3ext.repo.trust import trusted_endpoints

    url = str(connection.endpoint_url)
    is_agreed = is_vouched_for(connection) or url in trusted_endpoints(git_dir, uuid)
    if not is_agreed and not _is_public(url):
        raise ConfigError(
            f"a URL names the endpoint {url}, which is not asked: it is no host of the public network "
            "reached by https, and nobody here has agreed to it",
            remedy=f"if it is the right place: S3X_TRUST_ENDPOINT={url} git annex ...",
        )
    if anonymous or not is_agreed:
        return Anonymous()
    return find_identity(connection.provider, endpoint_url=url)


def _is_public(endpoint: str) -> bool:
    """Tell whether an endpoint may be asked because somebody's URL says so.

    Hosts without a dot and addresses are those of this machine or a private network more often than
    not; what is there is not for others to choose.
    """
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    last = host.rpartition(".")[2]
    # resolvers also take 127.1 and 0x7f.1 for addresses
    is_address = ":" in host or last[:1].isdigit()
    return parts.scheme == "https" and "." in host and not is_address and last not in _LOCAL_DOMAINS


__all__ = ["UrlPlaces", "foreign_connection", "foreign_identity"]
