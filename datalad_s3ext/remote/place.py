"""From the parameters of a remote to an open bucket, once per process and only when needed.

git-annex starts the remote several times per command, mostly to ask what it can do. So nothing here
runs, and boto3 is not imported, before the first request that must reach the store.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, cast

from datalad_s3ext.errors import AccessDenied, ConfigError, CredentialsError, S3xError
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.settings import CUSTOMER_KEY, RemoteSettings

if TYPE_CHECKING:
    from datalad_s3ext.credentials.model import Identity, Keys
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.providers.schema import Provider, Signature
    from datalad_s3ext.remote.public import PublicUrl
    from datalad_s3ext.store.base import ObjectStore
    from datalad_s3ext.store.throttled import Throttle
    from datalad_s3ext.transfer.source import UploadRules

lgr = logging.getLogger(__name__)

WITHOUT_KEYS_S = 300.0
"""So long at most requests go without keys after those were refused: a refusal may pass."""
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
    """Has a marker. A tree gets none, as with built-in S3, but an exported one may lie beside one."""
    public: PublicUrl | None = None
    """Where it is read from over plain HTTP, instead of from the S3 service."""

    def marker(self) -> str | None:
        """Return the UUID in the marker object; ``None`` when there is no marker."""
        from datalad_s3ext.repo.marker import read_marker

        return read_marker(self.store, self.layout.prefix)

    def confirm(self, uuid: str) -> bool:
        """Make sure that what this store says about the remote `uuid` can be believed.

        Tells whether it may be written to: not where a marker should be and is not. Somebody may have
        emptied the bucket, or it is another one of that name.

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
        return found is not None or not self.is_marked

    def is_readable_by_all(self, uuid: str) -> bool:
        """Tell whether what is read here without keys can be believed.

        Files of an exported tree can be anyway: git-annex compares them with their keys.

        Raises
        ------
        S3xError
            It cannot be found out.
        """
        if self.public is not None:
            self.public.check_reading()
        elif self.is_marked:
            return self.marker() == uuid
        else:
            self.store.confirm_s3()
        return True


def _where(place: Place) -> str:
    prefix = f", prefix {place.layout.prefix}," if place.layout.prefix else ""
    return f"bucket {place.store.bucket}{prefix}"


def missing_marker(place: Place) -> ConfigError:
    """Return the error for a bucket that no longer shows that it belongs to the remote."""
    return ConfigError(
        f"{_where(place)} has lost the object {place.layout.marker} that shows whose it is, so nothing"
        " was stored or removed: it was emptied, or another bucket has its name",
        remedy="if it is the right bucket, git annex enableremote NAME marks it again",
    )


def foreign_marker(place: Place, found: str) -> ConfigError:
    """Return the error for a bucket that another special remote uses."""
    owner = f" (UUID {found})" if _UUID.fullmatch(found) else ""
    return ConfigError(
        f"{_where(place)} already belongs to another special remote{owner}",
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
    from datalad_s3ext.remote.storing import extras_for, upload_rules
    from datalad_s3ext.store.patience import RetryPolicy
    from datalad_s3ext.store.retrying import open_patient_store

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
        connection, identity, settings.bucket, policy=policy, throttle=throttle, sleep=sleep,
        extras=extras_for(settings, choices, connection),
    )  # fmt: skip
    has_secret = settings.sse == CUSTOMER_KEY
    if not _may_ask_as(identity, connection, may_send_keys, has_secret=has_secret):
        store.close()
        raise not_agreed(str(connection.endpoint_url))
    rules = upload_rules(settings, connection)
    return Place(store, connection, identity, Layout(settings.fileprefix), rules, settings.is_marked)


def _may_ask_as(
    identity: Identity,
    connection: Connection,
    may_send_keys: Callable[[str], bool],
    *,
    has_secret: bool,
) -> bool:
    from datalad_s3ext.credentials.consent import is_vouched_for
    from datalad_s3ext.credentials.model import EMBEDDED, Anonymous

    is_somebody = not isinstance(identity, Anonymous)
    own = is_somebody and (has_secret or identity.source != EMBEDDED)
    return not own or is_vouched_for(connection) or may_send_keys(str(connection.endpoint_url))


