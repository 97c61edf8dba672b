"""``annex:///path/to/dataset@ref/sub/file``: which repository, which commit, which file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.fs.dataset import Dataset, find_top, is_repository

PROTOCOL = "annex"
_BEGINNING = f"{PROTOCOL}://"
_LONGEST_REF = 8


class Location(NamedTuple):
    """The parts of a URL."""

    repo: str | None
    """``None``: the URL names a file of a repository that is given otherwise."""
    ref: str | None
    path: str


def split_url(url: str) -> Location:
    """Return the parts of `url`. What begins with no slash is a path within the data set.

    Raises
    ------
    ConfigError
        There is no repository.
    """
    rest = url.removeprefix(_BEGINNING)
    if rest == url or not rest.startswith(("/", "~")):
        return Location(None, None, rest.strip("/"))
    return _with_ref(rest) or _without(rest)


def _with_ref(text: str) -> Location | None:
    parts = text.split("/")
    for number, part in enumerate(parts):
        if "@" not in part:
            continue
        stem, _, ref = part.partition("@")
        base = Path("/".join([*parts[:number], stem])).expanduser()
        if Path("/".join(parts[: number + 1])).expanduser().exists() or not is_repository(base):
            continue
        words = _ref_words(Dataset.at(base), [ref, *parts[number + 1 :]])
        path = "/".join(parts[number + words :])
        return Location(str(base), "/".join([ref, *parts[number + 1 : number + words]]), path)
    return None


def _ref_words(dataset: Dataset, words: list[str]) -> int:
    """Return how many of `words` make a name that git knows; names of branches can have slashes."""
    for count in range(1, min(len(words), _LONGEST_REF) + 1):
        try:
            dataset.commit("/".join(words[:count]))
        except ConfigError:
            continue
        return count
    return 1


def _without(text: str) -> Location:
    path = Path(os.path.abspath(Path(text).expanduser()))
    try:
        folder = find_top(path)
    except ConfigError as error:
        raise ConfigError(
            f"no data set lies at {text} or above",
            remedy=f"write {_BEGINNING}/PATH/OF/DATASET@REF/FILE, or {_BEGINNING}FILE with repo=PATH",
        ) from error
    name = path.relative_to(folder).as_posix()
    return Location(str(folder), None, "" if name == "." else name)
