"""Open buckets for reading: one for each remote and identity, shared by the whole process."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TypeVar

from datalad_s3ext.credentials.chain import find_identity
from datalad_s3ext.credentials.consent import is_vouched_for, named_by_environment
from datalad_s3ext.credentials.model import Anonymous, Identity
from datalad_s3ext.errors import AccessDenied, ConfigError, CredentialsError, S3xError
from datalad_s3ext.fs.options import Options
from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.remote.local import LocalChoices, read_choices
from datalad_s3ext.remote.place import not_agreed
from datalad_s3ext.remote.recorded import agreed_connection
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.remote.storing import extras_for
from datalad_s3ext.repo import remotes, trust
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import open_patient_store
from datalad_s3ext.store.throttled import Throttle

T = TypeVar("T")
CONNECTIONS = 32


class Bucket:
    """The bucket of one special remote, opened when first read from. Safe in threads.

    With the remote's own credentials, else as everybody can. Keys go where a person has agreed to.
    """

    def __init__(self, repo: Path, git_dir: Path, remote: SpecialRemote, options: Options) -> None:
        self.remote = remote
        self.label = remote.enabled_as or remote.name
        self._repo = repo
        self._git_dir = git_dir
        self._options = options
        self._lock = Lock()
        self._store: ObjectStore | None = None
        self._refused: S3xError | None = None

    def read(self, request: Callable[[ObjectStore], T]) -> T:
        """Return what `request` makes of the store.

        Raises
        ------
        S3xError
            Neither the remote's keys nor nobody's may read, or the request itself failed.
        """
        store = self._opened()
        try:
            return request(store)
        except (AccessDenied, CredentialsError) as refused:
            return self._as_everybody(store, request, refused)

    def presigned(self, name: str, seconds: int) -> str:
        """Return a URL that lets everybody read the object `name` for a while. Nothing is sent.

        Raises
        ------
        S3xError
            There are no keys to sign with, or a URL alone is not enough to read.
        """
        from datalad_s3ext.store.presign import presigned_url

        extras = self._extras(self._choices)
        return presigned_url(
            self._connection, self._identity(), self.remote.bucket, name, seconds, extras
        )

    def _as_everybody(
        self, store: ObjectStore, request: Callable[[ObjectStore], T], refused: S3xError
    ) -> T:
        with self._lock:
            first = self._refused
        if first is not None:  # nobody's keys were tried: the first word says more
            self._forget(store)
            raise first from refused
        public = self._open(Anonymous())
        try:
            answer = request(public)
        except (AccessDenied, CredentialsError):
            public.close()
            self._forget(store)
            raise refused from None
        with self._lock:
            self._store, self._refused = public, refused
        return answer

    def _opened(self) -> ObjectStore:
        with self._lock:
            if self._store is None:
                try:
                    self._store = self._open(self._identity())
                except CredentialsError as refused:
                    self._store, self._refused = self._open(Anonymous()), refused
            return self._store

    def _forget(self, store: ObjectStore) -> None:
        """Look for keys anew next time: those that were refused may have been renewed by then."""
        with self._lock:
            if self._store is store:
                self._store = self._refused = None
                for name in ("_choices", "_connection"):
                    self.__dict__.pop(name, None)

    def _identity(self) -> Identity:
        connection, choices = self._connection, self._choices
        nobody = self._options.anonymous or os.environ.get("S3X_ANONYMOUS") == "1"
        given = self._options.profile is not None
        identity = find_identity(
            connection.provider,
            profile=self._options.profile or choices.profile,
            anonymous=nobody or (not given and (choices.anonymous or self._is_signed_by_nobody())),
            remembered=remotes.remembered_keys(self._repo, self.remote),
            endpoint_url=connection.endpoint_url,
        )
        if isinstance(identity, Anonymous) or self._is_agreed(connection):
            return identity
        raise not_agreed(str(connection.endpoint_url))

    def _is_agreed(self, connection: Connection) -> bool:
        url = connection.endpoint_url
        return (
            is_vouched_for(connection)
            or url in named_by_environment(os.environ)
            or url in trust.trusted_endpoints(self._git_dir, self.remote.uuid)
        )

    def _is_signed_by_nobody(self) -> bool:
        return self.remote.parameters.get("signature") == "anonymous"

    def _extras(self, choices: LocalChoices) -> Extras:
        if not self.remote.is_ours:
            return NO_EXTRAS
        settings = read_settings(lambda name: self.remote.parameters.get(name, ""))
        return extras_for(settings, choices, self._connection)

    @cached_property
    def _choices(self) -> LocalChoices:
        return read_choices(self.remote.enabled_as or "", self._git_dir)

    @cached_property
    def _connection(self) -> Connection:
        return agreed_connection(self.remote, dataset=self._repo)

    def _open(self, identity: Identity) -> ObjectStore:
        if not self.remote.bucket:
            raise ConfigError(f"the remote {self.remote.name!r} names no bucket")
        choices = self._choices
        policy = RetryPolicy.of(
            retries=choices.retries, patience_s=choices.patience_s, stall_s=choices.stall_s
        )
        limit = choices.download_bytes_per_s
        throttle = Throttle(None, limit) if limit else None
        return open_patient_store(
            self._connection, identity, self.remote.bucket,
            connections=CONNECTIONS, policy=policy, throttle=throttle,
            extras=self._extras(choices),
        )  # fmt: skip


_BUCKETS: ProcessWide[object, Bucket] = ProcessWide()


def bucket_of(repo: Path, git_dir: Path, remote: SpecialRemote, options: Options) -> Bucket:
    """Return the bucket of `remote`, shared by all who read with the same identity."""
    key = (git_dir, remote.id, tuple(sorted(remote.parameters.items())), options.profile,
           options.anonymous)  # fmt: skip
    return _BUCKETS.get(key, lambda: Bucket(repo, git_dir, remote, options))
