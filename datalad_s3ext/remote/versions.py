"""Old versions of files: what a bucket with versioning keeps after a file was replaced or removed.

git-annex never asks a remote with ``exporttree=yes`` for content that is no file of the newest tree any
more, and takes no parameter called ``versioning``. So with ``bucketversioning=yes`` each file that is
stored is noted under its key, as ``s3://bucket/name?versionId=ID``. A second configuration of the same
remote (``--sameas``), without ``exporttree=yes``, finds content by these notes. It also reads those
that built-in ``type=S3`` with ``versioning=yes`` has left. It stores nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    IntegrityError,
    ObjectNotFound,
    Unsupported,
)
from datalad_s3ext.remote.exports import PASSING
from datalad_s3ext.remote.telling import Telling
from datalad_s3ext.remote.urls import UrlRequests
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.store.base import ObjectInfo, Stored
    from datalad_s3ext.store.pinned import Pinned
    from datalad_s3ext.store.s3_url import S3Url
    from datalad_s3ext.transfer.copy import Renamed

_NO_VERSION = (None, "null")
"""How services call what was stored while no old versions were kept."""


class VersionRequests(UrlRequests, Telling):
    """The part of :class:`.handlers.S3xRemote` about versions; it reports errors in the same way."""

    # -- what the requests of the others need -----------------------------------------------------

    def _ensure_versioning(self, place: Place) -> None:
        """Have the bucket of an exported tree keep old versions, if that was asked for.

        Raises
        ------
        Unsupported
            The service does not keep any.
        AccessDenied
            These keys may not switch it on.
        """
        settings = self._shared.settings(self.annex)
        if not settings.bucketversioning or settings.importtree:
            return
        try:
            if place.store.versioning():
                return
            if settings.exporttree:
                place.store.enable_versioning()
                self._tell(f"bucket {settings.bucket} keeps old versions of its objects from now on")
                return
        except AccessDenied as error:
            if not settings.exporttree:
                return  # whoever may read versions need not be allowed to ask
            raise AccessDenied(
                f"these keys may not see to it that bucket {settings.bucket!r} keeps old versions",
                remedy="ask its owner to switch versioning on and to grant s3:GetBucketVersioning",
                http_status=error.http_status, code=error.code, request_id=error.request_id,
            ) from error  # fmt: skip
        raise ConfigError(
            f"bucket {settings.bucket!r} keeps no old versions",
            remedy="set up the remote with exporttree=yes bucketversioning=yes first",
        )

    def _note_version(self, place: Place, key: str, name: str, stored: Stored) -> None:
        """Note which version of the object `name` has the content of `key`, by the receipt for it.

        What others have stored under that name since does not matter.
        """
        from datalad_s3ext.store.s3_url import S3Url

        if not self._shared.settings(self.annex).bucketversioning:
            return
        version_id = stored.version_id
        if version_id in _NO_VERSION:
            version_id = self._version_asked_for(place, key, name, stored)
        if version_id is not None:
            self.annex.seturipresent(key, str(S3Url(place.store.bucket, name, version_id)))

    def _note_renamed(self, place: Place, key: str, name: str, renamed: Renamed) -> None:
        """Note the version of a file that has got the name `name`, if it has the content of `key`.

        What lay under the old name is not what was stored there when somebody else has replaced it.
        """
        if not self._shared.settings(self.annex).bucketversioning:
            return
        copy, source = renamed.copy, renamed.source
        is_known = self._is_noted(place, key, source)
        if name.startswith(place.layout.prefix + PASSING):
            if is_known and copy.version_id is not None:
                self._shared.passing_versions.add((key, copy.version_id))
        elif is_known or self._is_content(place, key, name, copy):
            self._note_version(place, key, name, copy)
        else:
            self._tell(_not_noted(name, "it is not known to have the content that was stored before"))

    def _urls(self, key: str) -> Iterator[tuple[str, S3Url]]:
        """Yield the URLs of `key`, and the versions that built-in ``type=S3`` has recorded."""
        from datalad_s3ext.repo.key_logs import recorded_versions
        from datalad_s3ext.store.s3_url import S3Url

        yield from super()._urls(key)
        settings = self._shared.settings(self.annex)
        if settings.bucketversioning:
            git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
            for name, version_id in recorded_versions(git_dir, key, uuid):
                url = S3Url(settings.bucket, name, version_id)
                if url.is_sound:
                    yield str(url), url

    def _passing_version(self, place: Place, name: str) -> str:
        """Return `name` so that deleting it leaves no old version of what was only on its way."""
        from datalad_s3ext.store.pinned import Pinned

        if not self._shared.settings(self.annex).bucketversioning:
            return name
        known = self._shared.passing.get(name)
        version_id = (known and known.version_id) or place.store.head(name).version_id
        return name if version_id in _NO_VERSION else Pinned(name, version_id=version_id)

    def _retrieved_version(self, key: str, local_file: str) -> bool:
        """Fetch the content of `key` from a version that is noted; tell whether there was one.

        What is noted and is not there any more counts for nothing.
        """
        from datalad_s3ext.transfer.aside import written_aside
        from datalad_s3ext.transfer.download import download_file
        from datalad_s3ext.transfer.progress import Progress

        if not self._shared.settings(self.annex).bucketversioning:
            return False
        place = self._for_reading()
        for _, name in self._versions(place, key):
            try:
                with written_aside(Path(local_file)) as aside:
                    download_file(
                        place.store, name, aside,
                        expected_bytes=parse_key(key).stored_bytes,
                        pool=self._shared.pool,
                        progress=Progress(self.annex.progress),
                        digest=self._digest(key, local_file),
                    )  # fmt: skip
            except (ObjectNotFound, AccessDenied, IntegrityError) as error:
                self.annex.debug(str(error))
                continue
            return True
        return False

    @property
    def _is_view(self) -> bool:
        """Tell whether this only finds old versions of a tree, and stores nothing."""
        settings = self._shared.settings(self.annex)
        return settings.bucketversioning and not settings.is_tree

    def _refuse_to_store(self) -> None:
        """Raise for a remote that only finds versions."""
        if self._is_view:
            raise Unsupported(
                "this remote only finds old versions of an exported tree",
                remedy="send files there with: git annex export BRANCH --to the remote of the tree",
            )

    def _remove_versions(self, key: str) -> None:
        """Remove the versions with the content of `key` for good.

        Raises
        ------
        Unsupported
            One of them is a file of the tree as it is now.
        """
        place = self._for_writing()
        found = list(self._versions(place, key))
        for _, name in found:
            if self._is_newest(place, name):
                raise Unsupported(
                    f"{str(name)!r} has this content now, as a file of the exported tree",
                    remedy="export a tree without it first",
                )
        for text, name in found:
            place.store.delete(name)
            self.annex.seturimissing(key, text)

    # -- what the rest of the remote offers -------------------------------------------------------

    @abstractmethod
    def _for_writing(self) -> Place: ...

    # -- helpers ----------------------------------------------------------------------------------

    def _versions(self, place: Place, key: str) -> Iterator[tuple[str, Pinned]]:
        """Yield the versions noted for `key` in this bucket and below this prefix."""
        from datalad_s3ext.remote.url_owner import is_at
        from datalad_s3ext.store.pinned import Pinned

        for text, url in self._urls(key):
            is_here = url.bucket == place.store.bucket and is_at(url.endpoint, place.connection)
            if is_here and url.version_id and url.name.startswith(place.layout.prefix):
                yield text, Pinned(url.name, version_id=url.version_id)

    def _version_asked_for(self, place: Place, key: str, name: str, stored: Stored) -> str | None:
        """Return the version that the receipt does not tell, or ``None`` when somebody's may be there.

        Raises
        ------
        IntegrityError
            Somebody's is there, or there are no versions.
        """
        info = place.store.describe(name)
        if info.version_id in _NO_VERSION:
            raise IntegrityError(
                f"{name} was stored, but bucket {place.store.bucket} keeps no old versions of it",
                remedy="switch the bucket's versioning on again, then export again",
            )
        if info.etag == stored.etag:
            return info.version_id
        if _is_other(key, info, place):
            raise _replaced(name)
        self._tell(_not_noted(name, "somebody else may have replaced it as soon as it was stored"))
        return None

    def _is_noted(self, place: Place, key: str, info: ObjectInfo) -> bool:
        """Tell whether just this version was noted for `key`, or is a copy of one that was."""
        if (key, info.version_id) in self._shared.passing_versions:
            return True
        noted = (name for _, name in self._versions(place, key) if name == info.name)
        return any(name.version_id == info.version_id for name in noted)

    def _is_content(self, place: Place, key: str, name: str, stored: Stored) -> bool:
        """Tell whether the server's checksums prove that an object has the content of `key`.

        Raises
        ------
        IntegrityError
            They prove that it has not.
        """
        from datalad_s3ext.repo.known_keys import is_content_of

        info = place.store.describe(name)
        if _is_other(key, info, place):
            raise _replaced(name)
        is_same = stored.version_id in (None, info.version_id)
        return is_same and is_content_of(key, info.size_bytes, _digests(info, place))

    def _is_newest(self, place: Place, name: Pinned) -> bool:
        try:
            return place.store.head(str(name)).version_id == name.version_id
        except ObjectNotFound:
            return False


def _is_other(key: str, info: ObjectInfo, place: Place) -> bool:
    """Tell whether the server describes an object that has certainly not the content of `key`."""
    from datalad_s3ext.repo.known_keys import contradicts

    return contradicts(key, info.size_bytes, _digests(info, place))


def _digests(info: ObjectInfo, place: Place) -> dict[str, str]:
    from datalad_s3ext.repo.content_ids import digests_from_server, upload_facts

    facts = upload_facts(place.connection.provider.upload, place.store.bucket)
    return digests_from_server(info, facts)


def _replaced(name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} was replaced by somebody else",
        remedy="import what is there now, or export again",
    )


def _not_noted(name: str, why: str) -> str:
    return f"the version of {name} is not noted, for {why}: its key will not find it among old versions"
