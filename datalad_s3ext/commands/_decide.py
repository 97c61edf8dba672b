"""What must be done so that a wish comes true, or why it must not. Nothing here asks or changes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from datalad_s3ext.commands._checks import check_new
from datalad_s3ext.commands._settings import Change, Wish, changes_to, type_label, unchangeable
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.repo.remotes import SpecialRemote, service_host

Existing = Literal["skip", "error", "reconfigure"]
Step = Literal["create", "enable", "reconfigure", "keys", "nothing"]


@dataclass(frozen=True)
class Verdict:
    """What is to be done."""

    step: Step
    remote: SpecialRemote | None = None
    changes: Sequence[Change] = ()
    message: str = ""


def decide(
    known: Sequence[SpecialRemote], git_names: Iterable[str], wish: Wish,
    wanted: Mapping[str, str], existing: Existing,
) -> Verdict:  # fmt: skip
    """Return what must be done so that `wish` comes true in a data set that has `known` remotes.

    Raises
    ------
    ConfigError
        When it must not be done, with the reason.
    """
    remote = only(known, wish.name) if _named(known, wish.name) else None
    if (remote is None or remote.enabled_as is None) and wish.name in git_names:
        raise ConfigError(
            f"there is a sibling {wish.name!r} already, and it is no special remote",
            remedy="give another name with --name",
        )
    if remote is None:
        check_new(wish)
        _check_place(known, wish, wanted)
        return Verdict("create")
    _check_type(remote, wish)
    changes = changes_to(remote, wanted, asked=wish)
    if not changes and remote.enabled_as:
        return Verdict("nothing", remote, message=f"{wish.name!r} already set up, nothing changed")
    return _resolve_existing(remote, changes, existing) if changes else Verdict("enable", remote)


def _resolve_existing(remote: SpecialRemote, changes: Sequence[Change], existing: Existing) -> Verdict:
    differences = ", ".join(map(str, changes))
    if existing == "skip":
        asked = "; ".join(
            f"asked for {one.name} {one.new or '(none)'}, has {one.old or '(none)'}" for one in changes
        )
        text = f"{remote.name!r} exists with other settings and was left alone ({asked})"
        return Verdict("nothing", remote, changes, text)
    lost = unchangeable(changes)
    if lost:
        raise ConfigError(
            f"{remote.name!r} cannot be changed ({', '.join(map(str, lost))}): content stored "
            f"so far would be out of sight",
            remedy="give another --name to set up a second remote, and copy the content to it",
        )
    if existing == "error":
        raise ConfigError(
            f"{remote.name!r} exists with other settings: {differences}",
            remedy="to change them, add --existing reconfigure; to leave it, --existing skip",
        )
    return Verdict("reconfigure", remote, changes)


def _check_type(remote: SpecialRemote, wish: Wish) -> None:
    is_type = type_label(remote)
    if not remote.is_s3:
        raise ConfigError(
            f"{wish.name!r} is a special remote of type {is_type} already",
            remedy="give another name with --name",
        )
    if is_type != wish.remote_type:
        raise ConfigError(
            f"{wish.name!r} is a remote of type {is_type}; git-annex cannot change the type",
            remedy=f"leave it with --remote-type {is_type}, or switch it: datalad s3-migrate "
            f"{wish.name} --to {wish.remote_type}",
        )


def _check_place(known: Sequence[SpecialRemote], wish: Wish, wanted: Mapping[str, str]) -> None:
    hosts = _service_names(wish, wanted)
    place = (wanted["bucket"].lower(), wanted.get("fileprefix", ""))
    for other in known:
        host, bucket, prefix = other.place
        if other.is_s3 and host in hosts and (bucket.lower(), prefix) == place:
            raise ConfigError(
                f"bucket {other.bucket}, prefix {other.prefix or '(none)'}, keeps the content of "
                f"special remote {other.name!r} already",
                remedy=f"use that one (--name {shlex.quote(other.name)}), or give another --prefix",
            )


def _service_names(wish: Wish, wanted: Mapping[str, str]) -> set[str]:
    """Return all that a recorded remote may call the service: a local server has several names."""
    endpoint = wish.connection.endpoint_url
    names = [service_host(wanted)]
    if endpoint:
        names.append(service_host({"endpoint": endpoint}))
    if endpoint and wish.provider.endpoint.local_server and not wish.record_endpoint:
        names.append(service_host({"provider": wish.provider.id}))
    return set(names)


def _named(known: Iterable[SpecialRemote], name: str) -> list[SpecialRemote]:
    """Return the remote in use under `name`, else all recorded under it."""
    remote_list = list(known)
    used = [remote for remote in remote_list if remote.enabled_as == name]
    return used or [remote for remote in remote_list if remote.name == name]


def only(known: Iterable[SpecialRemote], name: str) -> SpecialRemote:
    remote_list = list(known)
    found = _named(remote_list, name)
    if not found:
        names = ", ".join(remote.enabled_as or remote.name for remote in remote_list) or "none"
        raise ConfigError(f"there is no special remote {name!r} here; known: {names}")
    if len(found) != 1:
        ids = ", ".join(remote.id for remote in found)
        raise ConfigError(
            f"there are {len(found)} special remotes named {name!r}: {ids}",
            remedy="rename one: git annex renameremote UUID NEWNAME",
        )
    return found[0]


def changed_parameters(changes: Iterable[Change], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters for enableremote that bring `changes` about."""
    changed = {change.name: wanted.get(change.name, "") for change in changes}
    if "endpoint" not in changed:
        return changed
    if wanted["type"] == "S3":
        del changed["endpoint"]
    names = ("provider", "endpoint", "host", "port", "protocol", "region")
    return {**changed, **{name: wanted[name] for name in names if name in wanted}}
