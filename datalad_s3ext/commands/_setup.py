"""Setting up one remote in one data set: decide, probe, record; in this order."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from datalad_s3ext.commands import _access, _connect
from datalad_s3ext.commands._access import Access
from datalad_s3ext.commands._datasets import bring_up_to_date, check_is_annex, enable
from datalad_s3ext.commands._settings import (
    Change,
    Wish,
    changes_to,
    normal_prefix,
    parameters_of,
    type_label,
    unchangeable,
)
from datalad_s3ext.credentials.model import Identity, Keys
from datalad_s3ext.errors import AccessDenied, ConfigError
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.keys import MARKER
from datalad_s3ext.repo.marker import check_marker, read_marker
from datalad_s3ext.repo.remotes import SpecialRemote, service_host
from datalad_s3ext.store.base import ObjectStore

Existing = Literal["skip", "error", "reconfigure"]
Autoenable = Literal["auto", "yes", "no"]
Step = Literal["create", "enable", "reconfigure", "nothing"]


@dataclass(frozen=True)
class Verdict:
    """What is to be done."""

    step: Step
    remote: SpecialRemote | None = None
    changes: Sequence[Change] = ()
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """What was done."""

    status: Literal["ok", "notneeded"]
    message: str
    uuid: str | None = None
    prefix: str = ""
    credential_source: str | None = None
    bucket_created: bool = False
    probed: bool = False
    autoenable: bool | None = None
    planned: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Setup:
    """One call of the command, for all data sets of a recursion."""

    wish: Wish
    access: Access
    existing: Existing = "error"
    autoenable: Autoenable = "auto"
    dry_run: bool = False

    def run(self, path: Path, below: str = "") -> Outcome:
        """Set the remote up in the data set at `path`; on failure nothing is recorded.

        Parameters
        ----------
        path : Path
            The data set.
        below : str, optional
            Its path in the data set that the command was given; extends the prefix.

        Raises
        ------
        S3xError
            What stood in the way, and what to do about it.
        """
        prefix = normal_prefix(self.wish.prefix, below)
        wanted = self._wanted(prefix)
        (check_is_annex if self.dry_run else bring_up_to_date)(path)
        known, names = remotes.special_remotes(path), remotes.git_remote_names(path)
        verdict = decide(known, names, self.wish, wanted, self.existing)
        if self._is_only_unconfirmed(path, verdict):
            verdict = replace(verdict, step="enable")
        if verdict.step == "nothing":
            uuid = verdict.remote.uuid if verdict.remote else None
            return Outcome("notneeded", verdict.message, uuid, prefix)
        if self.dry_run:
            return self._plan(path, prefix, wanted, verdict)
        return self._carry_out(path, prefix, wanted, verdict)

    def _is_only_unconfirmed(self, path: Path, verdict: Verdict) -> bool:
        """Tell whether all is as wished, but git-annex waits for a word that the place is right."""
        remote = verdict.remote
        if verdict.step != "nothing" or verdict.changes or remote is None or self.dry_run:
            return False
        return annex.unconfirmed(path, remote.enabled_as or remote.name) is not None

    def _wanted(self, prefix: str) -> dict[str, str]:
        wanted = parameters_of(self.wish, prefix)
        if self.autoenable != "auto":
            wanted["autoenable"] = "true" if self.autoenable == "yes" else "false"
        return wanted

    def _carry_out(
        self, path: Path, prefix: str, wanted: Mapping[str, str], verdict: Verdict
    ) -> Outcome:
        from datalad_s3ext.store.probe import probe
        from datalad_s3ext.store.retrying import open_patient_store

        known = verdict.remote
        identity = self.access.identity(remotes.remembered_keys(path, known) if known else None)
        if self.wish.remote_type == "S3":
            _access.builtin_keys(identity)
        with closing(open_patient_store(self.wish.connection, identity, self.wish.bucket)) as store:
            report = probe(
                store,
                prefix=prefix,
                may_create_bucket=known is None,
                writable=self.wish.writable,
                known_name=prefix + MARKER,
            )
            self._check_owner(store, prefix, known)
        uuid = self._record(path, wanted, verdict, identity)
        outcome = Outcome(
            "ok", "", uuid, prefix, identity.source, bool(report.bucket_created), probed=True
        )
        outcome = replace(outcome, autoenable=self._autoenable(path, verdict, outcome, identity))
        return replace(outcome, message=_success(self.wish, verdict, outcome, identity))

    def _check_owner(self, store: ObjectStore, prefix: str, known: SpecialRemote | None) -> None:
        if known is not None:
            if known.has_marker:
                check_marker(store, prefix, known.uuid)
            return
        owner = None
        with suppress(AccessDenied):  # keys that may not list are refused for what is absent, too
            owner = read_marker(store, prefix) if self.wish.writable else None
        if owner is not None:
            raise ConfigError(
                f"bucket {self.wish.bucket} keeps the content of another special remote "
                f"({owner}) below prefix {prefix or '(none)'}",
                remedy="give another --prefix; in a clone that knows that remote, use s3-enable",
            )

    def _record(
        self, path: Path, wanted: Mapping[str, str], verdict: Verdict, identity: Identity
    ) -> str:
        """Have git-annex record the remote and return its UUID."""
        known = verdict.remote
        name = (known and known.enabled_as) or self.wish.name
        local = self._local_config(path, name)
        config = {**local, **_access.masking_config(path, name, identity)}
        env = _access.environment(identity)
        if known is None:
            annex.init_remote(path, name, wanted, env=env, config=config)
            known = _only(remotes.special_remotes(path), name)
        else:
            changed = changed_parameters(verdict.changes, wanted)
            enable(path, known, remotes.special_remotes(path), changed, env, config)
        for setting, value in local.items():
            remotes.set_local(path, setting, value)
        _access.record_choice(path, name, identity)
        self.access.keep()
        return known.uuid

    def _local_config(self, path: Path, name: str) -> dict[str, str]:
        """Return what only this clone's git configuration may say, for our remote and built-in."""
        if self.wish.remote_type == "S3":
            return _connect.builtin_address_config(path, self.wish.connection.endpoint_url)
        weak = self.wish.settings.get("signature") == "v2"
        return {f"remote.{name}.{remotes.SIGNATURE_CONFIG}": "v2"} if weak else {}

    def _autoenable(
        self, path: Path, verdict: Verdict, outcome: Outcome, identity: Identity
    ) -> bool | None:
        """Have clones enable the remote by themselves, when everybody can read it."""
        if verdict.step != "create" or outcome.uuid is None:
            return None
        if self.autoenable != "auto":
            return self.autoenable == "yes"
        needs_url = self.wish.remote_type == "S3" and "publicurl" not in self.wish.settings
        if needs_url or not _connect.anonymous_can_read(
            self.wish.connection, self.wish.bucket, outcome.prefix, outcome.uuid
        ):
            return False
        annex.enable_remote(
            path, self.wish.name, {"autoenable": "true"}, env=_access.environment(identity)
        )
        return True

    def _plan(self, path: Path, prefix: str, wanted: Mapping[str, str], verdict: Verdict) -> Outcome:
        """Say what would be done; nothing is contacted or written."""
        wish, known = self.wish, verdict.remote
        if known is None:
            command = annex.remote_command("initremote", wish.name, wanted)
        else:
            changed = changed_parameters(verdict.changes, wanted)
            command = annex.remote_command("enableremote", known.name, changed)
        config = self._local_config(path, wish.name)
        source = self.access.describe()
        planned = [
            f"contact {wish.connection.endpoint_url or wish.provider.name} with {source}",
            f"{'write, read back and delete' if wish.writable else 'read'} a test object below "
            f"{wish.bucket}/{prefix}"
            + (", creating the bucket if it is not there" if known is None else ""),
            shlex.join(["git", "annex", *command]),
            *(shlex.join(["git", "config", *setting]) for setting in config.items()),
        ]
        message = f"dry run, nothing was contacted or changed; would: {'; '.join(planned)}"
        uuid = known.uuid if known else None
        return Outcome("ok", message, uuid, prefix, source, planned=planned)


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
    remote = _only(known, wish.name) if _named(known, wish.name) else None
    if (remote is None or remote.enabled_as is None) and wish.name in git_names:
        raise ConfigError(
            f"there is a sibling {wish.name!r} already, and it is no special remote",
            remedy="give another name with --name",
        )
    if remote is None:
        _check_place(known, wanted)
        return Verdict("create")
    _check_type(remote, wish)
    changes = changes_to(remote, wanted, asked=wish)
    if not changes and remote.enabled_as:
        return Verdict("nothing", remote, message=f"{wish.name!r} already set up, nothing changed")
    return _resolve_existing(remote, changes, existing) if changes else Verdict("enable", remote)