def not_agreed(endpoint_url: str) -> CredentialsError:
    """Return the error for an endpoint that only the data set names."""
    return CredentialsError(
        f"no keys were sent to {endpoint_url}: this data set names it, and nobody here has agreed",
        remedy=f"if it is the right place: datalad s3-enable --trust-endpoint {endpoint_url}, or "
        f"S3X_TRUST_ENDPOINT={endpoint_url} git annex enableremote NAME",
    )


class Places:
    """The open bucket of this process: opened once, shown to be ours, shared by all jobs.

    Methods may be called from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._opening: _Opening | None = None
        self._clock = clock
        self._writing: Place | None = None
        self._may_write = False
        self._reading: Place | None = None
        """Opened without keys, because they were missing or refused."""
        self._reading_since_s = 0.0
        self._refusals = 0
        """So often one after the other keys were of no use."""

    def for_writing(self, opener: Callable[[bool], Place], uuid: str) -> Place:
        """Return the bucket, opened by ``opener(anonymous=False)`` the first time.

        Raises
        ------
        S3xError
            It cannot be opened, or has not shown that it belongs to the remote `uuid`.
        """
        with self._in_turn():
            if self._writing is None:
                self._writing = self._opened(opener, uuid)
            elif not self._may_write:  # it may have been marked again meanwhile
                self._may_write = self._writing.confirm(uuid)
            if not self._may_write:
                raise missing_marker(self._writing)
            return self._writing

    def forget(self) -> None:
        """Open anew next time: keys have been refused, and others may be found by then."""
        with self._lock:
            self._writing = self._reading = None
            self._may_write = False

    def note_refusal(self) -> None:
        """Try keys again if requests go without them, which may be what was refused.

        At once, but later and later where that is of no use.
        """
        with self._lock:
            least_s = min(WITHOUT_KEYS_S, 2.0 ** (self._refusals - 2)) if self._refusals > 1 else 0
            if self._clock() - self._reading_since_s >= least_s:
                self._reading = None

    def for_reading(self, opener: Callable[[bool], Place], uuid: str) -> Place:
        """Return the bucket; opened without credentials where those are missing or refused.

        That is tried again after a while: a refusal may pass.
        """
        with self._in_turn():
            if self._clock() - self._reading_since_s > WITHOUT_KEYS_S:
                self._reading = None
            if self._writing is None and self._reading is None:
                try:
                    self._writing = self._opened(opener, uuid)
                except (CredentialsError, AccessDenied) as refused:
                    self._reading = _opened_by_nobody(opener, uuid, refused)
                    self._reading_since_s = self._clock()
                    self._refusals += 1
            return cast("Place", self._writing or self._reading)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Wait for one's turn; who waits for the bucket to show whose it is connects meanwhile."""
        opening = self._opening
        if opening is not None:
            opening.connect_ahead()
        with self._lock:
            yield

    def _opened(self, opener: Callable[[bool], Place], uuid: str) -> Place:
        opening = self._opening = _Opening()
        try:
            place = opening.place = opener(False)
            opening.is_decided.set()
            self._may_write = place.confirm(uuid)
        finally:
            self._opening = None
            opening.is_decided.set()
        self._refusals = 0
        return place


class _Opening:
    """A bucket that one job opens, as the others see it."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.is_decided = Event()
        """Whether there is a `place`: nothing has been asked there yet."""

    def connect_ahead(self) -> None:
        """Wait for the place, if there will be one, and have a connection ready there."""
        self.is_decided.wait()
        if self.place is not None:
            self.place.store.connect_ahead()


def _opened_by_nobody(opener: Callable[[bool], Place], uuid: str, refused: S3xError) -> Place:
    """Open the bucket as everybody can, or raise `refused`, which says more."""
    from datalad_s3ext.store.probe import retold

    place: Place | None = None
    try:
        place = opener(True)
        if place.is_readable_by_all(uuid):
            return place
    except S3xError as error:
        lgr.debug("the bucket is not public either: %s", error)
        if place is not None and place.public is not None:
            what = f"{refused.what}; its publicurl cannot be read either: {error.what}"
            raise retold(refused, what, error.remedy or refused.remedy) from error
    raise refused
