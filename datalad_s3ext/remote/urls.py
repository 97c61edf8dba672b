"""The requests about ``s3://`` URLs: content that lies in a bucket under a name of its own.

``git annex addurl s3://bucket/name`` records such a URL for a key. The remote that has claimed it then
answers for the key as if it had stored it. Nothing is ever written to the object of a URL.

Who wrote the URLs of a data set is not known. Keys go only where this clone's user has agreed; other
endpoints are asked without, and only over TLS. git-annex itself sees to it that content without a
checksum comes from no special remote.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    CredentialsError,
    ObjectNotFound,
    S3xError,
)
from datalad_s3ext.remote.telling import Telling
from datalad_s3ext.remote.url_objects import (
    described,
    file_name,
    is_bad_request,
    may_be_at_url,
    object_name,
    rows_below,
    with_checksums,
)
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from annexremote import Master

    from datalad_s3ext.credentials.model import Identity
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.providers.schema import Upload
    from datalad_s3ext.remote.local import LocalChoices
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.remote.shared import Shared
    from datalad_s3ext.remote.url_owner import Keeper, Occupant
    from datalad_s3ext.repo.digests import KeyDigest
    from datalad_s3ext.store.base import ObjectStore
    from datalad_s3ext.store.s3_url import S3Url

WITHOUT_URLS = ("GPGHMAC", "GITBUNDLE", "GITMANIFEST")
"""Beginnings of keys that no URL is recorded for."""
_SCHEME = "s3:"
_T = TypeVar("_T")


class UrlRequests(Telling):
    """The part of :class:`.handlers.S3xRemote` about URLs; it reports errors in the same way."""

    _shared: Shared
    annex: Master

    # -- requests ---------------------------------------------------------------------------------

    def claimurl(self, url: str) -> bool:
        """Tell whether this remote answers for `url`. Nothing is sent."""
        from datalad_s3ext.store.s3_url import parse_s3_url

        if not url.lower().startswith(_SCHEME):
            return False
        try:
            return self._answers_for(parse_s3_url(url))
        except S3xError as error:
            self._tell(str(error))
            return False

    def checkurl(self, url: str) -> list[dict[str, str | int]]:
        """Describe the object of `url`, or all objects below it, as annexremote wants it."""
        from datalad_s3ext.store.s3_url import parse_s3_url

        with self._reported():
            found = parse_s3_url(url)
            if found.is_prefix:
                rows = self._asked(found, partial(rows_below, found), is_typed=True)
                self._agree_to(found)
                return rows
            info = self._asked(found, partial(described, found), is_typed=True)
            self._agree_to(found)
            return [{"size": info.size_bytes, "filename": file_name(found.name)}]

    # -- for the requests about content -----------------------------------------------------------

    @contextmanager
    def _or_by_url(self, key: str, local_file: str) -> Iterator[None]:
        """When the object of `key` is not there or may not be read, fetch its content from a URL."""
        try:
            yield
        except S3xError as error:
            if not may_be_at_url(error) or not self._retrieved_by_url(key, local_file):
                raise

    @contextmanager
    def _or_only_at_url(self, store: ObjectStore, name: str, key: str) -> Iterator[None]:
        """Let pass that the service takes no such name, where `key` has URLs that can be forgotten."""
        try:
            yield
        except S3xError as error:
            if not is_bad_request(error) or not any(self._own_urls(key)):
                raise
            if any(row.name == name for row in store.list(name)):
                raise

    def _retrieved_by_url(self, key: str, local_file: str) -> bool:
        """Fetch the content of `key` from a URL that is recorded for it, if there is one.

        Raises
        ------
        S3xError
            None of them has it, or it cannot be found out.
        """
        failed: S3xError | None = None
        for _, url in self._urls(key):
            try:
                self._asked(
                    url, partial(self._fetch, url, key, local_file), as_user=self._may_fetch(url, key)
                )
            except (ObjectNotFound, AccessDenied, CredentialsError, ConfigError) as error:
                failed = failed or error
                continue
            return True
        if failed is not None:
            raise failed
        return False

    def _is_at_url(self, key: str) -> bool:
        """Tell whether an object that this remote answers for can be the content of `key`.

        It must have the size that the key tells, and no checksum of the server's may be another one:
        what lies at a URL is for others to replace.

        Raises
        ------
        S3xError
            None has, and of one it cannot be found out.
        """
        from datalad_s3ext.repo.content_ids import digests_from_server
        from datalad_s3ext.repo.known_keys import contradicts

        doubt = None
        for _, url in self._own_urls(key):
            try:
                info = self._asked(url, partial(with_checksums, url))
                other = contradicts(key, info.size_bytes, digests_from_server(info, self._facts(url)))
            except ObjectNotFound:
                continue
            except S3xError as error:
                doubt = doubt or error
                continue
            if not other:
                return True
        if doubt is not None:
            raise doubt
        return False

    def _forget_urls(self, key: str) -> None:
        """Note that `key` is not to be had from the URLs any more that this remote answers for."""
        for text, _ in list(self._own_urls(key)):
            self.annex.seturimissing(key, text)

    # -- what the rest of the remote offers -------------------------------------------------------

    @abstractmethod
    def _reported(self) -> AbstractContextManager[None]: ...
    @abstractmethod
    def _for_reading(self) -> Place: ...
    @abstractmethod
    def _choices(self) -> LocalChoices: ...
    @abstractmethod
    def _digest(self, key: str, local_file: str) -> KeyDigest | None: ...

    # -- helpers ----------------------------------------------------------------------------------

    def _urls(self, key: str) -> Iterator[tuple[str, S3Url]]:
        """Yield the URLs that are recorded for `key`, as text and read; malformed ones are left out."""
        from datalad_s3ext.store.s3_url import parse_s3_url

        if key.startswith(WITHOUT_URLS) or parse_key(key).chunk_number is not None:
            return
        for text in self.annex.geturls(key, _SCHEME):
            try:
                url = parse_s3_url(text)
            except ConfigError as error:
                self.annex.debug(str(error))
                continue
            if not url.is_prefix:
                yield text, url

    def _own_urls(self, key: str) -> Iterator[tuple[str, S3Url]]:
        return ((text, url) for text, url in self._urls(key) if self._answers_for(url))

    def _answers_for(self, url: S3Url) -> bool:
        from datalad_s3ext.remote.url_owner import Keeper, is_foreign, owner_of

        own, known = self._known()
        if own is None or is_foreign(url, own, known):
            return False
        keepers = [remote for remote in known if isinstance(remote, Keeper)]
        others = [remote for remote in known if not isinstance(remote, Keeper)]
        return owner_of(url, keepers, others) == own.uuid

    def _known(self) -> tuple[Keeper | None, list[Keeper | Occupant]]:
        """Return this remote, if it answers for URLs, and then all that the data set knows."""
        from datalad_s3ext.remote.url_owner import Keeper, known_remotes

        if self._shared.url_places.known is None:
            uuid, settings = self._shared.uuid(self.annex), self._shared.settings(self.annex)
            own = Keeper.of(uuid, settings, self.annex.getconfig("encryption"))
            found = known_remotes(self._shared.git_dir(self.annex)) if own else ()
            self._shared.url_places.known = own, [*found, *([own] if own else [])]
        return self._shared.url_places.known

    def _may_fetch(self, url: S3Url, key: str) -> bool:
        """Tell whether the user's keys may fetch the content of `key` from `url`.

        They may when a checksum says which content that is, when a person here has asked for objects
        of the bucket, and when it is this remote's, as its marker shows.
        """
        from datalad_s3ext.repo.agreed_buckets import agreed_buckets

        if _has_checksum(key):
            return True
        git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
        return _bucket_of(url) in agreed_buckets(git_dir, uuid) or self._is_own_bucket(url)

    def _agree_to(self, url: S3Url) -> None:
        """Note that a person has typed `url`: git-annex asks about no others."""
        from datalad_s3ext.repo.agreed_buckets import agree_to_bucket

        git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
        with self._shared.url_places.agreeing:
            agree_to_bucket(git_dir, uuid, _bucket_of(url))

    def _is_own_bucket(self, url: S3Url) -> bool:
        from datalad_s3ext.remote.url_owner import is_at

        if not is_at(url.endpoint, self._own_place()[1]):
            return False
        place = self._for_reading()
        return place.store.bucket == url.bucket and place.marker() == self._shared.uuid(self.annex)

    def _asked(
        self, url: S3Url, ask: Callable[[ObjectStore], _T], *, as_user: bool = True,
        is_typed: bool = False,
    ) -> _T:  # fmt: skip
        """Return what `ask` finds, with the user's keys if it may be so, or else as everybody can."""
        try:
            return ask(self._store(url, anonymous=not as_user, is_typed=is_typed))
        except (AccessDenied, CredentialsError) as refused:
            if not as_user:
                raise _needs_a_word(url, self._shared.uuid(self.annex)) from refused
            try:
                return ask(self._store(url, anonymous=True))
            except (AccessDenied, CredentialsError):
                raise refused from None

    def _pays_for(self, url: S3Url, *, is_typed: bool) -> bool:
        """Tell whether the user pays for what is read of a bucket that is not the remote's own.

        It takes two words: that this clone pays through this remote, and that a person here has asked
        for objects of that bucket.
        """
        from datalad_s3ext.repo.agreed_buckets import agreed_buckets

        if not self._own_place()[0].requester_pays:
            return False
        git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
        return is_typed or _bucket_of(url) in agreed_buckets(git_dir, uuid)

    def _store(self, url: S3Url, *, anonymous: bool, is_typed: bool = False) -> ObjectStore:
        from datalad_s3ext.credentials.model import Anonymous
        from datalad_s3ext.remote.url_owner import is_at
        from datalad_s3ext.remote.url_places import foreign_connection, foreign_identity

        choices, connection = self._own_place()
        is_near = is_at(url.endpoint, connection)
        pays = is_near and not anonymous and self._pays_for(url, is_typed=is_typed)
        if is_near and not anonymous:
            place = self._for_reading()
            if place.store.bucket == url.bucket:
                return place.store
            connection, identity = place.connection, place.identity
        elif is_near:
            identity = Anonymous()
        else:
            connection = foreign_connection(str(url.endpoint))
            git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
            identity = foreign_identity(connection, git_dir, uuid, anonymous=anonymous)
        key = (None if is_near else url.endpoint, url.bucket, anonymous, pays)
        return self._shared.url_places.get(
            key, lambda: self._opened(connection, identity, url.bucket, choices, pays=pays)
        )

    def _facts(self, url: S3Url) -> Upload:
        """Return what is known of ETags where `url` lies."""
        from datalad_s3ext.remote.url_owner import is_at
        from datalad_s3ext.remote.url_places import foreign_connection
        from datalad_s3ext.repo.content_ids import upload_facts

        own = self._own_place()[1]
        found = own if is_at(url.endpoint, own) else foreign_connection(str(url.endpoint))
        return upload_facts(found.provider.upload, url.bucket)

    def _own_place(self) -> tuple[LocalChoices, Connection]:
        from datalad_s3ext.remote.place import connect

        known = self._shared.url_places.own
        if known is None:
            choices = self._choices()
            known = choices, connect(self._shared.settings(self.annex), choices)
            self._shared.url_places.own = known
        return known

    def _opened(
        self, connection: Connection, identity: Identity, bucket: str, choices: LocalChoices,
        *, pays: bool,
    ) -> ObjectStore:  # fmt: skip
        from datalad_s3ext.store.extras import Extras
        from datalad_s3ext.store.patience import RetryPolicy
        from datalad_s3ext.store.retrying import open_patient_store
        from datalad_s3ext.transfer.pool import interruptible_sleep

        policy = RetryPolicy.of(
            retries=choices.retries, patience_s=choices.patience_s, stall_s=choices.stall_s
        )
        return open_patient_store(
            connection, identity, bucket,
            policy=policy,
            throttle=self._shared.throttle(choices),
            sleep=interruptible_sleep(self._shared.ended),
            extras=Extras(requester_pays=pays),
        )  # fmt: skip

    def _fetch(self, url: S3Url, key: str, local_file: str, store: ObjectStore) -> None:
        from datalad_s3ext.transfer.download import download_file
        from datalad_s3ext.transfer.progress import Progress

        parsed, path = parse_key(key), Path(local_file)
        if not _has_checksum(key) and path.exists():
            path.write_bytes(b"")  # nothing would tell that an earlier beginning is of other content
        download_file(
            store,
            object_name(url),
            path,
            expected_bytes=parsed.stored_bytes,
            pool=self._shared.pool,
            progress=Progress(self.annex.progress),
            digest=self._digest(key, local_file),
        )


def _has_checksum(key: str) -> bool:
    from datalad_s3ext.repo.digests import key_digest

    return key_digest(parse_key(key), key) is not None


def _bucket_of(url: S3Url) -> str:
    return str(replace(url, name="", version_id=None))


def _needs_a_word(url: S3Url, uuid: str) -> CredentialsError:
    from datalad_s3ext.repo.agreed_buckets import setting_of

    bucket = _bucket_of(url)
    return CredentialsError(
        f"{url} is not public, and your keys are not used: the data set names it, but not by which "
        "checksum its content is known, and nobody here has asked for it",
        remedy=f"if it is meant to be fetched: git config --add {setting_of(uuid)} '{bucket}'",
    )


__all__ = ["UrlRequests"]
