"""From the parameters of a remote to an open bucket, once per process and only when needed.

git-annex starts the remote several times per command, mostly to ask what it can do. So nothing here
runs, and boto3 is not imported, before the first request that must reach the store.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from datalad_s3ext.errors import AccessDenied, ConfigError, CredentialsError, S3xError
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.settings import RemoteSettings

if TYPE_CHECKING:
    from datalad_s3ext.credentials.model import Identity, Keys
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.providers.schema import Provider, Signature
    from datalad_s3ext.store.base import ObjectStore, PutOptions
    from datalad_s3ext.store.throttled import Throttle
    from datalad_s3ext.transfer.source import UploadRules

lgr = logging.getLogger(__name__)

_UUID = re.compile(r"[0-9a-fA-F-]{36}")


@dataclass(frozen=True)
class Place:
    """An open bucket, and where in it the content lies."""

    store: ObjectStore
    connection: Connection
    identity: Identity
    layout: Layout
    upload_rules: UploadRules
    is_marked: bool = True
    """Has a marker. An exported tree gets none, as with built-in S3, but may lie beside one."""

    def marker(self) -> str | None:
        """Return the UUID in the marker object; ``None`` when there is no marker."""
        from datalad_s3ext.repo.marker import read_marker

        return read_marker(self.store, self.layout.prefix)

    def confirm(self, uuid: str) -> None:
        """Make sure that what this store says about the remote `uuid` can be believed.

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

    def is_readable_by_all(self, uuid: str) -> bool:
        """Tell whether what is read here without keys can be believed.

        Files of an exported tree can be anyway: git-annex compares them with their keys.

        Raises
        ------
        S3xError
            It cannot be found out.
        """
        if self.is_marked:
            return self.marker() == uuid
        self.store.confirm_s3()
        return True


def foreign_marker(place: Place, found: str) -> ConfigError:
    """Return the error for a bucket that another special remote uses."""
    owner = f" (UUID {found})" if _UUID.fullmatch(found) else ""
    where = f"bucket {place.store.bucket}" + (
        f", prefix {place.layout.prefix}," if place.layout.prefix else ""
    )
    return ConfigError(
        f"{where} already belongs to another special remote{owner}",
        remedy="choose a prefix of its own for this data set: fileprefix=NAME/",
    )


def dataset_root(start: Path | None = None) -> Path | None:
    """Return the top of the repository around `start`; presets of the data set lie there.

    Folders above the repository are somebody else's and are not looked at.
    """
    here = (start or Path.cwd()).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)


def load_preset(settings: RemoteSettings) -> Provider:
    """Return the preset of a remote.

    Raises
    ------
    ConfigError
        When there is none of that name, or one of the data set would say where keys go.
    """
    from datalad_s3ext.providers.load import load_recorded

    return load_recorded(settings.provider, dataset=dataset_root(), endpoint=settings.endpoint)


def connect(
    settings: RemoteSettings, choices: LocalChoices, environ: Mapping[str, str] | None = None
) -> Connection:
    """Return how to reach the service that `settings` describe."""
    from datalad_s3ext.providers.resolve import resolve

    provider = load_preset(settings)
    return resolve(
        provider,
        endpoint=settings.endpoint,
        region=settings.region,
        environ=os.environ if environ is None else environ,
        addressing=settings.requeststyle,
        signature=agreed_signature(settings, choices.signature, provider),
    )


def agreed_signature(
    settings: RemoteSettings, local: Signature | None, provider: Provider
) -> Signature:
    """Return v4 or v2: `local`, what is recorded, or the preset's.

    The weak v2 needs a word from this machine: `local`, or a preset that knows it and the host.

    Raises
    ------
    ConfigError
        When v2 is wanted and nobody here has agreed to it.
    """
    if local:
        return local
    if (settings.signature or provider.requests.signature) != "v2":
        return "v4"  # also where nothing is signed

    from datalad_s3ext.providers.guess import is_own_host

    own_place = settings.endpoint is None or is_own_host(provider, settings.endpoint)
    if own_place and "v2" in (provider.requests.signature, provider.requests.signature_fallback):
        return "v2"
    raise ConfigError(
        "signature=v2 is weak: whoever sees a request can use it elsewhere, and nobody on this "
        "machine has agreed to it",
        remedy="if you trust the service: git config remote.NAME.s3x-signature v2",
    )


