"""Which files of a commit git itself keeps: those that are not annexed."""

from __future__ import annotations

from pathlib import Path

from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.tree_files import files_below
from datalad_s3ext.repo.trees import LINK, Trees


def files_in_git(git_dir: Path, commit: str) -> list[str]:
    """Return the files of `commit` that git keeps, but for symbolic links.

    Raises
    ------
    LocalError
        When git cannot be asked, or lacks a part of the commit.
    """
    objects = GitObjects(git_dir.absolute())
    try:
        root, trees = objects.read(f"{commit}^{{tree}}"), Trees(objects)
        found = files_below(trees, root.id) if root else {}
        plain = {name: entry for name, entry in found.items() if entry.mode != LINK}
        contents = trees.contents(plain.values())
        return [name for name, entry in plain.items() if contents[entry].key is None]
    finally:
        objects.close()