def _resolve_existing(remote: SpecialRemote, changes: Sequence[Change], existing: Existing) -> Verdict:
    differences = ", ".join(map(str, changes))
    if existing == "skip":
        text = f"{remote.name!r} exists with other settings and was left alone: {differences}"
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
            remedy=f"leave it with --remote-type {is_type}, or add a second way to the same "
            f"content: git annex initremote NEWNAME --sameas={wish.name} type=...",
        )


def _check_place(known: Sequence[SpecialRemote], wanted: Mapping[str, str]) -> None:
    place = (service_host(wanted), wanted["bucket"].lower(), wanted.get("fileprefix", ""))
    for other in known:
        if other.is_s3 and other.place == place:
            raise ConfigError(
                f"bucket {other.bucket}, prefix {other.prefix or '(none)'}, keeps the content of "
                f"special remote {other.name!r} already",
                remedy=f"use that one (--name {other.name}), or give another --prefix",
            )


def _named(known: Iterable[SpecialRemote], name: str) -> list[SpecialRemote]:
    """Return the remote in use under `name`, else all recorded under it."""
    remote_list = list(known)
    used = [remote for remote in remote_list if remote.enabled_as == name]
    return used or [remote for remote in remote_list if remote.name == name]


def _only(known: Iterable[SpecialRemote], name: str) -> SpecialRemote:
    found = _named(known, name)
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


def _success(wish: Wish, verdict: Verdict, outcome: Outcome, identity: Identity) -> str:
    did = {"create": "set up", "enable": "enabled"}.get(verdict.step, "reconfigured")
    where = f"bucket {wish.bucket}"
    if outcome.bucket_created:
        where += " (created)"
    if outcome.prefix:
        where += f", prefix {outcome.prefix},"
    text = f"{wish.name!r} {did}: {where} at {wish.connection.endpoint_url or wish.provider.name}"
    if verdict.changes:
        text += f"; changed {', '.join(map(str, verdict.changes))}"
    if isinstance(identity, Keys) and identity.session_token:
        text += "; these keys are temporary and are not kept: have them in the environment"
    return f"{text}; next: {next_step(wish.name, writable=wish.writable)}"


def next_step(name: str, *, writable: bool) -> str:
    """Return what a person types next."""
    return f"datalad push --to {name}" if writable else f"git annex import main --from {name}"
