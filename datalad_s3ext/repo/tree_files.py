"""All files of a tree, those in folders too."""

from __future__ import annotations

from datalad_s3ext.repo.trees import Entry, Trees


def files_below(trees: Trees, tree_id: str) -> dict[str, Entry]:
    """Return the files of a tree by their paths; subdatasets are none.

    Raises
    ------
    LocalError
        When the repository lacks a part of the tree.
    """
    found: dict[str, Entry] = {}
    folders = [("", tree_id)]
    while folders:
        folder, here = folders.pop()
        for name, entry in trees.entries(here).items():
            if entry.is_tree:
                folders.append((f"{folder}{name}/", entry.id))
            elif entry.is_file:
                found[folder + name] = entry
    return found