def open_place(
    settings: RemoteSettings,
    choices: LocalChoices,
    *,
    may_send_keys: Callable[[str], bool],
    remembered: Keys | None = None,
    anonymous: bool = False,
    throttle: Throttle | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Place:
    """Open the bucket of a remote.

    Parameters
    ----------
    may_send_keys
        Asked with an endpoint that this machine does not know: has a person agreed to it?
    remembered
        Keys that git-annex keeps for this remote, or that came with the data set.
    anonymous
        Send no credentials, whatever there is.
    throttle
        The bandwidth of this process; by default there is no limit.
    sleep
        How to wait between two tries; may raise to give up.

    Raises
    ------
    ConfigError, CredentialsError
        When a setting or the keys are missing or wrong. Nothing has been sent yet.
    """
    from datalad_s3ext.credentials.chain import find_identity
    from datalad_s3ext.store.patience import RetryPolicy
    from datalad_s3ext.store.retrying import open_patient_store
    from datalad_s3ext.transfer.source import UploadRules

    connection = connect(settings, choices)
    identity = find_identity(
        connection.provider,
        profile=choices.profile,
        anonymous=anonymous or choices.anonymous or settings.signature == "anonymous",
        remembered=remembered,
        endpoint_url=connection.endpoint_url,
    )
    policy = RetryPolicy.of(
        retries=choices.retries, patience_s=choices.patience_s, stall_s=choices.stall_s
    )
    store = open_patient_store(
        connection, identity, settings.bucket, policy=policy, throttle=throttle, sleep=sleep
    )
    if not _may_ask_as(identity, connection, may_send_keys):
        store.close()
        raise not_agreed(str(connection.endpoint_url))
    rules = UploadRules.of(
        connection.provider.upload,
        place=f"{connection.endpoint_url or connection.region}/{settings.bucket}"
        f" {settings.storageclass or ''} {settings.sse or ''}".rstrip(),
        part_size=settings.partsize,
        options=_put_options(settings),
    )
    return Place(
        store, connection, identity, Layout(settings.fileprefix), rules, not settings.exporttree
    )


def _may_ask_as(
    identity: Identity, connection: Connection, may_send_keys: Callable[[str], bool]
) -> bool:
    from datalad_s3ext.credentials.consent import is_vouched_for
    from datalad_s3ext.credentials.model import EMBEDDED, Anonymous

    own = not isinstance(identity, Anonymous) and identity.source != EMBEDDED
    return not own or is_vouched_for(connection) or may_send_keys(str(connection.endpoint_url))


def not_agreed(endpoint_url: str) -> CredentialsError:
    """Return the error for an endpoint that only the data set names."""
    return CredentialsError(
        f"no keys were sent to {endpoint_url}: this data set names it, and nobody here has agreed",
        remedy=f"if it is the right place: datalad s3-enable --trust-endpoint {endpoint_url}, or "
        f"S3X_TRUST_ENDPOINT={endpoint_url} git annex enableremote NAME",
    )


def _put_options(settings: RemoteSettings) -> PutOptions:
    from datalad_s3ext.store.base import PutOptions

    return PutOptions(
        storage_class=settings.storageclass,
        metadata=settings.metadata,
        tagging=settings.tagging,
        sse=settings.sse,
        sse_kms_key_id=settings.sse_kms_key_id,
    )


class Places:
    """The open bucket of this process: opened once, shown to be ours, shared by all jobs.

    Methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._writing: Place | None = None
        self._reading: Place | None = None

    def for_writing(self, opener: Callable[[bool], Place], uuid: str) -> Place:
        """Return the bucket, opened by ``opener(anonymous=False)`` the first time.

        Raises
        ------
        S3xError
            It cannot be opened, or has not shown that it belongs to the remote `uuid`.
        """
        with self._lock:
            if self._writing is None:
                self._writing = _confirmed(opener(False), uuid)
            return self._writing

    def forget(self) -> None:
        """Open anew next time: keys have been refused, and others may be found by then."""
        with self._lock:
            self._writing = self._reading = None

    def for_reading(self, opener: Callable[[bool], Place], uuid: str) -> Place:
        """Return the bucket; opened without credentials where those are missing or refused."""
        with self._lock:
            if self._writing is None and self._reading is None:
                try:
                    self._writing = _confirmed(opener(False), uuid)
                except (CredentialsError, AccessDenied) as refused:
                    self._reading = _opened_by_nobody(opener, uuid, refused)
            return cast("Place", self._writing or self._reading)


def _confirmed(place: Place, uuid: str) -> Place:
    place.confirm(uuid)
    return place


def _opened_by_nobody(opener: Callable[[bool], Place], uuid: str, refused: S3xError) -> Place:
    """Open the bucket as everybody can, or raise `refused`, which says more."""
    try:
        place = opener(True)
        if place.is_readable_by_all(uuid):
            return place
    except S3xError as error:
        lgr.debug("the bucket is not public either: %s", error)
    raise refused
