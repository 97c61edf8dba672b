"""Reading without keys: by unsigned requests to the S3 service, else over HTTP below ``publicurl``.

Keys, where there are any that the service takes, go before both. Unsigned requests count when they have
read what shows that the bucket is the right one: the marker, or a file of the exported tree. Where they
are refused, or nobody answers, or something else does, the same has to be shown below ``publicurl``.
Nothing is ever written there, and nothing secret is sent there.

What is received is held against its key, as always. What is said to be there, or not to be there, is
weaker than what S3 says, so it is believed only:

* of a server that has just shown that it has the remote's content, and that does not say of an object
  that cannot exist that it is there, as sites with a page for everything do;
* when no cache answers from its memory;
* below a URL that this clone's user has enabled the remote with, see :mod:`.moves`.

Then 404 and 410 mean that content is not there, and so does another size. All else means that it could
not be found out, 403 included.
"""

from __future__ import annotations

import logging
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    CredentialsError,
    ObjectNotFound,
    S3xError,
    Unsupported,
)
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.repo.keys import MARKER, parse_key

if TYPE_CHECKING:
    from datalad_s3ext.remote.local import LocalChoices
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.remote.shared import Shared
    from datalad_s3ext.store.base import ObjectStore

lgr = logging.getLogger(__name__)

SURE_S = 60.0
"""So long a server that has shown what it is need not show it again."""
_SCHEME = re.compile("https?://", re.IGNORECASE)
_FILES = 5
"""So many files of a tree are looked for; one that is there is enough."""
Files = Callable[[], Sequence[tuple[str, int]]]
"""Returns objects of exported files, with their sizes."""


class Proof:
    """What shows that a store has the content of a remote."""

    def __init__(self, layout: Layout, marked_for: str | None, files: Files) -> None:
        self.layout = layout
        self._marked_for = marked_for
        self._files = files

    def is_shown_by(self, store: ObjectStore) -> bool | None:
        """Tell whether `store` shows it; ``None`` where there is nothing to be looked for.

        Raises
        ------
        S3xError
            It cannot be found out.
        """
        if self._marked_for is not None:
            from datalad_s3ext.repo.marker import read_marker

            return read_marker(store, self.layout.prefix) == self._marked_for
        doubt: S3xError | None = None
        files = self._files()
        for name, size_bytes in files:
            try:
                with store.get(name, start=0, length=1) as reader:
                    if reader.info.size_bytes == size_bytes:
                        return True
            except (ObjectNotFound, AccessDenied) as error:
                doubt = doubt or error
        if isinstance(doubt, AccessDenied):
            raise doubt
        return False if files else None


