"""The files of one commit, subdatasets included: from a path to what lies there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.fs.dataset import Commit, Dataset
from datalad_s3ext.fs.faults import not_found
from datalad_s3ext.repo.trees import LINK, TREE, Content, Entry

_MOST_LINKS = 40


class Node(NamedTuple):
    """A file or folder, and the data set that knows it."""

    snapshot: Snapshot
    path: str
    """Within that data set; ``""`` is its top."""
    entry: Entry

    @property
    def is_folder(self) -> bool:
        """Tell whether other names can lie below it."""
        return self.entry.is_tree or self.entry.is_subdataset

    @property
    def content(self) -> Content:
        """What the file is."""
        return self.snapshot.dataset.trees.content(self.entry)


@dataclass(frozen=True)
class Snapshot:
    """A commit of a data set."""

    dataset: Dataset
    commit: Commit

    @property
    def top(self) -> Node:
        """The data set's own folder."""
        return Node(self, "", Entry(TREE, self.commit.tree_id))

    def find(self, path: str) -> Node:
        """Return what lies at `path`; links to other files are followed.

        Raises
        ------
        FileNotFoundError
            Nothing does, or a link leads out of the data set.
        NotADirectoryError
            A part of the path is a file.
        """
        trail = [self.top]
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                trail.pop()
                if not trail:
                    raise not_found(path, "leads out of the data set")
                continue
            node = _child(opened(trail[-1]), name, path)
            target = node.content.target if node.entry.mode == LINK else None
            if target is None:
                trail.append(node)
                continue
            links += 1
            if target.startswith("/") or links > _MOST_LINKS:
                raise not_found(path, "is a link that leads out of the data set, or in a circle")
            pending += target.split("/")[::-1]
        return trail[-1]

    def children(self, node: Node) -> Iterator[tuple[str, Node, Content | None]]:
        """Yield name, node and content of all that lies directly in the folder `node`.

        The content of folders is ``None``.
        """
        folder = opened(node)
        trees = folder.snapshot.dataset.trees
        entries = trees.entries(folder.entry.id)
        files = [entry for entry in entries.values() if not (entry.is_tree or entry.is_subdataset)]
        contents = trees.contents(files)
        prefix = f"{folder.path}/" if folder.path else ""
        for name, entry in entries.items():
            yield name, Node(folder.snapshot, prefix + name, entry), contents.get(entry)


def opened(node: Node) -> Node:
    """Return `node`, or the top of the subdataset that it is.

    Raises
    ------
    FileNotFoundError
        The subdataset is not installed, or lacks the commit that is meant.
    """
    if not node.entry.is_subdataset:
        return node
    found = node.snapshot.dataset.subdataset(node.path)
    if found is None:
        raise not_found(
            node.path, f"is a subdataset that is not installed; run: datalad get -n {node.path}"
        )
    try:
        return Snapshot(found, found.commit(node.entry.id)).top
    except ConfigError as error:
        raise not_found(
            node.path, f"is a subdataset whose clone lacks commit {node.entry.id}; run: git fetch there"
        ) from error


def _child(folder: Node, name: str, path: str) -> Node:
    if not folder.entry.is_tree:
        raise NotADirectoryError(20, "is a file", folder.path)
    entry = folder.snapshot.dataset.trees.entries(folder.entry.id).get(name)
    if entry is None:
        raise not_found(path, "is not in this commit")
    return Node(folder.snapshot, f"{folder.path}/{name}" if folder.path else name, entry)
