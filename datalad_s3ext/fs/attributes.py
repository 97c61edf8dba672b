"""What the files of a commit look like to programs: read from git folder by folder, kept for good.

Nothing is asked of any store, and nothing grows stale: a commit does not change.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import dropwhile, islice
from threading import Lock

from datalad_s3ext.fs.faults import not_found
from datalad_s3ext.fs.snapshot import Node, Snapshot
from datalad_s3ext.repo.trees import EXECUTABLE, Content

READ_TOGETHER = 10_000
"""So many files of neighbouring folders are looked up in one go."""
_FOLDER = stat.S_IFDIR | 0o555
_FILE = stat.S_IFREG | 0o444
_PROGRAM = stat.S_IFREG | 0o555
_LINK = stat.S_IFLNK | 0o777


@dataclass(frozen=True, slots=True)
class Attributes:
    """A name in a folder."""

    node: Node
    mode: int
    size_bytes: int
    target: str | None = None
    """Where a link leads."""
    has_size: bool = True
    """``False``: only the place that has the content can tell how long it is."""

    @property
    def is_folder(self) -> bool:
        """Tell whether other names can lie in it."""
        return stat.S_ISDIR(self.mode)


class Folders:
    """The folders of a commit, each read once. Safe in threads; several may be read at once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._top = Attributes(snapshot.top, _FOLDER, 0)
        self._lock = Lock()
        self._read: dict[str, Mapping[str, Attributes]] = {}

    def find(self, path: str) -> Attributes:
        """Return what lies at `path`, whose parts are separated by one slash; ``""`` is the top.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            Nothing does.
        """
        if not path:
            return self._top
        folder, _, name = path.rpartition("/")
        found = self.names(folder).get(name)
        if found is None:
            raise not_found(path, "is not in this commit")
        return found

    def names(self, path: str) -> Mapping[str, Attributes]:
        """Return all that lies directly in the folder `path`; nothing for an absent subdataset.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            There is no such folder.
        LocalError
            git cannot read it.
        """
        with self._lock:
            known = self._read.get(path)
        if known is not None:
            return known
        folder = self.find(path)
        if not folder.is_folder:
            raise NotADirectoryError(errno.ENOTDIR, "is a file", path)
        together = [(path, folder.node), *self._what_follows(path, folder)]
        _warm([node for _, node in together])
        read = {name: _read(node) for name, node in together}
        with self._lock:
            for name, names in read.items():
                self._read.setdefault(name, names)
            return self._read[path]

    def _what_follows(self, path: str, folder: Attributes) -> Iterator[tuple[str, Node]]:
        """Yield folders that are likely to be read next: those beside `folder`, from there on."""
        parent, slash, name = path.rpartition("/")
        if not path or not folder.node.entry.is_tree:
            return
        count = _count(folder.node)
        beside = self.names(parent)
        for other in islice(dropwhile(lambda one: one != name, beside), 1, None):
            node = beside[other].node
            if not node.entry.is_tree or parent + slash + other in self._read:
                continue
            count += _count(node)
            if count > READ_TOGETHER:
                return
            yield parent + slash + other, node


def _count(node: Node) -> int:
    return len(node.snapshot.dataset.trees.entries(node.entry.id))


def _warm(folders: list[Node]) -> None:
    """Ask git about all files of `folders` at once: each question of many is a process."""
    if len(folders) == 1:
        return
    trees = folders[0].snapshot.dataset.trees
    found = (entry for one in folders for entry in trees.entries(one.entry.id).values())
    trees.contents([entry for entry in found if entry.is_file])


def _read(folder: Node) -> Mapping[str, Attributes]:
    try:
        return {
            name: _attributes(node, content) for name, node, content in folder.snapshot.children(folder)
        }
    except FileNotFoundError:
        if folder.entry.is_subdataset:
            return {}  # not installed: an empty folder, as in a work tree
        raise


def _attributes(node: Node, content: Content | None) -> Attributes:
    if content is None:
        return Attributes(node, _FOLDER, 0)
    if content.target is not None:
        return Attributes(
            node, _LINK, len(content.target.encode("utf-8", "surrogateescape")), content.target
        )
    mode = _PROGRAM if node.entry.mode == EXECUTABLE else _FILE
    return Attributes(node, mode, content.size_bytes or 0, has_size=content.size_bytes is not None)
