"""Who asks, and how git-annex is told: by environment for one call, by local git config for later."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datalad_s3ext.credentials.chain import find_identity
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile
from datalad_s3ext.credentials.sources import (
    EXPIRATIONS,
    KEY_ID,
    PROFILE,
    SECRET,
    TOKEN,
    from_environment,
    from_local_server,
)
from datalad_s3ext.errors import ConfigError, CredentialsError
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.remotes import SpecialRemote

ANONYMOUS = "S3X_ANONYMOUS"
_NOBODY = Anonymous()


@dataclass(frozen=True)
class Choice:
    """What was said on the command line about credentials."""

    profile: str | None = None
    credential: str | None = None
    anonymous: bool = False

    def __post_init__(self) -> None:
        given = [
            option
            for option, value in (
                ("--profile", self.profile),
                ("--credential", self.credential),
                ("--anonymous", self.anonymous),
            )
            if value
        ]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} exclude each other", remedy="give one")

    @property
    def is_made(self) -> bool:
        """Tell whether anything was said."""
        return bool(self.profile or self.credential or self.anonymous)


class Access:
    """The identity of one command, found once and used for all data sets of a recursion.

    A credential that had to be asked for is put into DataLad's store by :meth:`keep` only. Keys of
    a local server are offered to that server alone, which is why `endpoint_url` should be given.
    """

    def __init__(
        self,
        provider: Provider,
        choice: Choice,
        endpoint_url: str | None = None,
        *,
        may_ask: bool = True,
    ) -> None:
        self.choice = choice
        self.may_ask = may_ask
        self.provider = provider
        self.endpoint_url = endpoint_url
        self._asked: _Asked | None = None
        self._keys: Keys | None = None

    def identity(self, remembered: Keys | None = None) -> Identity:
        """Return who asks.

        Parameters
        ----------
        remembered : Keys, optional
            What git-annex keeps for the remote; used when nothing was chosen, neither by an option
            nor in the environment. A local server's own word counts more.
        """
        if self.choice.is_made or os.environ.get(KEY_ID) or self._server_keys():
            remembered = None
        name = self.choice.credential
        if name and self._keys is None:
            self._asked = _Asked(name)
            self._keys = _stored_keys(name, self._asked, self.provider)
        return find_identity(
            self.provider,
            explicit=self._keys,
            profile=self.choice.profile,
            anonymous=self.choice.anonymous,
            remembered=remembered,
            endpoint_url=self.endpoint_url,
            environ=os.environ,
        )

    def describe(self, remembered: Keys | None = None) -> str:
        """Return where the keys would come from, without asking for any."""
        if self.choice.credential:
            return f"DataLad credential {self.choice.credential!r}"
        return self.identity(remembered).source

    def is_stored(self) -> bool:
        """Tell whether the chosen credential is complete in DataLad's store."""
        name = self.choice.credential
        return name is not None and _credential(name, _Asked(name), self.provider).is_known

    def gives_other(self, repo: Path, remote: SpecialRemote) -> bool:
        """Tell whether keys are given that are not those `remote` uses in this clone.

        Given are the options of the command, the ``AWS_*`` variables, and what a local server says.
        A profile that was chosen for this clone is no matter of the variables.
        """
        name = remote.enabled_as or remote.name
        chosen = {setting: remotes.get_config(repo, name, setting) for setting in local_config(_NOBODY)}
        if self.choice.profile or self.choice.anonymous:
            return chosen != local_config(self.identity())
        kept = remotes.remembered_keys(repo, remote)
        if self.choice.credential:
            if not self.may_ask:
                return True  # a dry run says that they would be looked at
            return any(chosen.values()) or _differ(self.identity(), kept)
        if chosen[remotes.PROFILE_CONFIG]:
            return False
        given = self._server_keys() or _in_environment()
        is_unused = kept is None and not chosen[remotes.ANONYMOUS_CONFIG]
        return given is not None and not is_unused and _differ(given, kept)

    def settle(self, repo: Path, name: str, remote: SpecialRemote, identity: Identity) -> None:
        """Note what `identity` means for later calls, now that it has proven good.

        Keys that git-annex keeps would win over temporary ones and over those of a local server.
        """
        record_choice(repo, name, identity)
        is_temporary = isinstance(identity, Keys) and identity.session_token is not None
        if is_temporary or (remote.is_ours and identity == self._server_keys()):
            remotes.forget_keys(repo, remote)
        self.keep()

    def _server_keys(self) -> Keys | None:
        return None if self.choice.is_made else from_local_server(self.provider, self.endpoint_url)

    def keep(self) -> None:
        """Store what was asked for in DataLad's credential store."""
        if self._asked is not None:
            self._asked.keep()


def told(identity: Identity) -> str:
    """Say with what `identity` asks, to follow "with"."""
    return "no keys (anonymous)" if isinstance(identity, Anonymous) else f"keys from {identity.source}"


