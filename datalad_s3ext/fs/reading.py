"""Readers: the bytes of one file by offset, wherever they come from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import partial
from pathlib import Path
from secrets import token_hex
from threading import Lock

from datalad_s3ext.errors import IntegrityError, LocalError, S3xError
from datalad_s3ext.fs.cache import BlockCache, block_size, content_id
from datalad_s3ext.fs.checking import WholeCheck
from datalad_s3ext.fs.dataset import Dataset
from datalad_s3ext.fs.faults import unavailable
from datalad_s3ext.fs.fetching import Fetching
from datalad_s3ext.fs.holders import sources_of
from datalad_s3ext.fs.keeping import keep
from datalad_s3ext.fs.options import BLOCK_BYTES, Options
from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.fs.snapshot import Node
from datalad_s3ext.fs.sources import Source
from datalad_s3ext.repo.digests import KeyDigest, key_digest
from datalad_s3ext.repo.keys import parse_key

_KEPT = 256
_CHANGES = "URL"
"""Backend of keys that name where content was, and not the content."""


class Reader(ABC):
    """The bytes of one file. Safe in threads."""

    size_bytes: int

    @abstractmethod
    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to before `end`, which lie within the file."""


class BlobReader(Reader):
    """A file that is kept in git."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, start: int, end: int) -> bytes:
        """Return a part of it."""
        return self._data[start:end]


class FileReader(Reader):
    """Content that lies in this clone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size_bytes = path.stat().st_size

    def read(self, start: int, end: int) -> bytes:
        """Return a part of it."""
        with self._path.open("rb", buffering=0) as file:
            data = bytearray()
            while len(data) < end - start:
                more = os.pread(file.fileno(), end - start - len(data), start + len(data))
                if not more:
                    raise LocalError(f"{self._path} ended early")
                data += more
        return bytes(data)


class RemoteReader(Reader):
    """Content that lies elsewhere."""

    def __init__(self, fetching: Fetching) -> None:
        self.fetching = fetching
        self.size_bytes = fetching.size_bytes

    def read(self, start: int, end: int) -> bytes:
        """Return a part of it. Nothing more is fetched."""
        return self.fetching.read_exactly(start, end)


def reader_of(node: Node, options: Options) -> Reader:
    """Return what reads the file `node`.

    Raises
    ------
    ContentUnavailable
        No place that can be read is known to have it.
    """
    dataset, content = node.snapshot.dataset, node.content
    if content.key is None:
        return BlobReader(dataset.trees.blob(node.entry.id))
    if options.remote is None:
        file = dataset.object_file(content.key, content.size_bytes)
        if file is not None:
            return FileReader(file)
    return RemoteReader(_fetching(node, content.key, content.size_bytes, options))


def sources_for(node: Node, options: Options) -> list[Source]:
    """Return the places, other than this clone, that have the content of the file `node`."""
    key, size_bytes = node.content.key, node.content.size_bytes
    if key is None:
        return []
    found = sources_of(node.snapshot.dataset, key, size_bytes, options)
    if not found:
        raise unavailable(node.path, [])
    return found


def _fetching(node: Node, key: str, size_bytes: int | None, options: Options) -> Fetching:
    """Return what fetches a key; all who read it in this process share one."""
    dataset = node.snapshot.dataset
    name = (dataset.git_dir, key, options)
    known = _FETCHING.get(None, RecentlyUsed)
    return known.get(name) or known.put(name, _new_fetching(node, key, size_bytes, options))


def _new_fetching(node: Node, key: str, size_bytes: int | None, options: Options) -> Fetching:
    dataset, cache = node.snapshot.dataset, BlockCache.of(options.cache)
    content = _content_of(dataset, key, options)
    size = size_bytes if size_bytes is not None else _asked_size(node, options)
    blocks = -(-size // BLOCK_BYTES)
    digest = key_digest(parse_key(key), key) if options.verify or options.keep else None
    check = None
    if digest is not None:
        if size == 0:
            _check_empty(node, digest)
        kept = partial(_keep, dataset, key, size, cache, content) if options.keep else bool
        check = WholeCheck(digest, blocks, partial(_recalled, cache, content, size), kept)
    return Fetching(
        node.path, content, size, lambda: sources_for(node, options), cache, check
    )  # fmt: skip


def _recalled(cache: BlockCache, content: str, size_bytes: int, number: int) -> bytes | None:
    return cache.get(content, number, block_size(number, size_bytes))


def _check_empty(node: Node, digest: KeyDigest) -> None:
    """Make sure that a file without a byte, of which nothing will be fetched, is meant to have none."""
    try:
        digest.check()
    except IntegrityError:
        lie = IntegrityError("it says that there are 0 bytes, with the checksum of other content")
        raise unavailable(node.path, [("its key", lie)]) from None


def _content_of(dataset: Dataset, key: str, options: Options) -> str:
    """Return the name under which blocks are kept: of one remote's when that is what is read.

    What a URL leads to may change, so that it is kept for this process and as long as it stays.
    """
    more = [] if options.remote is None else [options.remote]
    if parse_key(key).backend == _CHANGES:
        more.append(token_hex())
    return content_id(dataset.git_dir, key, *more)


def _keep(dataset: Dataset, key: str, size_bytes: int, cache: BlockCache, content: str) -> None:
    keep(dataset, key, size_bytes, partial(_recalled, cache, content, size_bytes))


def _asked_size(node: Node, options: Options) -> int:
    reasons = []
    for source in sources_for(node, options):
        try:
            return source.size()
        except S3xError as error:
            reasons.append((source.label, error))
    raise unavailable(node.path, reasons)


class RecentlyUsed:
    """What fetches the contents that were read last. Safe in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: OrderedDict[object, Fetching] = OrderedDict()

    def get(self, name: object) -> Fetching | None:
        """Return the one called `name`, unless it has failed."""
        with self._lock:
            found = self._found.get(name)
            if found is None or found.has_failed:
                return None
            self._found.move_to_end(name)
            return found

    def put(self, name: object, fetching: Fetching) -> Fetching:
        """Keep one; those that were not used for longest give way."""
        with self._lock:
            self._found[name] = fetching
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return fetching


_FETCHING: ProcessWide[None, RecentlyUsed] = ProcessWide()
