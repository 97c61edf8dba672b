"""Which special remote answers for an ``s3://`` URL, so that no object counts as two copies.

Several remotes of a data set may be able to read one URL. If each said that it has the content, then
one object would count as many copies, and others would be dropped. So in all clones just one answers,
by what the git-annex branch says of all.

An object in the bucket of a remote is content of that remote. No remote with another bucket answers for
it: else it would take what it has never stored for its own copy, and git-annex would delete the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datalad_s3ext.errors import S3xError
from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.place import connect
from datalad_s3ext.remote.settings import RemoteSettings, read_settings
from datalad_s3ext.repo.branch_files import committed, journaled

if TYPE_CHECKING:
    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.repo.remotes import SpecialRemote
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
    is_view: bool = False
    """It finds versions of an exported tree, and stores nothing."""

    @classmethod
    def of(cls, uuid: str, settings: RemoteSettings, encryption: str) -> Keeper | None:
        """Return what a remote is as a keeper; ``None`` when it is none, or cannot be reached."""
        if settings.is_tree or encryption != NOT_ENCRYPTED:
            return None
        try:
            connection = connect(settings, LocalChoices())
        except S3xError:
            return None
        return cls(
            uuid, connection, settings.bucket, settings.fileprefix, is_view=settings.bucketversioning
        )


@dataclass(frozen=True)
class Occupant:
    """An S3 remote that answers for no URL, and whose objects are no other remote's content either."""

    uuid: str
    connection: Connection | None
    """``None`` when it is not known where the bucket lies: then it may lie anywhere."""
    bucket: str
    prefix: str = ""
    is_tree: bool = False


def owner_of(url: S3Url, keepers: Iterable[Keeper], occupants: Iterable[Occupant] = ()) -> str | None:
    """Return the UUID of the one remote that answers for `url`; ``None`` when it must be none.

    In the bucket of a remote, only remotes with that bucket answer; of several, the one whose prefix
    says most. Where that is a tree's, only a remote that finds its versions does, for versions alone.
    In a bucket of none, it is one at the same endpoint. A URL without an endpoint could mean two places
    when remotes lie at two: then none answers.
    """
    everybody = list(keepers)
    inside = [keeper for keeper in everybody if _may_be_in(url, keeper)]
    others = [occupant for occupant in occupants if _may_be_in(url, occupant)]
    if inside or others:
        if url.endpoint is None and not _is_one_place([*inside, *others]):
            return None
        fitting = _in_bucket(url, inside, others)
    else:
        near = [keeper for keeper in everybody if is_at(url.endpoint, keeper.connection)]
        if url.endpoint is None and not _is_one_place(near):
            return None
        fitting = near or everybody
    return min((keeper.uuid for keeper in fitting), default=None)


def is_foreign(url: S3Url, own: Keeper, known: Iterable[Keeper | Occupant]) -> bool:
    """Tell whether `url` lies in the bucket of one of `known`, and not in that of `own`."""
    return not _may_be_in(url, own) and any(_may_be_in(url, remote) for remote in known)


def is_at(endpoint: str | None, connection: Connection) -> bool:
    """Tell whether a URL with this endpoint is for the place that `connection` leads to."""
    from datalad_s3ext.providers.guess import is_own_host

    if endpoint is None or connection.endpoint_url is not None:
        return endpoint in (None, connection.endpoint_url)
    return is_own_host(connection.provider, endpoint)


def known_remotes(git_dir: Path) -> Iterator[Keeper | Occupant]:
    """Yield what the git-annex branch says of each remote that keeps content in S3, of whatever type.

    Raises
    ------
    LocalError
        When git cannot be asked.
    """
    from datalad_s3ext.repo.remotes import assembled

    for remote in assembled(_remote_log(git_dir), trust_log="", enabled={}):
        if remote.is_s3 and remote.bucket:
            yield _keeper(remote) or _occupant(remote)


def _keeper(remote: SpecialRemote) -> Keeper | None:
    if not remote.is_ours:
        return None
    try:
        settings = read_settings(lambda name: remote.parameters.get(name, ""))
    except S3xError:
        return None
    return Keeper.of(remote.uuid, settings, remote.parameters.get("encryption", ""))


