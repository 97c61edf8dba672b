"""Enabling the S3 remotes that a clone knows: reach the bucket, see that it is the right one, enable.

Everything recorded about a remote came in with the clone. What decides is the marker object: it must
hold the remote's own UUID. That the person runs this command is what git-annex wants confirmed with
`verifyremote`; so every answer names the place, and a dry run names it before. Keys go to an endpoint
that only the clone names after a person has agreed to it, see :mod:`._consent`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from datalad_s3ext.commands import _access, _connect, _consent, _verify
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._consent import Consent, NotAgreed
from datalad_s3ext.commands._datasets import bring_up_to_date, enable, wrong_type_config
from datalad_s3ext.commands._extras import extras_of
from datalad_s3ext.commands._public import check_content_is_public, check_public_url
from datalad_s3ext.commands._verify import VerifyBy
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys
from datalad_s3ext.errors import AccessDenied, ConfigError, CredentialsError, S3xError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.marker import check_marker
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.probe import retold


@dataclass(frozen=True)
class Enabled:
    """What came of one remote."""

    status: Literal["ok", "notneeded", "impossible", "error"]
    message: str
    remote: SpecialRemote | None = None
    credential_source: str | None = None
    endpoint: str | None = None
    verify_by: VerifyBy | None = None


@dataclass(frozen=True)
class Enabler:
    """One call of the command, for all data sets of a recursion."""

    choice: Choice
    name: str | None = None
    dry_run: bool = False
    verify_by: VerifyBy | None = None
    consent: Consent = field(default_factory=Consent)

    def run(self, path: Path) -> Iterator[Enabled]:
        """Enable in the data set at `path` what was asked for, or all that can be enabled.

        One that cannot be enabled does not keep the others from it.
        """
        bring_up_to_date(path)
        known = remotes.s3_remotes(path)
        chosen = [remote for remote in known if self._is_meant(remote)]
        if not chosen:
            yield self._nothing_to_do(known)
        for remote in chosen:
            yield self._refused(remote) or self._verified(path, self._one(path, remote))

    def _is_meant(self, remote: SpecialRemote) -> bool:
        return self.name in {None, remote.name, remote.enabled_as, remote.id}

    def _nothing_to_do(self, known: list[SpecialRemote]) -> Enabled:
        if self.name is None:
            return Enabled("notneeded", "no special remote on S3 is known here")
        names = ", ".join(remote.name for remote in known) or "none"
        return Enabled(
            "impossible", f"no special remote {self.name!r} on S3 is known here; known: {names}"
        )

    def _refused(self, remote: SpecialRemote) -> Enabled | None:
        """Say no, before anything is contacted, to a verification that would not be one."""
        try:
            _verify.check_possible(self.verify_by, remote.parameters)
        except ConfigError as exc:
            text = f"{remote.name!r} was left as it is: {exc}"
            return Enabled("error" if self.name else "impossible", text, remote)
        return None

    def _one(self, path: Path, remote: SpecialRemote) -> Enabled:
        done, works = f"{remote.enabled_as!r} is enabled already", False
        try:
            name = remote.enabled_as
            works = name is not None and annex.unconfirmed(path, name) is None
            works = works and not remotes.has_moved(path, remote)
            works = works and not wrong_type_config(path, remote)
            access = self._access(path, remote)
            if works and (access is None or not self._is_told_anew(path, remote, access)):
                return Enabled("notneeded", done, remote)
            return self._enable(path, remote, access, works=works)
        except (CredentialsError, AccessDenied) as exc:
            if works and not self.name and not self.choice.is_made:
                text = f"{done}; the keys given now are not for it and were not taken: {exc}"
                return Enabled("notneeded", text, remote)
            return self._not_enabled(remote, exc)
        except S3xError as exc:
            return self._not_enabled(remote, exc)

    def _is_told_anew(self, path: Path, remote: SpecialRemote, access: Access) -> bool:
        """Tell whether other keys are given, or the word that keys may go to this endpoint."""
        agreed = self.consent.is_new(path, remote, access.endpoint_url)
        return agreed or access.gives_other(path, remote)

    def _verified(self, path: Path, enabled: Enabled) -> Enabled:
        """Switch to who shall verify what comes from a remote that is in use now, and tell who does."""
        remote, wanted = enabled.remote, self.verify_by
        if remote is None or not remote.is_ours or enabled.status not in {"ok", "notneeded"}:
            return enabled
        name = remote.enabled_as or remote.name
        current = _verify.current(path, name)
        if wanted in {None, current}:
            return replace(enabled, verify_by=current)
        if self.dry_run:
            plan = ", ".join(map(shlex.join, _verify.commands(name, wanted)))
            return replace(enabled, status="ok", message=f"{enabled.message}; would run {plan}")
        _verify.choose(path, name, wanted)
        text = f"{_verify.told(wanted)}; {enabled.message}"
        return replace(enabled, status="ok", message=text, verify_by=wanted)

    def _not_enabled(self, remote: SpecialRemote, exc: S3xError) -> Enabled:
        text = f"{remote.name!r} was not enabled: {exc}"
        return Enabled("error" if self.name else "impossible", text, remote)

    def _access(self, path: Path, remote: SpecialRemote) -> Access | None:
        """Return who asks; ``None`` when one in use cannot be reached now and nobody was chosen."""
        try:
            connection = _connect.agreed_connection(remote, dataset=path)
        except ConfigError:
            if remote.enabled_as is None or self.choice.is_made:
                raise
            return None
        return Access(
            connection.provider, self.choice, connection.endpoint_url, may_ask=not self.dry_run
        )

    def _enable(
        self, path: Path, remote: SpecialRemote, access: Access | None, *, works: bool
    ) -> Enabled:
        name = remote.enabled_as or remote.name
        if not remote.enabled_as and name in remotes.git_remote_names(path):
            raise ConfigError(
                f"there is a sibling {name!r} already, and it is not this special remote",
                remedy="rename it: git remote rename OLD NEW",
            )
        if remote.is_ours:
            annex.check_program(remotes.PROGRAM)
        connection = _connect.agreed_connection(remote, dataset=path)
        if self.dry_run:
            text = f"dry run; would enable {name!r}: {_where(remote, connection)}"
            text += self.consent.planned(path, remote, connection)
            return Enabled("ok", text, remote, endpoint=connection.endpoint_url)
        access = access or Access(connection.provider, self.choice, connection.endpoint_url)
        kept = remotes.remembered_keys(path, remote)
        may_be_nobody = not self.choice.is_made and not works

        def check(identity: Identity) -> None:
            self.consent.require(path, remote, connection, identity)
            _check_anyhow(path, remote, connection, identity, is_proven=not may_be_nobody)

        identity, unused = _working_identity(access, kept, check, may_be_nobody=may_be_nobody)
        identity = identity if remote.is_ours else _access.builtin_keys(identity)
        _hand_over(path, remote, name, connection, identity)
        access.settle(path, name, remote, identity)
        _consent.remember(path, remote, connection, identity)
        text = _success(name, _where(remote, connection), identity, keys_replaced=works)
        return Enabled("ok", text + unused, remote, identity.source, connection.endpoint_url)


def _working_identity(
    access: Access, kept: Keys | None, check: Callable[[Identity], None], *, may_be_nobody: bool
) -> tuple[Identity, str]:
    """Return an identity that passes `check`: may show itself there, and can read the bucket.

    Keys that are found come first; when they are of no use here, nobody's, where that is allowed.
    Then it is also told, for the end of a message, why not the keys, if there are some.
    """
    try:
        identity = access.identity(kept)
        check(identity)
    except (CredentialsError, AccessDenied) as refused:
        if not may_be_nobody:
            raise
        try:
            check(Anonymous())
        except S3xError:
            raise refused from None
        has_keys = isinstance(refused, NotAgreed | AccessDenied)
        return Anonymous(), f"; the keys that are here are not used: {refused}" if has_keys else ""
    return identity, ""


def _check_anyhow(
    path: Path, remote: SpecialRemote, connection: Connection, identity: Identity, *, is_proven: bool
) -> None:
    """Make sure that `identity` can read the bucket; for nobody's, ``publicurl`` is as good.

    `is_proven` is that of `_check_reading`.
    """
    try:
        _check_reading(path, remote, connection, identity, is_proven=is_proven)
    except S3xError as refused:
        if not isinstance(identity, Anonymous) or "publicurl" not in remote.parameters:
            raise
        try:
            check_public_url(path, remote)
        except S3xError as error:
            what = f"{refused.what}; its publicurl cannot be read either: {error.what}"
            raise retold(refused, what, error.remedy or refused.remedy) from error


def _check_reading(
    path: Path, remote: SpecialRemote, connection: Connection, identity: Identity, *, is_proven: bool
) -> None:
    """Make sure that `identity` can reach the bucket.

    Nobody in particular must also be seen to read content, where nobody has said so (`is_proven`):
    services let some list what they may not read.
    """
    from datalad_s3ext.store.probe import probe
    from datalad_s3ext.store.retrying import open_patient_store

    extras = extras_of(path, remote, connection)
    with closing(open_patient_store(connection, identity, remote.bucket, extras=extras)) as store:
        if remote.has_marker:
            check_marker(store, remote.prefix, remote.uuid)
        else:
            probe(store, prefix=remote.prefix, may_create_bucket=False, writable=False)
            if isinstance(identity, Anonymous) and not is_proven:
                check_content_is_public(path, remote, store)


def _hand_over(
    path: Path, remote: SpecialRemote, name: str, connection: Connection, identity: Identity
) -> None:
    """Have git-annex enable `remote`, and note what belongs to this clone only."""
    builtin = not remote.is_ours
    local = _connect.builtin_address_config(path, connection.endpoint_url) if builtin else {}
    masks = _access.masking_config(path, name, identity)
    env = {**_access.environment(identity), **_consent.environment(connection, identity)}
    enable(path, remote, remotes.special_remotes(path), {}, env, {**local, **masks})
    for setting, value in local.items():
        remotes.set_local(path, setting, value)


def _where(remote: SpecialRemote, connection: Connection) -> str:
    prefix = f", prefix {remote.prefix}," if remote.prefix else ""
    service = connection.endpoint_url or connection.provider.name
    return f"bucket {remote.bucket}{prefix} at {service}"


def _success(name: str, where: str, identity: Identity, *, keys_replaced: bool) -> str:
    did = "is enabled already, keys replaced" if keys_replaced else "enabled"
    text = f"{name!r} {did}: {where} with {_access.told(identity)}"
    if isinstance(identity, Keys) and identity.session_token:
        text += "; these keys are temporary and are not kept: have them in the environment"
    return f"{text}; next: datalad get FILE"
