"""One method for each request of git-annex, for one job; what jobs share is in :mod:`.shared`."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from annexremote import Master, RemoteError
from annexremote.annexremote import UnexpectedMessage

from datalad_s3ext.errors import AccessDenied, CredentialsError, ObjectNotFound, S3xError, one_line
from datalad_s3ext.remote.archives import ArchiveRequests
from datalad_s3ext.remote.exports import ExportRequests
from datalad_s3ext.remote.imports import ImportRequests
from datalad_s3ext.remote.links import LinkRequests
from datalad_s3ext.remote.local import LocalChoices, read_choices
from datalad_s3ext.remote.messages import HungUp
from datalad_s3ext.remote.place import Place, connect, foreign_marker, load_preset, open_place
from datalad_s3ext.remote.public import PublicRequests
from datalad_s3ext.remote.settings import CUSTOMER_KEY, SETTINGS
from datalad_s3ext.remote.shared import Shared
from datalad_s3ext.remote.url_objects import may_be_at_url
from datalad_s3ext.remote.versions import VersionRequests
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from datalad_s3ext.repo.digests import KeyDigest

COST_LOCAL = 175
"""git-annex's "semi-expensive": a server on this machine."""
COST_NETWORK = 200
"""git-annex's "expensive", its default for remotes across a network."""


