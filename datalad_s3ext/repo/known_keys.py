"""Keys that files of a bucket have already, in trees that were exported to it or imported from it.

The same content should not get another key because it comes back from a bucket: git would see a change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.digests import ALGORITHMS
from datalad_s3ext.repo.exported import exported_trees
from datalad_s3ext.repo.folders import annex_folder
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.pointers import object_paths
from datalad_s3ext.repo.trees import Trees

TREES = 3
"""So many of the newest trees are looked into."""


class KnownKeys:
    """The keys of files in the newest trees of the remote `uuid`. Safe in threads."""

    def __init__(self, git_dir: Path, uuid: str) -> None:
        self._git_dir = git_dir
        self._trees = Trees(GitObjects(git_dir.absolute()))
        self._ids = exported_trees(git_dir, uuid)[:TREES]

    def at(self, name: str) -> list[str]:
        """Return the keys that the file `name` has had, the newest first, each once.

        A tree that this clone lacks is left out.
        """
        found = [self._key(tree_id, name.split("/")) for tree_id in self._ids]
        return list(dict.fromkeys(key for key in found if key is not None))

    def local_md5(self, key: str) -> str | None:
        """Return the MD5 of the content of `key`, in hexadecimal; ``None`` when it is not here."""
        for path in object_paths(key):
            try:
                with (annex_folder(self._git_dir) / "objects" / path).open("rb") as file:
                    return hashlib.file_digest(
                        file, lambda: hashlib.md5(usedforsecurity=False)
                    ).hexdigest()
            except OSError:
                continue
        return None

    def _key(self, tree_id: str, parts: list[str]) -> str | None:
        try:
            for part in parts[:-1]:
                entry = self._trees.entries(tree_id).get(part)
                if entry is None or not entry.is_tree:
                    return None
                tree_id = entry.id
            entry = self._trees.entries(tree_id).get(parts[-1])
            if entry is None or entry.is_tree or entry.is_subdataset:
                return None
            return self._trees.content(entry).key
        except LocalError:
            return None


def is_content_of(key: str, size_bytes: int, digests: Mapping[str, str]) -> bool:
    """Tell whether `key` certainly names content of this size and with these checksums.

    Parameters
    ----------
    digests : Mapping
        From a backend (``MD5``, ``SHA256``) to the checksum, in hexadecimal.
    """
    backend, name = _checksum_in(key)
    return parse_key(key).size_bytes == size_bytes and digests.get(backend) == name


def contradicts(key: str, size_bytes: int, digests: Mapping[str, str]) -> bool:
    """Tell whether content of this size and with these checksums is certainly not that of `key`."""
    backend, name = _checksum_in(key)
    return parse_key(key).size_bytes not in (None, size_bytes) or digests.get(backend, name) != name


def _checksum_in(key: str) -> tuple[str, str]:
    """Return the backend of `key`, without the E of those with an extension, and the checksum."""
    parsed = parse_key(key)
    if parsed.backend not in ALGORITHMS and parsed.backend.endswith("E"):
        return parsed.backend.removesuffix("E"), parsed.name.partition(".")[0]
    return parsed.backend, parsed.name