class PublicUrl:
    """A URL that a data set names for its content, held against what is there. Safe in threads."""

    def __init__(
        self, url: str, store: ObjectStore, proof: Proof, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.url = _below_prefix(url, proof.layout)
        self._store = store
        self._proof = proof
        self._clock = clock
        self._lock = Lock()
        self._sure_until_s: float | None = None

    def check_reading(self) -> None:
        """Make sure that content can be looked for here.

        Raises
        ------
        S3xError
            What lies here is not the remote's, or cannot be read.
        """
        if self._proof.is_shown_by(self._store) is False:
            raise ConfigError(f"{self.url} does not show that it has the content of this remote")

    def check_asking(self) -> None:
        """Make sure that what is said here about what is there, or not there, can be believed.

        Raises
        ------
        S3xError
            It cannot.
        """
        with self._lock:
            if self._sure_until_s is not None and self._clock() < self._sure_until_s:
                return
            self._check_absent()
            if not self._proof.is_shown_by(self._store):
                raise ConfigError(
                    f"{self.url} does not show that it has the content of this remote, so it is not "
                    "asked what is there",
                    remedy="ask with keys",
                )
            self._sure_until_s = self._clock() + SURE_S

    def _check_absent(self) -> None:
        import secrets

        name = f"{self._proof.layout.prefix}{MARKER}-{secrets.token_hex(8)}"
        try:
            self._store.head(name)
        except (ObjectNotFound, AccessDenied):  # some services tell those who may not list no more
            return
        raise Unsupported(
            f"{self.url} says that even what cannot exist is there, so it is not asked what is",
            remedy="ask with keys",
        )


class PublicRequests:
    """The part of :class:`.handlers.S3xRemote` that reads without keys."""

    _shared: Shared
    annex: Any

    def _open_to_read(self, anonymous: bool) -> Place:
        """Open the bucket with keys, or what everybody can read.

        Raises
        ------
        CredentialsError
            There are none, or none are to be used.
        """
        if anonymous:
            return self._open_for_all()
        place = self._open(anonymous=False)
        self._require_keys(place)
        return place

    def _require_keys(self, place: Place) -> None:
        """Make sure that requests are signed, where there is another way to read without.

        Raises
        ------
        CredentialsError
            They are not.
        """
        from datalad_s3ext.credentials.model import Anonymous

        if isinstance(place.identity, Anonymous) and self._public_url() is not None:
            raise CredentialsError(f"bucket {place.store.bucket} cannot be read without keys")

    def _public_url(self) -> str | None:
        settings = self._shared.settings(self.annex)
        return public_url(settings.publicurl, importtree=settings.importtree)

    def _open_for_all(self) -> Place:
        """Open the bucket, or what lies below ``publicurl`` where the bucket shows nothing."""
        from datalad_s3ext.store.retrying import Retrying

        place, url = self._open(anonymous=True), self._public_url()
        if url is None:
            return place
        uuid = self._shared.uuid(self.annex)
        proof = Proof(place.layout, uuid if place.is_marked else None, self._exported_files)
        inner = place.store.inner if isinstance(place.store, Retrying) else place.store
        at_once = replace(place, store=inner)
        if _succeeds(lambda: proof.is_shown_by(at_once.store)):
            return place
        store = self._below(url, place.store.bucket)
        below = replace(place, store=store, public=PublicUrl(url, store, proof))
        if place.is_marked or _succeeds(lambda: proof.is_shown_by(store)):
            return below
        # files of a tree that this clone knows may be others by now: then both ways are as good
        return place if _succeeds(lambda: at_once.is_readable_by_all(uuid)) else below

    def _below(self, url: str, bucket: str) -> ObjectStore:
        from datalad_s3ext.transfer.pool import interruptible_sleep

        choices = self._choices()
        return open_public_url(
            url, bucket, choices,
            throttle=self._shared.throttle(choices), sleep=interruptible_sleep(self._shared.ended),
        )  # fmt: skip

    def _note_public_url(self, layout: Layout) -> None:
        """Note that a person here has enabled the remote with its ``publicurl``."""
        from datalad_s3ext.remote.moves import note_url

        if url := self._public_url():
            git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
            note_url(git_dir, uuid, _below_prefix(url, layout))

    def _exported_files(self) -> Sequence[tuple[str, int]]:
        names = self._shared.exported_names(self.annex)
        return exported_files(names, Layout(self._shared.settings(self.annex).fileprefix))

    # -- what the rest of the remote offers -------------------------------------------------------

    @abstractmethod
    def _choices(self) -> LocalChoices: ...
    @abstractmethod
    def _open(self, *, anonymous: bool) -> Place: ...


def _succeeds(ask: Callable[[], bool | None]) -> bool:
    """Tell whether the answer is a certain yes."""
    try:
        return ask() is True
    except S3xError as error:
        lgr.debug("without keys: %s", error)
        return False


def public_url(url: str | None, *, importtree: bool) -> str | None:
    """Return the ``publicurl`` `url` if content can be read below it; ``None`` where it cannot.

    Of an imported tree the bucket is asked: files change there, and S3 tells which version it sends.
    """
    return url if url and not importtree and _SCHEME.match(url) else None


def _below_prefix(url: str, layout: Layout) -> str:
    return f"{url.rstrip('/')}/{layout.prefix}"


def exported_files(names: Mapping[str, str], layout: Layout) -> list[tuple[str, int]]:
    """Return a few objects of an exported tree, with their sizes.

    Parameters
    ----------
    names
        Names of files by their keys.
    """
    found: list[tuple[str, int]] = []
    for key, name in names.items():
        size_bytes = parse_key(key).stored_bytes
        try:
            if size_bytes:
                found.append((layout.of_export_name(name), size_bytes))
        except Unsupported:
            continue
        if len(found) == _FILES:
            break
    return found


def open_public_url(url: str, bucket: str, choices: LocalChoices, **how: Any) -> ObjectStore:
    """Return what lies below `url`, within the bounds that this clone's git configuration sets.

    Parameters
    ----------
    how
        More arguments of :func:`~datalad_s3ext.store.below_url.open_below_url`.

    Raises
    ------
    ConfigError
        The git configuration allows no such URLs.
    """
    from datalad_s3ext.store.below_url import open_below_url
    from datalad_s3ext.store.patience import RetryPolicy
    from datalad_s3ext.store.web import AddressPolicy

    if urlsplit(url).scheme.lower() not in choices.allowed_schemes.split():
        raise ConfigError(
            f"publicurl is {url}, and annex.security.allowed-url-schemes is {choices.allowed_schemes}"
        )
    policy = RetryPolicy.of(
        retries=choices.retries, patience_s=choices.patience_s, stall_s=choices.stall_s
    )
    addresses = AddressPolicy(choices.allowed_addresses)
    return open_below_url(url, bucket, policy=policy, addresses=addresses, **how)


__all__ = ["Proof", "PublicRequests", "PublicUrl", "exported_files", "open_public_url", "public_url"]
