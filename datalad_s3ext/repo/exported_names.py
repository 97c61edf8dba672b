"""Under which name an exported tree holds the content of a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.exported import complete_tree
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.tree_files import files_below
from datalad_s3ext.repo.trees import Trees


def names_by_key(git_dir: Path, uuid: str) -> Mapping[str, str]:
    """Return one name for each key in the tree that was exported last to the remote `uuid`.

    Nothing for a tree that this clone lacks. Names with line breaks are left out: see :mod:`.exported`.

    Raises
    ------
    LocalError
        When git cannot be asked.
    """
    tree_id = complete_tree(git_dir, uuid)
    if tree_id is None:
        return {}
    objects = GitObjects(git_dir.absolute())
    try:
        trees = Trees(objects)
        files = files_below(trees, tree_id)
        keys = {entry: content.key for entry, content in trees.contents(files.values()).items()}
    except LocalError:
        return {}
    finally:
        objects.close()
    found: dict[str, str] = {}
    for name, entry in files.items():
        if (key := keys[entry]) is not None and "\n" not in name:
            found.setdefault(key, name)
    return found
