"""What goes with every request of a command to a sibling's bucket: as the remote itself sends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from datalad_s3ext.commands._settings import Wish, split_settings
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.remote.local import LocalChoices, read_choices
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.remote.storing import extras_for
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.extras import NO_EXTRAS, Extras

PAYS = "s3x-requester-pays"
KEY_FILE = "s3x-sse-c-key-file"
KEY_COMMAND = "s3x-sse-c-key-command"
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


def extras_said(said: Sequence[str], bucket: str, connection: Connection) -> Extras:
    """Return what goes with requests to a service that no remote is meant for yet.

    Who types that a bucket charges agrees to pay; a key comes from the environment.

    Raises
    ------
    ConfigError
        When a key is missing, or something is malformed.
    """
    given, _ = split_settings(said, connection.provider, "s3x")
    settings = read_settings(lambda name: {**given, "bucket": bucket}.get(name, ""))
    return extras_for(settings, LocalChoices(requester_pays=settings.requester_pays), connection)


def carried_choices(path: Path, name: str, other: str) -> dict[str, str]:
    """Return git configuration by which a remote `other` sends elsewhere what `name` sends here.

    It names where a key is, never the key itself.
    """
    choices = read_choices(name, remotes.git_folder(path))
    file = choices.customer_key_file
    wanted = {
        PAYS: "true" if choices.requester_pays else None,
        KEY_FILE: str(path / Path(file).expanduser()) if file else None,
        KEY_COMMAND: choices.customer_key_command,
    }
    return {f"remote.{other}.{setting}": value for setting, value in wanted.items() if value}


def agrees_to_pay(wish: Wish) -> bool:
    """Tell whether the person at the keyboard says that the bucket charges who reads it."""
    return wish.remote_type == "s3x" and wish.settings.get("requester-pays") in _YES
