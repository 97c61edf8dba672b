"""Which key a file of a git tree stands for, and where its content lies in a clone.

A locked file is a symbolic link to ``.../annex/objects/.../KEY``, an unlocked one a small file whose
first line is ``/annex/objects/KEY``. Sources: git-annex's pages "internals", "internals/pointer_file"
and "internals/hashing".
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

_OBJECTS = b"/annex/objects/"
POINTER_BYTES = 32 * 1024
"""No pointer file is larger."""
_LETTERS = "0123456789zqjxkmvwgpfZQJXKMVWGPF"


def key_of_link(target: bytes) -> str | None:
    """Return the key that a symbolic link to `target` stands for; ``None`` for any other link."""
    if _OBJECTS not in target:
        return None
    return _key(target.rpartition(b"/")[2])


def key_of_pointer(content: bytes) -> str | None:
    """Return the key that a file with this `content` stands for; ``None`` for any other file."""
    if not content.startswith(_OBJECTS) or len(content) > POINTER_BYTES:
        return None
    first, _, rest = content.partition(b"\n")
    if any(not line.startswith(b"/annex/") for line in rest.split(b"\n") if line):
        return None
    return _key(first.removesuffix(b"\r")[len(_OBJECTS) :].rpartition(b"/")[2])


def as_file_name(key: str) -> str:
    """Return the name of the file that holds `key`'s content, or what its logs' names begin with."""
    return key.replace("&", "&a").replace("%", "&s").replace(":", "&c").replace("/", "%")


def _key(file_name: bytes) -> str | None:
    """Undo :func:`as_file_name`."""
    name = file_name.decode("utf-8", "surrogateescape")
    text = name.replace("%", "/").replace("&c", ":").replace("&s", "%").replace("&a", "&")
    return text if "--" in text and "\0" not in text else None


def lower_folder(key: str) -> str:
    """Return the folder of a key in the git-annex branch and in bare repositories: ``f87/4d5``."""
    digest = hashlib.md5(_bytes(key), usedforsecurity=False).hexdigest()
    return f"{digest[:3]}/{digest[3:6]}"


def mixed_folder(key: str) -> str:
    """Return the folder of a key below ``.git/annex/objects`` in other repositories: ``X9/6J``."""
    digest = hashlib.md5(_bytes(key), usedforsecurity=False).digest()
    number = int.from_bytes(digest[:4], "little")
    first, second, third, fourth = (_LETTERS[number >> 6 * place & 31] for place in range(4))
    return f"{second}{first}/{fourth}{third}"


def object_paths(key: str) -> tuple[PurePosixPath, PurePosixPath]:
    """Return where below ``annex/objects`` the content of `key` may lie."""
    name = as_file_name(key)
    folders = mixed_folder(key), lower_folder(key)
    mixed, lower = (PurePosixPath(folder, name, name) for folder in folders)
    return mixed, lower


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