def environment(identity: Identity) -> dict[str, str | None]:
    """Return the variables that make git-annex and its remotes use `identity` in one call.

    Those of other identities are removed, or they would win.
    """
    nothing = dict.fromkeys((KEY_ID, SECRET, TOKEN, PROFILE, ANONYMOUS, *EXPIRATIONS))
    match identity:
        case Keys():
            expiry = identity.expires_at.isoformat() if identity.expires_at else None
            return {
                **nothing,
                KEY_ID: identity.access_key_id,
                SECRET: identity.secret_access_key,
                TOKEN: identity.session_token,
                EXPIRATIONS[0]: expiry,
            }
        case Profile():
            return {**nothing, PROFILE: identity.name}
        case Anonymous():
            return {**nothing, ANONYMOUS: "1"}
        case _:
            return {ANONYMOUS: None}


def local_config(identity: Identity) -> dict[str, str | None]:
    """Return what the local git configuration of the remote says about `identity` from now on."""
    return {
        remotes.PROFILE_CONFIG: identity.name if isinstance(identity, Profile) else None,
        remotes.ANONYMOUS_CONFIG: "true" if isinstance(identity, Anonymous) else None,
    }


def masking_config(repo: Path, name: str, identity: Identity) -> dict[str, str]:
    """Return git configuration for one call under which an older choice for `name` has no effect.

    For a remote in use that includes the new choice: keys that git-annex keeps would win otherwise.
    """
    is_used = remotes.get_config(repo, name, "annex-uuid") is not None
    config: dict[str, str] = {}
    for setting, wanted in local_config(identity).items():
        found = remotes.get_config(repo, name, setting)
        if found != wanted and (found is not None or is_used):
            config[f"remote.{name}.{setting}"] = wanted or ""
    return config


def record_choice(repo: Path, name: str, identity: Identity) -> None:
    """Write the choice of `identity` for the remote `name` to the local git configuration."""
    for setting, value in local_config(identity).items():
        remotes.set_config(repo, name, setting, value)


def _in_environment() -> Keys | None:
    """Return the keys in the environment; half of a pair is none, others complain about it."""
    with suppress(CredentialsError):
        return from_environment(os.environ)
    return None


def _differ(given: Identity, kept: Keys | None) -> bool:
    """Tell whether `given` would not be what git-annex `kept`."""
    if not isinstance(given, Keys) or kept is None or given.session_token:
        return True
    pair = kept.access_key_id, kept.secret_access_key
    return (given.access_key_id, given.secret_access_key) != pair


def builtin_keys(identity: Identity) -> Identity:
    """Return `identity` when git-annex's built-in ``type=S3`` can use it.

    Raises
    ------
    ConfigError
        For profiles and what boto3 finds by itself.
    """
    if isinstance(identity, Keys | Anonymous):
        return identity
    raise ConfigError(
        f"git-annex's built-in type=S3 cannot use {identity.source}",
        remedy="use --remote-type s3x, or give keys by AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY or --credential",
    )


class _Asked:
    """A view of DataLad's keyring that keeps new values to itself until they have proven good."""

    def __init__(self, name: str) -> None:
        from datalad.support.keyring_ import keyring

        self._keyring: Any = keyring
        self.name = name
        self._new: dict[str, str] = {}

    def get(self, name: str, field: str) -> str | None:
        found = self._new.get(field) or self._keyring.get(name, field) or self._of_next(field)
        return str(found) if found else None

    def _of_next(self, field: str) -> object:
        """Return what `datalad credentials set NAME type=s3 key=...` of DataLad-next has stored."""
        from datalad import cfg

        if field == "key_id":
            return cfg.get(f"datalad.credential.{self.name}.key")
        return self._keyring.get(self.name, "secret") if field == "secret_id" else None

    def set(self, name: str, field: str, value: str) -> None:
        del name
        self._new[field] = value

    def keep(self) -> None:
        for field, value in self._new.items():
            self._keyring.set(self.name, field, value)
        self._new.clear()


def _stored_keys(name: str, keyring: _Asked, provider: Provider) -> Keys:
    """Return the keys of DataLad's ``aws-s3`` credential `name`; ask for what is missing.

    Raises
    ------
    CredentialsError
        When something is missing and nobody can be asked.
    """
    from datalad.ui import ui

    credential = _credential(name, keyring, provider)
    if not credential.is_known and not ui.is_interactive:
        raise CredentialsError(
            f"DataLad's store has no complete credential {name!r}",
            remedy=f"run this in a terminal to be asked for it, or set the git configuration "
            f"datalad.credential.{name}.key-id and datalad.credential.{name}.secret-id",
        )
    fields = credential()
    return Keys(
        fields["key_id"],
        fields["secret_id"],
        fields.get("session") or None,
        _moment(fields.get("expiration")),
        source=f"DataLad credential {name!r}",
    )


def _credential(name: str, keyring: _Asked, provider: Provider) -> Any:
    from datalad.downloaders.credentials import AWS_S3

    return AWS_S3(name, url=provider.help.console, keyring=keyring)


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
