"""Which special remote answers for an ``s3://`` URL, so that no object counts as two copies.

Several remotes of a data set may be able to read one URL. If each said that it has the content, then
one object would count as many copies, and others would be dropped. So in all clones just one answers,
by what the git-annex branch says of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datalad_s3ext.errors import S3xError
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.place import connect
from datalad_s3ext.remote.settings import RemoteSettings, read_settings
from datalad_s3ext.repo.branch_files import committed, journaled

if TYPE_CHECKING:
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.store.s3_url import S3Url

NOT_ENCRYPTED = "none"
_LOG = "remote.log"


@dataclass(frozen=True)
class Keeper:
    """A remote that can answer for URLs: it keeps content by key, as it is."""

    uuid: str
    connection: Connection
    bucket: str
    prefix: str = ""

    @classmethod
    def of(cls, uuid: str, settings: RemoteSettings, encryption: str) -> Keeper | None:
        """Return what a remote is as a keeper; ``None`` when it is none, or cannot be reached."""
        if settings.is_tree or encryption != NOT_ENCRYPTED:
            return None
        try:
            connection = connect(settings, LocalChoices())
        except S3xError:
            return None
        return cls(uuid, connection, settings.bucket, settings.fileprefix)


def owner_of(url: S3Url, keepers: Iterable[Keeper]) -> str | None:
    """Return the UUID of the one remote that answers for `url`; ``None`` when it must be none.

    One whose bucket it is comes before others of the same endpoint, and of several with one bucket the
    one whose prefix says most. A URL without an endpoint, in a bucket of none, could mean two places
    when remotes lie at two: then none answers.
    """
    everybody = list(keepers)
    near = [keeper for keeper in everybody if is_at(url.endpoint, keeper.connection)]
    fitting = [keeper for keeper in near if keeper.bucket == url.bucket] or near
    if not near and url.endpoint is not None:
        fitting = everybody
    if not fitting or (url.endpoint is None and not _is_one_place(fitting)):
        return None
    return min(fitting, key=lambda keeper: (-_fit(url, keeper), keeper.uuid)).uuid


def is_at(endpoint: str | None, connection: Connection) -> bool:
    """Tell whether a URL with this endpoint is for the place that `connection` leads to."""
    from datalad_s3ext.providers.guess import is_own_host

    if endpoint is None or connection.endpoint_url is not None:
        return endpoint in (None, connection.endpoint_url)
    return is_own_host(connection.provider, endpoint)


def other_keepers(git_dir: Path, uuid: str) -> Iterator[Keeper]:
    """Yield all keepers of the git-annex branch but the remote `uuid`.

    Raises
    ------
    LocalError
        When git cannot be asked.
    """
    from datalad_s3ext.repo.remotes import parse_remote_log

    for other, parameters in parse_remote_log(_remote_log(git_dir)).items():
        if other == uuid or "sameas" in parameters or parameters.get("externaltype") != "s3x":
            continue
        keeper = _keeper(other, parameters)
        if keeper is not None:
            yield keeper


def _keeper(uuid: str, parameters: Mapping[str, str]) -> Keeper | None:
    try:
        settings = read_settings(lambda name: parameters.get(name, ""))
    except S3xError:
        return None
    return Keeper.of(uuid, settings, parameters.get("encryption", ""))


def _remote_log(git_dir: Path) -> str:
    """Return the text of remote.log; nothing when there is none yet."""
    newest = journaled(git_dir, _LOG)
    return (committed(git_dir, _LOG) + newest).decode("utf-8", "surrogateescape")


def _fit(url: S3Url, keeper: Keeper) -> int:
    is_below = keeper.bucket == url.bucket and url.name.startswith(keeper.prefix)
    return len(keeper.prefix) if is_below else -1


def _is_one_place(keepers: list[Keeper]) -> bool:
    return len({(k.connection.endpoint_url or k.connection.provider.id) for k in keepers}) == 1