def _occupant(remote: SpecialRemote) -> Occupant:
    parameters = remote.parameters
    is_tree = any(parameters.get(name) in ("yes", "true") for name in ("exporttree", "importtree"))
    return Occupant(remote.uuid, _connection(remote), remote.bucket, remote.prefix, is_tree)


def _connection(remote: SpecialRemote) -> Connection | None:
    """Return where the bucket lies; ``None`` when this cannot be found out here."""
    from datalad_s3ext.repo.remotes import AMAZON, service_host

    given = dict(remote.parameters)
    if not remote.is_ours:
        names = ("bucket", "host", "port", "protocol", "region", "datacenter")
        given = {name: given[name] for name in names if name in given}
        if service_host(given) == AMAZON:
            given = {"bucket": given["bucket"], "provider": "aws", "region": "us-east-1"}
    try:
        return connect(read_settings(lambda name: given.get(name, "")), LocalChoices())
    except S3xError:
        return None


def _remote_log(git_dir: Path) -> str:
    """Return the text of remote.log; nothing when there is none yet."""
    newest = journaled(git_dir, _LOG)
    return (committed(git_dir, _LOG) + newest).decode("utf-8", "surrogateescape")


def _may_be_in(url: S3Url, remote: Keeper | Occupant) -> bool:
    """Tell whether `url` may lie in the bucket of `remote`."""
    if remote.bucket != url.bucket or remote.connection is None:
        return remote.bucket == url.bucket
    if url.endpoint is None or is_at(url.endpoint, remote.connection):
        return True
    return _host(url.endpoint) == _place(remote.connection)


def _in_bucket(url: S3Url, keepers: list[Keeper], occupants: list[Occupant]) -> list[Keeper]:
    """Return which of `keepers` may answer for `url`, in a bucket of theirs and of `occupants`."""
    trees = [other for other in occupants if other.is_tree and _fit(url, other) >= 0]
    if url.version_id is not None:
        views = [keeper for keeper in keepers if keeper.is_view and _fit(url, keeper) >= 0]
        if views or trees:
            return _best(url, views)
    everybody: list[Keeper | Occupant] = [*keepers, *occupants]
    best = max(_fit(url, remote) for remote in everybody)
    rivals = [other for other in occupants if _fit(url, other) == best >= 0]
    # with --sameas, one remote may be known in several ways
    return [
        keeper for keeper in keepers
        if _fit(url, keeper) == best
        and all(rival.uuid == keeper.uuid and not rival.is_tree for rival in rivals)
    ]  # fmt: skip


def _best(url: S3Url, keepers: list[Keeper]) -> list[Keeper]:
    best = max((_fit(url, keeper) for keeper in keepers), default=-1)
    return [keeper for keeper in keepers if _fit(url, keeper) == best]


def _fit(url: S3Url, remote: Keeper | Occupant) -> int:
    return len(remote.prefix) if url.name.startswith(remote.prefix) else -1


def _is_one_place(remotes: Sequence[Keeper | Occupant]) -> bool:
    """Tell whether all lie at one service: also when it has several addresses, with --sameas."""
    left = [_marks(remote) for remote in remotes]
    found = left.pop() if left else set()
    while near := [marks for marks in left if marks & found]:
        found = found.union(*near)
        left = [marks for marks in left if not marks & found]
    return bool(found) and not left


def _marks(remote: Keeper | Occupant) -> set[tuple[str, str]]:
    place = () if remote.connection is None else (("place", _place(remote.connection)),)
    return {("remote", remote.uuid), *place}


def _place(connection: Connection) -> str:
    from datalad_s3ext.repo.remotes import service_host

    url = connection.endpoint_url
    return _host(url) if url else service_host({"provider": connection.provider.id})


def _host(endpoint: str) -> str:
    """Return host and port: another scheme, or another name of this machine, makes no other place."""
    from datalad_s3ext.providers.resolve import is_loopback_host
    from datalad_s3ext.repo.remotes import service_host

    parts = urlsplit(endpoint)
    here = is_loopback_host(parts.hostname or "")
    return f"loopback:{parts.port}" if here else service_host({"endpoint": endpoint})
