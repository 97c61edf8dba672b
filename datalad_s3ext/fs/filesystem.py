"""A data set as a file system of fsspec: names and versions from git, bytes from wherever they are.

::

    fs = fsspec.filesystem("annex", repo="/data/climate", ref="v1.2")
    with fsspec.open("annex:///data/climate@v1.2/sub/file.nc") as file: ...

It shows one commit and changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, NoReturn

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike, tokenize

from datalad_s3ext.errors import S3xError
from datalad_s3ext.fs.dataset import Dataset
from datalad_s3ext.fs.faults import ContentUnavailable, ReadOnly, unavailable
from datalad_s3ext.fs.file import AnnexFile
from datalad_s3ext.fs.listing import described, rows_of
from datalad_s3ext.fs.options import STORAGE_OPTIONS, read_options
from datalad_s3ext.fs.reading import Reader, reader_of, sources_for
from datalad_s3ext.fs.snapshot import Node, Snapshot
from datalad_s3ext.fs.temporary import temporary
from datalad_s3ext.fs.threads import ThreadedFileSystem
from datalad_s3ext.fs.urls import PROTOCOL, split_url
from datalad_s3ext.units import MIB

COPY_BYTES = 4 * MIB


class AnnexFileSystem(ThreadedFileSystem):
    """The files of one commit of a data set, subdatasets included.

    It may be used in threads, after a fork, and be pickled; a copy shows the same commit. Files that
    the commit does not have raise `FileNotFoundError`, and only those: content that cannot be had is
    a :class:`~.faults.ContentUnavailable`.

    Parameters
    ----------
    repo
        A folder of the data set, or a bare repository; by default the working directory.
    ref
        A branch, tag or commit, by default ``HEAD``. What it means is looked up once.
    profile, anon
        Whose keys to use; by default those that each remote uses in this clone.
    remote
        Read from this special remote only, and not from what lies in the clone.
    cache_memory, cache_disk, cache_dir, read_ahead, verify, keep
        See :mod:`.options`.

    Raises
    ------
    ConfigError
        There is no such data set or commit, or an option is malformed.
    """

    protocol = PROTOCOL
    cachable = False  # a branch moves on; what is costly to make is shared below
    root_marker = ""

    def __init__(self, repo: str | None = None, ref: str | None = None, **options: Any) -> None:
        given = {name: options.pop(name) for name in STORAGE_OPTIONS & options.keys()}
        super().__init__(**options)
        dataset = Dataset.at(Path(repo or "."))
        self.snapshot = Snapshot(dataset, dataset.commit(ref or "HEAD"))
        self.options = read_options(dataset.git_dir, given)
        self._given = given

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by place and commit: branches may have moved on when it is unpickled."""
        path, commit = str(self.snapshot.dataset.path), self.snapshot.commit.id
        return _unpickled, (type(self), path, commit, self._given)

    @property
    def _fs_token(self) -> str:
        """What Dask and `==` know it by."""
        where = self.snapshot.dataset.git_dir, self.snapshot.commit.id
        return str(tokenize(type(self).__name__, *map(str, where), sorted(self._given.items())))

    # -- names ------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return split_url(str(path)).path.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        found = split_url(path)
        given = {"repo": found.repo, "ref": found.ref}
        return {name: value for name, value in given.items() if value is not None}

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path, which names data set and commit."""
        where = f"{self.snapshot.dataset.path}@{self.snapshot.commit.id}"
        return f"{PROTOCOL}://{where}/{self._strip_protocol(name)}"

    def node(self, path: str) -> Node:
        """Return what lies at `path`."""
        return self.snapshot.find(self._strip_protocol(path))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describe a file or folder; see :mod:`.listing` for the fields. Nothing is sent."""
        path = self._strip_protocol(path)
        node = self.node(path)
        return described(path, node, None if node.is_folder else node.content)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List a folder, or describe the file at `path`. Nothing is sent."""
        path = self._strip_protocol(path)
        node = self.node(path)
        rows = rows_of(path, node) if node.is_folder else [described(path, node, node.content)]
        return rows if detail else [row["name"] for row in rows]

    def du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **_: Any,
    ) -> Any:
        """Return how many bytes the files below `path` have, by their keys; unknown ones count as 0."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: row["size"] or 0 for name, row in found.items()}
        return sum(sizes.values()) if total else sizes

    def modified(self, path: str) -> datetime:
        """Return when the commit was made: git keeps no times of files."""
        return datetime.fromtimestamp(self.node(path).snapshot.commit.time_s, UTC)

    created = modified

    def ukey(self, path: str) -> str:
        """Return a name for the content of a file: the same content has the same, in any commit."""
        node = self.node(path)
        text = node.entry.id if node.is_folder else node.content.key or node.entry.id
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def checksum(self, path: str) -> int:
        """Return a number for the content of a file, by its key or its id in git."""
        return int(self.ukey(path), 16)

    # -- bytes ------------------------------------------------------------------------------------

    def reader(self, path: str) -> Reader:
        """Return what reads the file at `path`.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            There is no such file.
        ContentUnavailable
            No place that can be read is known to have its content.
        """
        node = self.node(path)
        if node.is_folder:
            raise IsADirectoryError(21, "is a folder", path)
        return reader_of(node, self.options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return the bytes of a file, or of a part of it, as Python's slices count them.

        No byte more is fetched, and nothing that is known already.
        """
        reader = self.reader(path)
        first, last, _step = slice(start, end).indices(reader.size_bytes)
        return reader.read(first, max(first, last))

    def get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **_: Any
    ) -> None:
        """Copy a file to this machine, several parts at once; or make the folder that `rpath` is."""
        if not isfilelike(lpath) and self.node(rpath).is_folder:  # `isdir` would wait for a thread
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        with self.open(rpath, "rb") as source:
            callback.set_size(source.size)
            if isfilelike(lpath) or outfile is not None:
                _copy(source, outfile if outfile is not None else lpath, callback)
                return
            Path(lpath).parent.mkdir(parents=True, exist_ok=True)
            with _appearing(Path(lpath)) as target:
                _copy(source, target, callback)

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        """Return a URL by which everybody can read the file for `expiration` seconds. Nothing is sent.

        Raises
        ------
        ContentUnavailable
            None of the places that have it can be read by URL, or there are no keys to sign with.
        IsADirectoryError, ContentUnavailable
            It is a folder, or kept in git, to which no URL leads.
        """
        node = self.node(path)
        if node.is_folder:
            raise IsADirectoryError(21, "is a folder", path)
        if node.content.key is None:
            raise ContentUnavailable(f"no URL leads to {path}, which is kept in git")
        reasons = []
        for source in sources_for(node, self.options):
            try:
                return source.url(expiration)
            except S3xError as error:
                reasons.append((source.label, error))
        raise unavailable(path, reasons)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> AnnexFile:
        if mode != "rb":
            _refuse(path)
        ahead = options.pop("block_size", None)
        if ahead is None:
            ahead = self.options.read_ahead_bytes
        return AnnexFile(self, path, self.reader(path), ahead, mode=mode, **options)

    # -- what would change the data set -----------------------------------------------------------

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open a file for reading.

        Raises
        ------
        ReadOnly
            For any other mode.
        """
        if set(mode) & set("wax+"):
            _refuse(path)
        return super().open(path, mode, **options)

    def _refused(self, path: Any = "", *_: Any, **__: Any) -> NoReturn:
        """Refuse.

        Raises
        ------
        ReadOnly
            Always.
        """
        _refuse(path)

    mkdir = makedirs = rmdir = rm = rm_file = mv = cp_file = copy = _refused
    put = put_file = pipe = pipe_file = touch = _refused

    async def _refused_later(self, path: Any = "", *_: Any, **__: Any) -> NoReturn:
        _refuse(path)

    _mkdir = _makedirs = _rm = _rm_file = _cp_file = _copy = _refused_later
    _put = _put_file = _pipe = _pipe_file = _refused_later


def _refuse(path: Any) -> NoReturn:
    raise ReadOnly(
        f"{path} cannot be changed: this is a commit of a data set",
        remedy="change the files of the data set itself, and save: datalad save",
    )


@contextmanager
def _appearing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that becomes the one at `path` when all of it was written, and only then."""
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():  # a device, or a pipe
        with place.open("wb") as target:
            yield target
        return
    aside = place.with_name(f".s3x-{token_hex(8)}")
    with temporary(aside):
        with aside.open("xb") as target:
            yield target
        aside.replace(place)


def _copy(source: AnnexFile, target: Any, callback: Any) -> None:
    while data := source.read(COPY_BYTES):
        target.write(data)
        callback.relative_update(len(data))


def _unpickled(
    kind: type[AnnexFileSystem], repo: str, ref: str, given: dict[str, Any]
) -> AnnexFileSystem:
    return kind(repo, ref, **given)
