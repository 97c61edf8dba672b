"""The files of a commit: trees read one by one as they are needed, and kept by their ids.

Ids name content, so nothing that is kept here can grow stale.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import NamedTuple

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.forks import renew_at_fork
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.pointers import POINTER_BYTES, key_of_link, key_of_pointer

TREE, LINK, SUBDATASET = 0o040000, 0o120000, 0o160000
EXECUTABLE = 0o100755
_TREES_KEPT = 2000
_FILES_KEPT = 500_000
_FEW = 8
_NO_NAMES = frozenset({"", ".", "..", ".git", "git~1"})


class Entry(NamedTuple):
    """One name in a tree."""

    mode: int
    id: str

    @property
    def is_tree(self) -> bool:
        """Tell whether it is a folder of this repository."""
        return self.mode == TREE

    @property
    def is_subdataset(self) -> bool:
        """Tell whether it is a commit of another repository."""
        return self.mode == SUBDATASET

    @property
    def is_file(self) -> bool:
        """Tell whether it is neither: a file, or a link."""
        return not (self.is_tree or self.is_subdataset)


class Content(NamedTuple):
    """What a file is: annexed (with a key), a link to elsewhere (with a target), or kept in git."""

    size_bytes: int | None
    """``None`` for a key that does not tell."""
    key: str | None = None
    target: str | None = None


class Trees:
    """Trees and files of one repository. Safe in threads."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self._lock = Lock()
        self._trees: OrderedDict[str, Mapping[str, Entry]] = OrderedDict()
        self._files: dict[Entry, Content] = {}
        renew_at_fork(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process."""
        self._lock = Lock()

    def entries(self, tree_id: str) -> Mapping[str, Entry]:
        """Return the names in a tree, in git's order. The mapping must not be changed.

        Raises
        ------
        LocalError
            When the repository lacks this tree.
        """
        with self._lock:
            if tree_id in self._trees:
                self._trees.move_to_end(tree_id)
                return self._trees[tree_id]
        found = self._objects.read(tree_id)
        if found is None or found.kind != "tree":
            raise LocalError(f"git lacks the tree {tree_id} in {self._objects.git_dir}")
        parsed = self._parsed(tree_id, found.data)
        with self._lock:
            self._trees[tree_id] = parsed
            while len(self._trees) > _TREES_KEPT:
                self._trees.popitem(last=False)
        return parsed

    def _parsed(self, tree_id: str, data: bytes) -> Mapping[str, Entry]:
        try:
            return parse_tree(data, len(tree_id) // 2)
        except ValueError as error:
            raise LocalError(
                f"the tree {tree_id} in {self._objects.git_dir} is damaged: {error}",
                remedy="run: git fsck",
            ) from error

    def content(self, entry: Entry) -> Content:
        """Return what the file of `entry` is."""
        return self.contents([entry])[entry]

    def contents(self, entries: Iterable[Entry]) -> Mapping[Entry, Content]:
        """Return what the files of `entries` are; many at once take few questions to git."""
        with self._lock:
            wanted = {entry: self._files.get(entry) for entry in entries}
        missing = [entry for entry, known in wanted.items() if known is None]
        found = self._look(missing)
        with self._lock:
            if len(self._files) > _FILES_KEPT:
                self._files.clear()
            self._files.update(found)
        return {entry: known or found[entry] for entry, known in wanted.items()}

    def _look(self, entries: list[Entry]) -> dict[Entry, Content]:
        links = [entry for entry in entries if entry.mode == LINK]
        files = [entry for entry in entries if entry.mode != LINK]
        sizes = dict(zip(files, self._objects.sizes([file.id for file in files]), strict=True))
        small = [file for file in files if sizes[file] <= POINTER_BYTES]
        found = {file: Content(sizes[file]) for file in files if sizes[file] > POINTER_BYTES}
        for entry, data in self._read([*links, *small]):
            found[entry] = _link(data) if entry.mode == LINK else _file(data)
        return found

    def _read(self, entries: list[Entry]) -> Iterable[tuple[Entry, bytes]]:
        if len(entries) > _FEW:
            found = self._objects.read_many([entry.id for entry in entries])
            return ((entry, one.data) for entry, one in zip(entries, found, strict=True))
        return [(entry, self.blob(entry.id)) for entry in entries]

    def blob(self, blob_id: str) -> bytes:
        """Return a file that is kept in git.

        Raises
        ------
        LocalError
            When the repository lacks it.
        """
        found = self._objects.read(blob_id)
        if found is None:
            raise LocalError(f"git lacks the file {blob_id} in {self._objects.git_dir}")
        return found.data


def parse_tree(data: bytes, id_bytes: int) -> dict[str, Entry]:
    """Return names and entries of a tree object whose ids have `id_bytes` bytes.

    Raises
    ------
    LocalError
        A name would lead out of its folder, or into git's own: git itself checks out no such file.
    ValueError
        This is no tree.
    """
    entries: dict[str, Entry] = {}
    position = 0
    while position < len(data):
        end = data.index(b"\0", position)
        mode, _, name = data[position:end].partition(b" ")
        position = end + 1 + id_bytes
        if position > len(data):
            raise ValueError("it ends early")
        text = name.decode("utf-8", "surrogateescape")
        if "/" in text or text.lower() in _NO_NAMES:
            raise LocalError(
                f"a folder holds the name {text!r}, which no file can have",
                remedy="do not use this data set: it is a trap",
            )
        entries[text] = Entry(int(mode, 8), data[end + 1 : position].hex())
    return entries


def _link(target: bytes) -> Content:
    key = key_of_link(target)
    if key is not None:
        return Content(parse_key(key).size_bytes, key=key)
    return Content(len(target), target=target.decode("utf-8", "surrogateescape"))


def _file(data: bytes) -> Content:
    key = key_of_pointer(data)
    return Content(parse_key(key).size_bytes, key=key) if key is not None else Content(len(data))
