"""The requests of an exported tree: objects that have the names of files.

git-annex looks whether a file is there before it sends it, and puts whatever is removed or renamed
aside under a name of its own (``.git-annex-tmp-content-KEY``, or ``.git/annex/objects/`` with
``annexobjects=yes``). So nearly everything but a new file is a rename. Object names are those of
built-in ``type=S3``: ``<fileprefix><path>``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from annexremote import ExportRemote, RemoteError, UnsupportedRequest

from datalad_s3ext.errors import IntegrityError, ObjectNotFound, Unsupported
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.telling import Telling
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.remote.shared import Shared
    from datalad_s3ext.repo.digests import KeyDigest
    from datalad_s3ext.repo.exported import Shortened
    from datalad_s3ext.store.base import ObjectInfo, Stored
    from datalad_s3ext.transfer.copy import Renamed
    from datalad_s3ext.transfer.source import UploadRules

PASSING = ".git-annex-tmp-content-"
"""What begins the names that git-annex gives to files on their way from one name to another."""


class ExportRequests(ExportRemote, Telling):  # type: ignore[misc]
    """The export half of :class:`.handlers.S3xRemote`; it reports errors in the same way."""

    _shared: Shared

    def transferexport_store(self, key: str, local_file: str, remote_file: str) -> None:
        """Store a file under its name; it replaces what is there."""
        from datalad_s3ext.transfer.progress import Progress
        from datalad_s3ext.transfer.upload import upload_file

        with self._reported():
            target = self._own_object(remote_file, self._shortened().current)
            place = self._for_writing()
            stored = upload_file(
                place.store,
                target,
                Path(local_file),
                self._rules(place, key, local_file, remote_file),
                self._shared.pool,
                Progress(self.annex.progress),
                self._shared.journals(self.annex, place),
                key,
            )
            self._shared.not_removed.discard(target)
            self._note_version(place, key, target, stored)

    def transferexport_retrieve(self, key: str, local_file: str, remote_file: str) -> None:
        """Fetch the content of `key` from the file that was exported with it."""
        from datalad_s3ext.transfer.aside import written_aside
        from datalad_s3ext.transfer.download import download_file
        from datalad_s3ext.transfer.progress import Progress

        with self._reported():
            source = self._object(remote_file)
            digest = self._digest(key, local_file)
            if self._retrieved_version(key, local_file):
                return
            place = self._for_reading()
            with self._restored(place, key, source), written_aside(Path(local_file)) as aside:
                download_file(
                    place.store,
                    source,
                    aside,
                    expected_bytes=parse_key(key).stored_bytes,
                    pool=self._shared.pool,
                    progress=Progress(self.annex.progress),
                    digest=digest,
                )

    def checkpresentexport(self, key: str, remote_file: str) -> bool:
        """Tell whether the file is there: an object of its size whose checksums do not contradict.

        What cannot be stored is certainly absent. Of a file that shares its name with another one, now
        or before, nothing is certain, and neither of what is there when it could not be removed
        before: then it may be another file's. The next export removes such objects and stores the
        files anew.

        git-annex does not store what it is told nothing certain of, so such an export is never
        complete. Hence a file of git, whose key tells no size, is compared with git's blob, and is
        absent unless that proves it to be there: it is stored anew, as after any change. That drops
        nothing anywhere, for git-annex keeps no record of where such files are. Of an annexed file it
        does, and "absent" would be recorded as its loss: so where its key tells no size, the content
        in this clone is compared, and without that, which could not be stored either, nothing is
        certain.
        """
        with self._reported():
            try:
                name = self._object(remote_file)
            except Unsupported:
                return False
            shortened = self._shortened()
            if remote_file in shortened.current:
                if remote_file not in shortened.twins:
                    return False
                raise _told_in_part(remote_file, shortened.current[remote_file])
            place = self._for_asking()
            try:
                info = self._looked_at(place, name, closely=True)
            except ObjectNotFound:
                return False
            if remote_file in shortened.ever:
                raise _told_in_part(remote_file, shortened.ever[remote_file])
            if name in self._shared.not_removed:
                raise IntegrityError(
                    f"{remote_file} is there, but what was there before could not be removed",
                    remedy="export again: it is stored anew",
                )
            return self._is_file(place, key, remote_file, info)

    def removeexport(self, key: str, remote_file: str) -> None:  # noqa: ARG002
        """Remove a file. That it is not there, or never could be, is success."""
        with self._reported():
            try:
                name = self._object(remote_file)
            except Unsupported:
                return
            if remote_file in self._shortened().twins:
                return  # this is the other file's object
            with self._removing(name):
                self._for_writing().store.delete(name)

    def removeexportdirectory(self, remote_directory: str) -> None:
        """Do nothing: there are no directories, and what git-annex did not store is not ours."""

    def renameexport(self, key: str, filename: str, new_filename: str) -> None:
        """Rename a file by a copy at the server.

        Raises
        ------
        UnsupportedRequest
            The server cannot do it: git-annex then removes the file and stores it anew.
        RemoteError
            It failed, or somebody has put another object there; git-annex does the same, and says so.
        """
        from datalad_s3ext.transfer.copy import Copying, rename_object

        try:
            with self._reported():
                old = self._own_object(filename, self._shortened().ever)
                new = self._own_object(new_filename, self._shortened().current)
                with self._removing(old):
                    place = self._for_writing()
                    abilities = place.connection.provider.capabilities
                    how = Copying(
                        place.store, place.upload_rules, abilities, self._shared.pool,
                        passing=self._shared.passing,
                    )  # fmt: skip
                    if filename.startswith(PASSING):
                        old = self._passing_version(place, old)
                    renamed = rename_object(
                        how, old, new,
                        expected_bytes=parse_key(key).stored_bytes,
                        is_passing=new_filename.startswith(PASSING),
                        check=partial(self._refuse_other, place, key, filename),
                    )  # fmt: skip
                self._shared.not_removed.discard(new)
                self._note_renamed(place, key, new, renamed)
        except RemoteError as error:
            if isinstance(error.__cause__, Unsupported):
                self.annex.debug(str(error))
                raise UnsupportedRequest from error
            self._tell(str(error))  # the answer has no room for a reason
            raise

    # -- what the rest of the remote offers -------------------------------------------------------

    @abstractmethod
    def _reported(self) -> AbstractContextManager[None]: ...
    @abstractmethod
    def _for_writing(self) -> Place: ...
    @abstractmethod
    def _for_reading(self) -> Place: ...
    @abstractmethod
    def _for_asking(self) -> Place: ...
    @abstractmethod
    def _note_version(self, place: Place, key: str, name: str, stored: Stored) -> None: ...
    @abstractmethod
    def _note_renamed(self, place: Place, key: str, name: str, renamed: Renamed) -> None: ...
    @abstractmethod
    def _passing_version(self, place: Place, name: str) -> str: ...
    @abstractmethod
    def _retrieved_version(self, key: str, local_file: str) -> bool: ...
    @abstractmethod
    def _looked_at(self, place: Place, name: str, *, closely: bool = False) -> ObjectInfo: ...
    @abstractmethod
    def _restored(self, place: Place, key: str, name: str) -> AbstractContextManager[None]: ...
    @abstractmethod
    def _rules(self, place: Place, key: str, local_file: str, name: str = "") -> UploadRules: ...
    @abstractmethod
    def _digest(self, key: str, local_file: str) -> KeyDigest | None: ...

    # -- helpers ----------------------------------------------------------------------------------

    def _object(self, name: str) -> str:
        """Return the object of a file; raise `Unsupported` when there can be none."""
        return Layout(self._shared.settings(self.annex).fileprefix).of_export_name(name)

    def _own_object(self, name: str, shortened: Mapping[str, str]) -> str:
        """Return the object of a file whose name git-annex has told in full; else raise."""
        found = self._object(name)
        if name in shortened:
            raise _told_in_part(name, shortened[name])
        return found

    def _compared(self, place: Place, key: str, info: ObjectInfo) -> bool | None:
        """Tell whether an object is certainly the content of `key`, or certainly not."""
        from datalad_s3ext.repo.content_ids import digests_from_server, upload_facts

        facts = upload_facts(place.connection.provider.upload, place.store.bucket)
        known = self._shared.known_keys(self.annex)
        return known.compare(key, info, digests_from_server(info, facts))

    def _is_file(self, place: Place, key: str, name: str, info: ObjectInfo) -> bool:
        """Tell whether an object counts as the file `name`, as `checkpresentexport` says."""
        from datalad_s3ext.repo.known_keys import GIT

        is_same, parsed = self._compared(place, key, info), parse_key(key)
        if is_same is not None or parsed.backend == GIT:
            return is_same is True
        if parsed.size_bytes is None and self._shared.known_keys(self.annex).local_bytes(key) is None:
            raise IntegrityError(
                f"{name} is there, but its key does not tell which content it is",
                remedy="get its content, which is compared then, and export again",
            )
        return True

    def _refuse_other(self, place: Place, key: str, name: str, info: ObjectInfo) -> None:
        """Raise for an object that certainly has other content than `key`."""
        if self._compared(place, key, info) is False:
            raise IntegrityError(
                f"{name} was replaced by somebody else", remedy="import what is there, or export again"
            )

    @contextmanager
    def _removing(self, name: str) -> Iterator[None]:
        """Remember an object while it is not known to be gone."""
        self._shared.not_removed.add(name)
        yield
        self._shared.not_removed.discard(name)

    def _shortened(self) -> Shortened:
        git_dir, uuid = self._shared.git_dir(self.annex), self._shared.uuid(self.annex)
        return self._shared.exported.shortened(git_dir, uuid)


def _told_in_part(name: str, original: str) -> Unsupported:
    return Unsupported(
        f"the file {original!r} is in the exported tree, and git-annex tells names without "
        f"their line breaks: it cannot be told from {name!r}",
        remedy="rename the file with the line break and export again",
    )
