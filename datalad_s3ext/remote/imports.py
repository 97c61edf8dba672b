"""The requests of an imported tree: files are what somebody else has put into a bucket.

Nothing is written to the bucket, and as a rule nothing is downloaded to import it: keys are made of
the checksums that the server has. Where it has none, the object is read once, and not kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from datalad_s3ext.errors import ObjectChanged, ObjectNotFound, one_line
from datalad_s3ext.remote.telling import Telling
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from datalad_s3ext.providers.schema import Upload
    from datalad_s3ext.remote.ahead import Ahead
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.remote.shared import Shared
    from datalad_s3ext.repo.digests import KeyDigest
    from datalad_s3ext.store.base import ObjectInfo, RangeReader
    from datalad_s3ext.store.s3_url import S3Url

READ_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Importable:
    """One file that can be imported."""

    name: str
    """Without the prefix."""
    size_bytes: int
    content_id: str
    etag: str
    version_id: str | None = None


class ImportRequests(Telling):
    """The import half of :class:`.handlers.S3xRemote`; it reports errors in the same way."""

    _shared: Shared

    def list_importable(self) -> list[Importable]:
        """Return the files below the prefix; what cannot be a file is left out, and that is said."""
        from datalad_s3ext.repo.importable import folders_too

        with self._reported():
            place = self._for_reading()
            skipped: Counter[str] = Counter()
            examples: dict[str, str] = {}
            found = {file.name: file for file in self._listed(place, skipped, examples)}
            left_out = dict.fromkeys(folders_too(found), "other names lie below it, as in a folder")
            if self._shared.settings(self.annex).unhashed == "skip":
                left_out.update(
                    dict.fromkeys(self._unhashed(place, found), "no checksum is told of it")
                )
            for name, reason in left_out.items():
                del found[name]
                _note(skipped, examples, reason, name)
            for reason, count in skipped.items():
                self._tell(_told(count, reason, examples[reason]))
            self._shared.importable, self._shared.ahead = found, self._ahead(place, found)
            return list(found.values())

    def import_key(self, name: str, size_bytes: int, identifier: str) -> str:
        """Return a key for the content of a file: by the server's checksum, else by reading it.

        Raises `RemoteError` when it has changed since it was listed, or cannot be asked for.
        """
        from datalad_s3ext.repo.content_ids import content_id, digests_from_server, version_in
        from datalad_s3ext.store.pinned import Pinned

        with self._reported():
            place = self._for_reading()
            facts = _facts(place)
            version_id = version_in(identifier)
            wanted = Pinned(place.layout.prefix + name, version_id=version_id)
            listed, ahead = self._shared.importable.get(name), self._shared.ahead
            is_as_listed = listed is not None and listed.content_id == identifier
            info = ahead.describe(name) if ahead and is_as_listed else place.store.describe(wanted)
            info = replace(info, name=str(wanted), version_id=version_id)
            if info.size_bytes != size_bytes or content_id(info) != identifier:
                raise _changed(name)
            return self._key(place, name, info, digests_from_server(info, facts))

    def retrieve_import(self, name: str, local_file: str) -> None:
        """Fetch a file, as it was when it was imported; raise when it is another one now."""
        from datalad_s3ext.repo.key_logs import key_of_file
        from datalad_s3ext.transfer.aside import written_aside
        from datalad_s3ext.transfer.download import download_file
        from datalad_s3ext.transfer.progress import Progress

        with self._reported():
            place = self._for_reading()
            path = Path(local_file)
            key = key_of_file(path)
            expected = parse_key(key)
            info = self._as_imported(place, name, key if expected.backend else "")
            digest = self._digest(key, local_file) if expected.backend else None
            with self._restored(place, key or name, info.name), written_aside(path) as aside:
                download_file(
                    place.store,
                    info.name,
                    aside,
                    expected_bytes=info.size_bytes,
                    pool=self._shared.pool,
                    progress=Progress(self.annex.progress),
                    digest=digest,
                )

    def check_import(self, key: str, name: str) -> bool:
        """Tell whether a file still has the content that was imported as `key`."""
        with self._reported():
            try:
                found = self._as_imported(self._for_reading(), name, key)
            except (ObjectNotFound, ObjectChanged):
                return False
            return parse_key(key).stored_bytes in (None, found.size_bytes)

    # -- what the rest of the remote offers -------------------------------------------------------

    @abstractmethod
    def _reported(self) -> AbstractContextManager[None]: ...
    @abstractmethod
    def _for_reading(self) -> Place: ...
    @abstractmethod
    def _restored(self, place: Place, key: str, name: str) -> AbstractContextManager[None]: ...
    @abstractmethod
    def _urls(self, key: str) -> Iterator[tuple[str, S3Url]]: ...
    @abstractmethod
    def _digest(self, key: str, local_file: str) -> KeyDigest | None: ...

    # -- helpers ----------------------------------------------------------------------------------

    def _listed(
        self, place: Place, skipped: Counter[str], examples: dict[str, str]
    ) -> Iterator[Importable]:
        from datalad_s3ext.repo.content_ids import content_id
        from datalad_s3ext.repo.importable import Wanted, why_not

        settings = self._shared.settings(self.annex)
        wanted = Wanted(settings.include, settings.exclude)
        prefix, store = place.layout.prefix, place.store
        listed = store.list_versions if settings.bucketversioning else store.list
        for info in chain.from_iterable(listed(prefix + below) for below in wanted.prefixes()):
            name = info.name.removeprefix(prefix)
            if reason := why_not(name):
                _note(skipped, examples, reason, info.name)
            elif name in wanted:
                try:
                    told = info if info.etag else store.head(info.name)  # some lists lack ETags
                except ObjectNotFound:
                    _note(skipped, examples, "listed, but not there", info.name)
                    continue
                yield Importable(name, told.size_bytes, content_id(told), told.etag, told.version_id)

    def _ahead(self, place: Place, files: Mapping[str, Importable]) -> Ahead:
        from datalad_s3ext.remote.ahead import Ahead
        from datalad_s3ext.store.pinned import Pinned

        def describe(name: str) -> ObjectInfo:
            whole = place.layout.prefix + name
            return place.store.describe(Pinned(whole, version_id=files[name].version_id))

        return Ahead(files, describe, self._shared.pool.submit)

    def _unhashed(self, place: Place, files: Mapping[str, Importable]) -> list[str]:
        """Return which of `files` the server tells no checksum of; each is asked for, many at once.

        git-annex would import nothing at all if one of them were refused afterwards.
        """
        from datalad_s3ext.repo.content_ids import digests_from_server
        from datalad_s3ext.store.pinned import Pinned

        facts, pool, found = _facts(place), self._shared.pool, []
        for some in batched(files.values(), 8 * pool.connections):
            asked = [
                pool.submit(
                    partial(
                        place.store.describe,
                        Pinned(place.layout.prefix + file.name, version_id=file.version_id),
                    )
                )
                for file in some
            ]
            answers = [future.result() for future in asked]
            found += [
                file.name
                for file, info in zip(some, answers, strict=True)
                if not digests_from_server(info, facts)
            ]
        return found

    def _as_imported(self, place: Place, name: str, key: str) -> ObjectInfo:
        """Return the object of a file, pinned to the state that was imported.

        git-annex does not say which that was: this process may have listed it, or the branch
        knows by which identifiers the key was imported.

        Raises
        ------
        ObjectNotFound
            It is gone.
        ObjectChanged
            Its content is another one now.
        """
        from datalad_s3ext.repo.content_ids import content_ids_of, version_in
        from datalad_s3ext.repo.key_logs import content_ids
        from datalad_s3ext.store.pinned import Pinned

        listed = self._shared.importable.get(name)
        known = {listed.content_id} if listed else set()
        if key:
            known |= content_ids(self._shared.git_dir(self.annex), key)
        whole, facts = place.layout.prefix + name, _facts(place)
        versions = [version for known_id in known if (version := version_in(known_id))]
        for version in versions:
            try:
                return self._pinned(place, Pinned(whole, version_id=version))
            except ObjectNotFound:
                continue  # of another name that had the same content, or removed
        info = self._pinned(place, whole)
        unversioned = replace(info, name=whole, version_id=None)
        is_known = not known.isdisjoint(content_ids_of(unversioned, facts))
        if not is_known and (known or not key):  # by a key alone, git-annex verifies what it gets
            raise _changed(name)
        return info

    def _pinned(self, place: Place, name: str) -> ObjectInfo:
        from datalad_s3ext.store.pinned import Pinned, version_of

        info = place.store.head(name)
        return replace(info, name=Pinned(name, version_id=version_of(name), etag=info.etag))

    def _key(self, place: Place, name: str, info: ObjectInfo, told: dict[str, str]) -> str:
        """Return the key that the file had before, if its content is that, else one by checksum."""
        from datalad_s3ext.repo.content_ids import key_of_digests
        from datalad_s3ext.repo.known_keys import backends_of, contradicts, is_content_of

        known = self._shared.known_keys(self.annex)
        candidates = known.at(name)

        def key_before(digests: Mapping[str, str]) -> str | None:
            for key in candidates:
                if is_content_of(key, info.size_bytes, digests):
                    return key
                if self._has_noted(key, info) and not contradicts(key, info.size_bytes, told):
                    return key  # a note is somebody's word; the server's counts more
            likely = (key for key in candidates if not contradicts(key, info.size_bytes, digests))
            return next((key for key in likely if known.is_local(key, digests)), None)

        if found := key_before(told):
            return found
        if told:
            return str(key_of_digests(info.size_bytes, told))
        read = self._read(place, info, {"SHA256", *backends_of(candidates)})
        return key_before(read) or str(key_of_digests(info.size_bytes, read))

    def _has_noted(self, key: str, info: ObjectInfo) -> bool:
        """Tell whether an export has noted this version of the object under `key`."""
        if info.version_id is None:
            return False
        return any(
            url.name == info.name and url.version_id == info.version_id for _, url in self._urls(key)
        )

    def _read(self, place: Place, info: ObjectInfo, backends: Iterable[str]) -> dict[str, str]:
        """Return checksums of an object, by backend, by reading all of it."""
        from datalad_s3ext.repo.known_keys import hashed
        from datalad_s3ext.store.pinned import Pinned

        if "unhashed" not in self._shared.told:
            self._shared.told.add("unhashed")
            self._tell("the server tells no checksums of some files: these are read once, and not kept")
        name = Pinned(info.name, version_id=info.version_id, etag=info.etag)
        with place.store.get(name, if_match=info.etag) as reader:
            return hashed(self._blocks(reader), backends)

    def _blocks(self, reader: RangeReader) -> Iterator[bytes]:
        """Yield what `reader` reads, and report the progress."""
        from datalad_s3ext.transfer.progress import Progress

        progress = Progress(self.annex.progress)
        while block := reader.read(READ_BYTES):
            self._shared.pool.check()
            yield block
            progress.add(len(block))
            progress.report()


def _facts(place: Place) -> Upload:
    from datalad_s3ext.repo.content_ids import upload_facts

    return upload_facts(place.connection.provider.upload, place.store.bucket)


def batched(files: Iterable[Importable], count: int) -> Iterator[Sequence[Importable]]:
    """Yield `files`, at most `count` at a time."""
    rest = iter(files)
    while some := list(islice(rest, count)):
        yield some


def _changed(name: str) -> ObjectChanged:
    return ObjectChanged(
        f"{name} is not in the bucket any more as it was when it was imported",
        remedy="import again",
    )


def _note(skipped: Counter[str], examples: dict[str, str], reason: str, name: str) -> None:
    skipped[reason] += 1
    examples.setdefault(reason, name)


def _told(count: int, reason: str, example: str) -> str:
    what = "1 object was" if count == 1 else f"{count} objects were"
    return one_line(f"{what} left out ({reason}), such as {example!r}")
