"""Which objects can become files of a work tree, and which never may.

Names in a bucket are somebody else's text. Git, a file system or git-annex's protocol cannot hold all
of them, and some would act outside the work tree or inside ``.git``. What cannot be a file of just its
name is left out, with a reason; it never becomes another file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from datalad_s3ext.repo.keys import MARKER

MAX_PART_BYTES = 255
"""Of one part of a path, on every usual file system."""
MAX_PATH_BYTES = 4095

_GIT_SHORT = re.compile(r"git~\d+")
_MODULES_SHORT = re.compile(r"gitmod~[1-4]|(?=.{8}$)(?:g(?:i(?:7(?:e(?:ba?)?)?)?)?)?~[1-9]\d*")
"""What Windows may call ``.gitmodules``, by git's own rules."""
_GIT_SETTINGS = frozenset({".gitmodules", ".gitattributes"})
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


def why_not(name: str) -> str:
    """Return why the object `name`, without the prefix, cannot be a file; ``""`` when it can."""
    if not name or name.endswith("/"):
        return "a marker of a folder"
    if any(char in name for char in "\n\r\0"):
        return "a line break or a null in its name"
    parts = name.split("/")
    if "" in parts or "." in parts or ".." in parts:
        return "a part of its name is empty, . or .."
    if any(_is_git_folder(part) for part in parts):
        return "a part of its name means .git"
    if any(_is_git_setting(part) for part in parts) or _plain(parts[0]) == ".datalad":
        return "it would say how git or DataLad work here"
    if name == MARKER:
        return "where special remotes keep their UUID"
    if name.startswith(PASSING):
        return "on its way from one name to another"
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > MAX_PATH_BYTES or max(map(len, encoded.split(b"/"))) > MAX_PART_BYTES:
        return "too long a name"
    return ""


PASSING = ".git-annex-tmp-content-"
"""What begins the names of exported files that are being renamed."""


def folders_too(names: Iterable[str]) -> set[str]:
    """Return which of `names` are also folders of other ones: no tree holds both."""
    folders: set[str] = set()
    present = set(names)
    for name in present:
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders & present


class Wanted:
    """Include and exclude patterns over names, as a person gives them for a bucket.

    ``*`` stands for any characters, ``/`` included, as in git-annex's own ``--include``; ``?`` for one.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = [_pattern(glob) for glob in include]
        self._exclude = [_pattern(glob) for glob in exclude]

        self._prefixes = _outermost(glob.partition("*")[0].partition("?")[0] for glob in include)

    def prefixes(self) -> list[str]:
        """Return what the wanted names begin with: no others need be listed. None begins another."""
        return self._prefixes or [""]

    def __contains__(self, name: str) -> bool:
        """Tell whether `name` fits one pattern to include, if there are any, and none to exclude."""
        if self._include and not any(pattern.fullmatch(name) for pattern in self._include):
            return False
        return not any(pattern.fullmatch(name) for pattern in self._exclude)


def _outermost(prefixes: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return kept


def _pattern(glob: str) -> re.Pattern[str]:
    """Return `glob` so that it takes no longer for many ``*``: what fits one first is kept to."""
    first, *rest = ("".join("." if char == "?" else re.escape(char) for char in piece)
                    for piece in glob.split("*"))  # fmt: skip
    if not rest:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1] if piece)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def _is_git_folder(part: str) -> bool:
    """Tell whether a file system may take `part` for ``.git``, as git itself fears."""
    names = [_plain(piece) for piece in part.split("\\")]
    return any(name == ".git" or _GIT_SHORT.fullmatch(name) for name in names)


def _is_git_setting(part: str) -> bool:
    """Tell whether a file system may take `part` for ``.gitmodules`` or ``.gitattributes``.

    With a link called ``.gitmodules`` in a tree, git merges and checks out nothing of it.
    """
    names = [_plain(piece) for piece in part.split("\\")]
    return any(name in _GIT_SETTINGS or _MODULES_SHORT.fullmatch(name) for name in names)


def _plain(name: str) -> str:
    return _IGNORED_BY_HFS.sub("", name).lower().partition(":")[0].rstrip(". ")
