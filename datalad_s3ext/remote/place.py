"""From the parameters of a remote to an open bucket, once per process and only when needed.

git-annex starts the remote several times per command, mostly to ask what it can do. So nothing here
runs, and boto3 is not imported, before the first request that must reach the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from datalad_s3ext.errors import ConfigError, CredentialsError, S3xError
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.settings import RemoteSettings

if TYPE_CHECKING:
    from datalad_s3ext.credentials.model import Identity, Keys
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.providers.schema import Provider, Signature
    from datalad_s3ext.store.base import ObjectStore, PutOptions


@dataclass(frozen=True)
class Place:
    """An open bucket, and where in it the content lies."""

    store: ObjectStore
    connection: Connection
    identity: Identity
    layout: Layout
    put_options: PutOptions

    def marker(self) -> str | None:
        """Return the UUID in the marker object; ``None`` when there is no marker."""
        from datalad_s3ext.repo.marker import read_marker

        return read_marker(self.store, self.layout.prefix)

    def confirm(self, uuid: str) -> None:
        """Make sure that an answer "absent" from this store would be believable.

        Raises
        ------
        ConfigError
            The bucket and prefix belong to another special remote.
        S3xError
            What answers is no S3 service, or cannot be asked.
        """
        found = self.marker()
        if found is None:
            self.store.confirm_s3()
        elif found != uuid:
            raise foreign_marker(self, found)


def foreign_marker(place: Place, found: str) -> ConfigError:
    """Return the error for a bucket that another special remote uses."""
    where = f"bucket {place.store.bucket}" + (
        f", prefix {place.layout.prefix}," if place.layout.prefix else ""
    )
    return ConfigError(
        f"{where} already belongs to another special remote (UUID {found})",
        remedy="choose a prefix of its own for this data set: fileprefix=NAME/",
    )


def dataset_root(start: Path | None = None) -> Path | None:
    """Return the nearest folder upwards that holds `.datalad`; presets of the data set lie there."""
    here = (start or Path.cwd()).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / ".datalad").is_dir()), None)


def load_preset(settings: RemoteSettings) -> Provider:
    """Return the preset of a remote.

    Raises
    ------
    ConfigError
        When there is none of that name.
    """
    from datalad_s3ext.providers.load import load_provider

    return load_provider(settings.provider, dataset=dataset_root())


def connect(
    settings: RemoteSettings, choices: LocalChoices, environ: Mapping[str, str] | None = None
) -> Connection:
    """Return how to reach the service that `settings` describe."""
    from datalad_s3ext.providers.resolve import resolve

    return resolve(
        load_preset(settings),
        endpoint=settings.endpoint,
        region=settings.region,
        environ=os.environ if environ is None else environ,
        addressing=settings.requeststyle,
        signature=_signature(settings, choices),
    )


def _signature(settings: RemoteSettings, choices: LocalChoices) -> Signature | None:
    """Return v4 or v2, or ``None`` for the preset's. The weak v2 needs a word from this machine."""
    if choices.signature:
        return choices.signature
    if settings.signature != "v2":
        return "v4" if settings.signature == "v4" else None
    requests = load_preset(settings).requests
    if "v2" in (requests.signature, requests.signature_fallback):
        return "v2"
    raise ConfigError(
        "signature=v2 is weak and not what this provider's preset asks for",
        remedy="if you trust the service: git config remote.NAME.s3x-signature v2",
    )


def open_place(
    settings: RemoteSettings,
    choices: LocalChoices,
    *,
    remembered: Keys | None = None,
    anonymous: bool = False,
    connections: int = 16,
) -> Place:
    """Open the bucket of a remote.

    Parameters
    ----------
    remembered
        Keys that git-annex keeps for this remote.
    anonymous
        Send no credentials, whatever there is.

    Raises
    ------
    ConfigError, CredentialsError
        When a setting or the keys are missing or wrong. Nothing has been sent yet.
    """
    from datalad_s3ext.credentials.chain import find_identity
    from datalad_s3ext.store.base import PutOptions
    from datalad_s3ext.store.retrying import open_patient_store

    connection = connect(settings, choices)
    identity = find_identity(
        connection.provider,
        profile=choices.profile,
        anonymous=anonymous or choices.anonymous or settings.signature == "anonymous",
        remembered=remembered,
    )
    store = open_patient_store(connection, identity, settings.bucket, connections=connections)
    options = PutOptions(
        storage_class=settings.storageclass,
        metadata=settings.metadata,
        tagging=settings.tagging,
        sse=settings.sse,
        sse_kms_key_id=settings.sse_kms_key_id,
    )
    layout = Layout(settings.fileprefix)
    return Place(store, connection, identity, layout, options)


class Places:
    """The open bucket of this process: opened once, shared by all jobs, for writing or for reading.

    Methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._writing: Place | None = None
        self._reading: Place | None = None
        self._confirmed = False

    def for_writing(self, opener: Callable[[bool], Place]) -> Place:
        """Return the open bucket; `opener` is called with ``anonymous=False`` the first time."""
        with self._lock:
            if self._writing is None:
                self._writing = opener(False)
            return self._writing

    def for_reading(self, opener: Callable[[bool], Place]) -> Place:
        """Return the open bucket, without credentials when there are none: it may be public."""
        with self._lock:
            if self._writing is not None:
                return self._writing
            if self._reading is None:
                self._reading = self._open_for_reading(opener)
            return self._reading

    def _open_for_reading(self, opener: Callable[[bool], Place]) -> Place:
        try:
            self._writing = opener(False)
            return self._writing
        except CredentialsError as missing:
            try:
                public = opener(True)
                public.marker()
            except S3xError:
                raise missing from None
            return public

    def confirm(self, place: Place, uuid: str) -> None:
        """Do `Place.confirm` once per process."""
        if not self._confirmed:
            place.confirm(uuid)
            self._confirmed = True
