"""What goes with every request of a command to a sibling's bucket: as the remote itself sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from datalad_s3ext.commands._settings import Wish
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.remote.local import read_choices
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.remote.storing import extras_for
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.extras import NO_EXTRAS, Extras

PAYS = "s3x-requester-pays"
_YES = frozenset({"yes", "true"})


def extras_of(path: Path, remote: SpecialRemote, connection: Connection) -> Extras:
    """Return what goes with requests to `remote`; nothing with those to built-in S3.

    Raises
    ------
    ConfigError
        When a person in the clone at `path` has to agree first, or has to name a key.
    """
    if not remote.is_ours:
        return NO_EXTRAS
    settings = read_settings(lambda name: remote.parameters.get(name, ""))
    choices = read_choices(remote.enabled_as or remote.name, remotes.git_folder(path))
    return extras_for(settings, choices, connection)


def extras_wished(path: Path, name: str, wish: Wish, wanted: Mapping[str, str]) -> Extras:
    """Return what goes with requests to a remote that is set up; who types that he pays has agreed.

    Raises
    ------
    ConfigError
        When a key is missing.
    """
    if wish.remote_type != "s3x":
        return NO_EXTRAS
    settings = read_settings(lambda setting: wanted.get(setting, ""))
    choices = read_choices(name, remotes.git_folder(path))
    if agrees_to_pay(wish):
        choices = replace(choices, requester_pays=True)
    return extras_for(settings, choices, wish.connection)


def agrees_to_pay(wish: Wish) -> bool:
    """Tell whether the person at the keyboard says that the bucket charges who reads it."""
    return wish.remote_type == "s3x" and wish.settings.get("requester-pays") in _YES