class S3xRemote(
    VersionRequests, ArchiveRequests, ExportRequests, ImportRequests, LinkRequests, PublicRequests
):
    """The special remote as one job sees it.

    Methods raise annexremote's `RemoteError` with one line that says what failed, why, and what to do.
    annexremote turns it into FAILURE, or into UNKNOWN for CHECKPRESENT.
    """

    def __init__(self, annex: Master, shared: Shared) -> None:
        super().__init__(annex)
        self._shared = shared

    # -- set-up -------------------------------------------------------------------------------

    def initremote(self) -> None:
        """Make bucket and marker, or find them; safe to repeat."""
        from datalad_s3ext.remote.storing import check_storage_classes

        with self._reported():
            try:
                place = self._open(anonymous=False, prefer_environment=True)
                if not self._is_new():
                    self._require_keys(place)
                check_storage_classes(self._shared.settings(self.annex), place.connection.provider)
                self._ensure_bucket(place)
                self._ensure_encryption(place)
                self._ensure_marker(place)
                self._ensure_versioning(place)
            except (CredentialsError, AccessDenied):
                public = self._public_place()
                if public is None:
                    raise
                self._note_place(public)
            else:
                self._note_place(place)
                self._remember_keys(place)

    def prepare(self) -> None:
        """Check the parameters for form. Nothing is sent, and boto3 is not imported."""
        with self._reported():
            self._shared.settings(self.annex)

    def listconfigs(self) -> dict[str, str]:
        """Return what `git annex initremote` takes for this remote."""
        return {setting.name: setting.description for setting in SETTINGS}

    # -- content ------------------------------------------------------------------------------

    def transfer_store(self, key: str, local_file: str) -> None:
        """Store content. It replaces what is there: some keys of git-remote-annex change."""
        from datalad_s3ext.transfer.progress import Progress
        from datalad_s3ext.transfer.upload import upload_file

        with self._reported():
            self._refuse_to_store()
            place = self._for_writing()
            upload_file(
                place.store,
                place.layout.of_key(key),
                Path(local_file),
                self._rules(place, key, local_file),
                self._shared.pool,
                Progress(self.annex.progress),
                self._shared.journals(self.annex, place),
            )

    def transfer_retrieve(self, key: str, local_file: str) -> None:
        """Fetch content, going on behind what an earlier try left in `local_file`."""
        from datalad_s3ext.transfer.download import download_file
        from datalad_s3ext.transfer.progress import Progress

        with self._reported():
            digest = self._digest(key, local_file)
            place = self._for_reading()
            name = place.layout.of_key(key)
            with self._or_by_url(key, local_file), self._restored(place, key, name):
                download_file(
                    place.store,
                    name,
                    Path(local_file),
                    expected_bytes=parse_key(key).stored_bytes,
                    pool=self._shared.pool,
                    progress=Progress(self.annex.progress),
                    digest=digest,
                )

    def checkpresent(self, key: str) -> bool:
        """Tell whether the content is there: data is dropped elsewhere on the strength of this.

        The store has shown before that it is ours. "Yes" needs the right size where the key tells it.
        """
        with self._reported():
            place = self._for_asking()
            if self._is_view:  # nothing is stored by key there, whatever files of the tree are called
                return self._is_at_url(key)
            expected = parse_key(key).stored_bytes
            try:
                found = self._looked_at(place, place.layout.of_key(key)).size_bytes
            except ObjectNotFound:
                return self._is_at_url(key)
            except S3xError as error:  # denied also where nobody may list, and it is not there
                if may_be_at_url(error) and self._is_at_url(key):
                    return True
                raise
            return expected in (None, found)

    def remove(self, key: str) -> None:
        """Remove content. That it is not there is success."""
        with self._reported():
            if self._is_view:
                self._remove_versions(key)
                return
            place = self._for_writing()
            name = place.layout.of_key(key)
            with self._or_only_at_url(place.store, name, key):
                place.store.delete(name)
            self._forget_urls(key)

    # -- what it is ---------------------------------------------------------------------------

    def getcost(self) -> int:
        """Prefer a server on this machine to one across the network."""
        return COST_LOCAL if self._is_local() else COST_NETWORK

    def getavailability(self) -> str:
        """Tell whether everybody can reach the store: ``global``, ``local`` or ``unavailable``."""
        from datalad_s3ext.providers.resolve import server_record

        if self._uses_local_server():
            try:
                server_record()
            except S3xError:
                return "unavailable"
        return "local" if self._is_local() else "global"

    def whereis(self, key: str) -> str | None:
        """Return where everybody can read the content, if somewhere. Nothing is sent."""
        from datalad_s3ext.remote.layout import Layout

        try:
            settings = self._shared.settings(self.annex)
            if not settings.publicurl or settings.importtree or self._is_view:
                return None
            # files of a tree have other names than their keys
            names = self._shared.exported_names(self.annex) if settings.exporttree else {key: key}
        except S3xError:
            return None
        name = names.get(key)
        return Layout(settings.fileprefix).url_below(settings.publicurl, name) if name else None

    def describe(self) -> dict[str, str]:
        """Return the fields that `git annex info REMOTE` shows. Nothing is sent."""
        try:
            settings = self._shared.settings(self.annex)
            connection = connect(settings, self._choices())
        except S3xError as error:
            return {"problem": str(error)}
        fields = {
            "provider": connection.provider.name,
            "endpoint": connection.endpoint_url or "chosen by region",
            "region": connection.region,
            "bucket": settings.bucket,
            "fileprefix": settings.fileprefix,
            "storage class": settings.storageclass or "",
            "archived content": "restored on request" if settings.restore else "",
            "encrypted by the server": settings.sse or "",
            "public": settings.publicurl or "",
            "measured": connection.measured.text if connection.measured else "",
        }
        return {name: value for name, value in fields.items() if value}

    def debug(self, text: str) -> None:
        """Show `text` to those who run git-annex with --debug."""
        for line in text.splitlines():
            self.annex.debug(line)

    # -- helpers ------------------------------------------------------------------------------

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn whatever goes wrong into the one line that git-annex shows."""
        try:
            yield
        except S3xError as error:
            if isinstance(error, CredentialsError):
                self._shared.places.forget()
            if isinstance(error, AccessDenied):
                self._shared.places.note_refusal()
            raise RemoteError(str(error)) from error
        except HungUp:
            raise
        except Exception as error:
            self.debug(traceback.format_exc())
            raise RemoteError(
                one_line(f"internal error of git-annex-remote-s3x: {type(error).__name__}: {error}")
            ) from error

    def _uses_local_server(self) -> bool:
        try:
            settings = self._shared.settings(self.annex)
            return load_preset(settings).endpoint.local_server and settings.endpoint is None
        except S3xError:
            return False

    def _is_local(self) -> bool:
        from datalad_s3ext.providers.resolve import is_loopback_host

        if self._uses_local_server():
            return True
        try:
            endpoint = self._shared.settings(self.annex).endpoint
            return is_loopback_host(urlsplit(endpoint or "").hostname or "")
        except (S3xError, ValueError):
            return False

    def _choices(self) -> LocalChoices:
        if "GETGITREMOTENAME" not in self.annex.protocol.extensions:
            return read_choices("")
        try:
            name = self.annex.getgitremotename()
        except UnexpectedMessage:  # git-annex before 10.20260115, during INITREMOTE
            return read_choices("")
        return read_choices(name or "")

    def _digest(self, key: str, local_file: str) -> KeyDigest | None:
        """Return what verifies the content of `key` when git-annex does not."""
        from datalad_s3ext.remote.verifying import required_digest

        if self._shared.verifies is None:
            choices = self._choices()
            self._shared.keep_choices(choices)
            self._shared.verifies = choices.verify
        if not self._shared.verifies:
            return None
        return required_digest(key, Path(local_file), self._shared.uuid(self.annex))

    def _for_writing(self) -> Place:
        uuid = self._shared.uuid(self.annex)
        place = self._shared.places.for_writing(lambda anonymous: self._open(anonymous=anonymous), uuid)
        return self._unmoved(place, note=True)

    def _for_asking(self) -> Place:
        """Return the bucket to look for content in that may be dropped elsewhere if it is there."""
        place = self._unmoved(self._for_reading(), note=False)
        if place.public is not None:
            place.public.check_asking()
        return place

    def _unmoved(self, place: Place, *, note: bool) -> Place:
        from datalad_s3ext.remote.moves import require_place

        git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
        require_place(git_dir, uuid, place, note=note, agreed=self._shared.agreed_places)
        return place

    def _for_reading(self) -> Place:
        uuid = self._shared.uuid(self.annex)
        return self._shared.places.for_reading(self._open_to_read, uuid)

    def _note_place(self, place: Place) -> None:
        from datalad_s3ext.remote.moves import note_place

        told = note_place(self._shared.git_dir(self.annex), self._shared.uuid(self.annex), place)
        if told:
            self._tell(told)
        self._note_public_url(place.layout)

    def _public_place(self) -> Place | None:
        """Return the bucket if everybody can read the remote's own marker: it is of use for reading."""
        try:
            place, uuid = self._open_for_all(), self._shared.uuid(self.annex)
            if self._shared.settings(self.annex).publicurl and not place.is_marked:
                return place if place.is_readable_by_all(uuid) else None
            found = place.marker()
            return place if found == uuid or (found is None and not place.is_marked) else None
        except S3xError:
            return None

    def _open(self, *, anonymous: bool, prefer_environment: bool = False) -> Place:
        from datalad_s3ext.remote.keeping import may_send_keys, remembered_keys
        from datalad_s3ext.transfer.pool import interruptible_sleep

        settings, uuid = self._shared.settings(self.annex), self._shared.uuid(self.annex)
        environment_first = prefer_environment and "AWS_ACCESS_KEY_ID" in os.environ
        wanted = anonymous or os.environ.get("S3X_ANONYMOUS") == "1"
        remembered = None if environment_first or wanted else remembered_keys(self.annex, uuid)
        choices = self._shared.take_choices() or self._choices()
        return open_place(
            settings, choices, may_send_keys=partial(may_send_keys, self.annex, uuid),
            remembered=remembered, anonymous=wanted,
            throttle=self._shared.throttle(choices),
            sleep=interruptible_sleep(self._shared.ended),
        )  # fmt: skip

    def _remember_keys(self, place: Place) -> None:
        from datalad_s3ext.remote.keeping import remember_endpoint, remember_keys

        uuid = self._shared.uuid(self.annex)
        remember_keys(self.annex, uuid, place.identity)
        remember_endpoint(self.annex, uuid, place.connection.endpoint_url)

    def _is_new(self) -> bool:
        """Tell whether the remote is being made. One that came with a clone makes no buckets."""
        from datalad_s3ext.repo.trust import is_recorded

        return not is_recorded(Path(self.annex.getgitdir()), self._shared.uuid(self.annex))

    def _may_write(self) -> bool:
        return not self._shared.settings(self.annex).importtree

    def _ensure_bucket(self, place: Place) -> None:
        from datalad_s3ext.store.probe import ensure_bucket

        if (
            ensure_bucket(place.store, may_create=self._is_new() and self._may_write())
            and "INFO" in self.annex.protocol.extensions
        ):
            self.annex.info(f"created bucket {place.store.bucket}")

    def _ensure_encryption(self, place: Place) -> None:
        from datalad_s3ext.remote.customer_key import check_encryption

        settings = self._shared.settings(self.annex)
        if settings.sse == CUSTOMER_KEY and self._is_new() and self._may_write():
            check_encryption(place, requester_pays=settings.requester_pays)

    def _ensure_marker(self, place: Place) -> None:
        from io import BytesIO

        from datalad_s3ext.remote.storing import marker_options

        uuid = self._shared.uuid(self.annex)
        found = place.marker()
        if found is None and not place.is_marked:
            return
        if found is None:
            text = uuid.encode()
            options = marker_options(self._shared.settings(self.annex))
            place.store.put(place.layout.marker, BytesIO(text), len(text), options=options)
            found = place.marker()
        if found != uuid:
            raise foreign_marker(place, found or "none")
