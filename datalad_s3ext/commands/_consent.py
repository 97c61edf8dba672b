"""Asking whether keys may go to an endpoint that only the data set names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datalad_s3ext.credentials.consent import TRUST, is_vouched_for
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile
from datalad_s3ext.errors import ConfigError, CredentialsError
from datalad_s3ext.providers.resolve import Connection, normal_endpoint
from datalad_s3ext.repo import remotes, trust
from datalad_s3ext.repo.remotes import SpecialRemote


class NotAgreed(CredentialsError):
    """There are keys, and nobody has agreed to send them there."""


@dataclass(frozen=True)
class Consent:
    """What the person who runs a command says about where keys may go."""

    endpoint: str | None = None
    """``--trust-endpoint``: the one that keys may go to."""

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            object.__setattr__(self, "endpoint", normal_endpoint(self.endpoint))

    def is_given(self, repo: Path, remote: SpecialRemote, connection: Connection) -> bool:
        """Tell whether keys may go to the endpoint of `remote` without a question."""
        url = connection.endpoint_url
        known = url == self.endpoint or is_vouched_for(connection)
        return known or url in trust.trusted_endpoints(remotes.git_folder(repo), remote.uuid)

    def is_new(self, repo: Path, remote: SpecialRemote, endpoint_url: str | None) -> bool:
        """Tell whether the option agrees to the endpoint of `remote` for the first time."""
        if self.endpoint is None or self.endpoint != endpoint_url:
            return False
        return self.endpoint not in trust.trusted_endpoints(remotes.git_folder(repo), remote.uuid)

    def require(
        self, repo: Path, remote: SpecialRemote, connection: Connection, identity: Identity
    ) -> None:
        """Make sure that `identity` may show itself to the endpoint of `remote`; ask if need be.

        Raises
        ------
        CredentialsError
            When it may not, or there are no keys to ask about.
        """
        if isinstance(identity, Anonymous) or self.is_given(repo, remote, connection):
            return
        url = str(connection.endpoint_url)
        if _is_of_profile(identity, url):
            return
        _check_there_are_keys(connection, identity)
        if not _answer(remote, url, identity):
            raise NotAgreed(
                f"no keys were sent to {url}: this dataset names it, and nobody has agreed to it here",
                remedy=f"if it is the right place for keys from {identity.source}, add "
                f"--trust-endpoint {url}",
            )

    def planned(self, repo: Path, remote: SpecialRemote, connection: Connection) -> str:
        """Return what a dry run adds: that the endpoint would have to be agreed to."""
        if self.is_given(repo, remote, connection):
            return ""
        return (
            f"; only this dataset names that endpoint: keys go there with --trust-endpoint "
            f"{connection.endpoint_url}"
        )


def remember(repo: Path, remote: SpecialRemote, connection: Connection, identity: Identity) -> None:
    """Note that keys may go to the endpoint of `remote`, now that they have."""
    if connection.endpoint_url is not None and not isinstance(identity, Anonymous):
        trust.trust_endpoint(remotes.git_folder(repo), remote.uuid, connection.endpoint_url)


def environment(connection: Connection, identity: Identity) -> dict[str, str | None]:
    """Return the variable that tells our remote of the consent, for one call of git-annex."""
    if connection.endpoint_url is None or isinstance(identity, Anonymous):
        return {}
    return {TRUST: connection.endpoint_url}


def _answer(remote: SpecialRemote, url: str, identity: Identity) -> bool:
    from datalad.ui import ui

    if not ui.is_interactive:
        return False
    text = (
        f"This dataset keeps content at {url} (bucket {remote.bucket}), a place that is not known "
        f"here. Whoever runs it sees what is sent. Send keys from {identity.source} there?"
    )
    return bool(ui.yesno(text, title=f"Remote {remote.name!r}", default=False))


def _is_of_profile(identity: Identity, url: str) -> bool:
    """Tell whether the profile itself names the endpoint."""
    if not isinstance(identity, Profile):
        return False
    from datalad_s3ext.store.sdk_settings import settings_of

    try:
        return normal_endpoint(settings_of(identity).endpoint_url or "") == url
    except (ConfigError, CredentialsError):
        return False


def _check_there_are_keys(connection: Connection, identity: Identity) -> None:
    if not isinstance(identity, Keys):
        from datalad_s3ext.store.s3_client import make_client

        make_client(connection, identity).close()
