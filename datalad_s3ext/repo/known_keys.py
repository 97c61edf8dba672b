"""Keys that files of a bucket have already, in trees that were exported to it or imported from it.

The same content should not get another key because it comes back from a bucket: git would see a change.
Nor should other content be taken for that of a key. What a key does not tell, the content in this clone
may: that of annexed files, and of files that git itself keeps, which git-annex calls ``GIT--<id>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.digests import ALGORITHMS
from datalad_s3ext.repo.exported import exported_trees
from datalad_s3ext.repo.folders import annex_folder
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.repo.objects import GitObjects
from datalad_s3ext.repo.pointers import object_paths
from datalad_s3ext.repo.trees import Trees
from datalad_s3ext.store.base import ObjectInfo

TREES = 3
"""So many of the newest trees are looked into."""
GIT = "GIT"
"""Backend of the keys that git-annex gives to files of git on export: an id of a blob, and no size."""
READ_BYTES = 1 << 18
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class KnownKeys:
    """The keys of files in the newest trees of the remote `uuid`. Safe in threads."""

    def __init__(self, git_dir: Path, uuid: str) -> None:
        self._git_dir = git_dir
        self._objects = GitObjects(git_dir.absolute())
        self._trees = Trees(self._objects)
        self._ids = exported_trees(git_dir, uuid)[:TREES]

    def at(self, name: str) -> list[str]:
        """Return the keys that the file `name` has had, the newest first, each once.

        A tree that this clone lacks is left out.
        """
        found = [self._key(tree_id, name.split("/")) for tree_id in self._ids]
        return list(dict.fromkeys(key for key in found if key is not None))

    def local_bytes(self, key: str) -> int | None:
        """Return how many bytes the content of `key` has; ``None`` when it is not here.

        Raises
        ------
        LocalError
            Git cannot be asked for a file of its own.
        """
        content = self._content(key)
        if content is None:
            return None
        with content:
            return content.seek(0, SEEK_END)

    def local_digest(self, key: str, backend: str) -> str | None:
        """Return the checksum of the content of `key`, in hexadecimal; ``None`` when it is not here.

        Parameters
        ----------
        backend : str
            What computes it, one of `ALGORITHMS`.

        Raises
        ------
        LocalError
            Git cannot be asked for a file of its own.
        """
        content = self._content(key)
        if content is None:
            return None
        with content:
            try:
                return hashed(iter(lambda: content.read(READ_BYTES), b""), [backend])[backend]
            except OSError:
                return None

    def is_local(self, key: str, digests: Mapping[str, str]) -> bool:
        """Tell whether the content of `key` is here and one of its checksums is in `digests`."""
        return any(self.local_digest(key, backend) == told for backend, told in digests.items())

    def compare(self, key: str, info: ObjectInfo, told: Mapping[str, str]) -> bool | None:
        """Tell whether an object certainly has the content of `key`, or certainly has not.

        Where the key tells no size, the content in this clone is compared.

        Parameters
        ----------
        info : ObjectInfo
            As `ObjectStore.describe` tells.
        told : Mapping
            Its checksums by the server, by backend; see :func:`.content_ids.digests_from_server`.

        Returns
        -------
        bool or None
            ``None``: what can be compared agrees, and it may be other content all the same.

        Raises
        ------
        LocalError
            Git cannot be asked for a file of its own.
        """
        if contradicts(key, info.size_bytes, told):
            return False
        if is_content_of(key, info.size_bytes, told):
            return True
        if parse_key(key).size_bytes is not None:
            return None  # its content here could be compared, too, but may be terabytes
        size_bytes = self.local_bytes(key)
        if size_bytes != info.size_bytes:
            return None if size_bytes is None else False
        if told:
            return all(self.local_digest(key, backend) == told[backend] for backend in told)
        return True if self.local_digest(key, "MD5") == info.etag.lower() else None

    def _content(self, key: str) -> BinaryIO | None:
        parsed = parse_key(key)
        if parsed.backend == GIT:
            blob = self._objects.read(parsed.name) if _BLOB.fullmatch(parsed.name) else None
            return BytesIO(blob.data) if blob is not None and blob.kind == "blob" else None
        for path in object_paths(key):
            try:
                return (annex_folder(self._git_dir) / "objects" / path).open("rb")
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


def backends_of(keys: Iterable[str]) -> set[str]:
    """Return the backends, without the ``E`` of their variants, that tell the content of `keys`."""
    return {backend for backend, _ in map(_checksum_in, keys) if backend in ALGORITHMS}


def hashed(blocks: Iterable[bytes], backends: Iterable[str]) -> dict[str, str]:
    """Return the checksums of content that comes in `blocks`, by backend, in hexadecimal."""
    running = {backend: ALGORITHMS[backend]() for backend in backends}
    for block in blocks:
        for digest in running.values():
            digest.update(block)
    return {backend: digest.hexdigest() for backend, digest in running.items()}


def _checksum_in(key: str) -> tuple[str, str]:
    """Return the backend of `key`, without the E of those with an extension, and the checksum."""
    parsed = parse_key(key)
    if parsed.backend not in ALGORITHMS and parsed.backend.endswith("E"):
        return parsed.backend.removesuffix("E"), parsed.name.partition(".")[0]
    return parsed.backend, parsed.name
