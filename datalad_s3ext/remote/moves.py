"""Notice when a remote has moved to another bucket and nobody here has said that it should.

Bucket and prefix come in with the git-annex branch, like all parameters: whoever may push to the data
set can name another bucket behind an endpoint that keys may go to. It may be another one of the
user's, or, where a service has many customers, anybody's, with a marker made to fit. So the place is
noted in this clone when it is enabled, or first written to. At another one nothing is stored or
deleted, and nothing is called present, before a person here enables the remote again; content is
still received, for git-annex compares that with its key.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from datalad_s3ext.errors import ConfigError, LocalError
from datalad_s3ext.repo import trust

if TYPE_CHECKING:
    from datalad_s3ext.remote.place import Place

lgr = logging.getLogger(__name__)

_one_asks = Lock()
"""Jobs begin at the same moment, and each would start git."""


def note_place(git_dir: Path, uuid: str, place: Place) -> str:
    """Note that a person here wants the remote to keep its content at `place`.

    Returns what that person should be told: ``""`` unless this clone used another place before. Who
    enabled the remote for some other reason may not have known.
    """
    name = _name(place)
    try:
        known = trust.agreed_places(git_dir, uuid)
        trust.agree_to_place(git_dir, uuid, name)
    except LocalError as error:
        lgr.debug("the place could not be noted: %s", error)
        return ""
    if not known or name in known:
        return ""
    return f"this remote keeps its content at {name} now; this clone used {' and '.join(known)}"


def require_place(
    git_dir: Path, uuid: str, place: Place, *, note: bool,
    agreed: Collection[tuple[str, str]] = (),
) -> None:  # fmt: skip
    """Make sure that the remote has not moved behind our back.

    Parameters
    ----------
    note
        Take the place for agreed when none is noted yet.
    agreed
        UUIDs and places that are noted for certain: git need not be asked for them.

    Raises
    ------
    ConfigError
        When it has.
    """
    with _one_asks:
        is_agreed = (uuid, _name(place)) in agreed
        if not is_agreed and _is_first(git_dir, uuid, _name(place)) and note:
            note_place(git_dir, uuid, place)
            _is_first.cache_clear()
        if place.public is not None:
            _require_url(git_dir, uuid, place.public.url)


def note_url(git_dir: Path, uuid: str, url: str) -> None:
    """Note that a person here wants to read content of the remote below `url`, if without keys."""
    try:
        trust.agree_to_url(git_dir, uuid, url)
    except LocalError as error:
        lgr.debug("the URL could not be noted: %s", error)


@lru_cache(maxsize=8)
def _require_url(git_dir: Path, uuid: str, url: str) -> None:
    known = trust.agreed_urls(git_dir, uuid)
    if url not in known and (known or trust.agreed_places(git_dir, uuid)):
        raise ConfigError(
            f"this data set names {url} as its publicurl, and nobody has enabled the remote with it in "
            "this clone: nothing is taken for present there",
            remedy="if it is right: git annex enableremote NAME",
        )


@lru_cache(maxsize=8)
def _is_first(git_dir: Path, uuid: str, name: str) -> bool:
    """Tell whether no place is noted yet; asked for once in a process, for every request needs it."""
    known = trust.agreed_places(git_dir, uuid)
    if known and name not in known:
        raise ConfigError(
            f"this data set has moved the remote to {name}, and this clone used {' and '.join(known)}: "
            "nothing is stored, deleted or taken for present there",
            remedy="if it is right: datalad s3-enable -s NAME, or git annex enableremote NAME",
        )
    return not known


def _name(place: Place) -> str:
    return f"{place.store.bucket}/{place.layout.prefix}"
