"""Switching a remote to another type or place, with the same UUID and the same objects.

Translate, try, record; in this order. The trial happens in a repository that is thrown away, so what
fails there has changed nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from datalad_s3ext.commands import _access, _connect, _consent
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._checks import check_wish
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._datasets import TYPE_CONFIGS, bring_up_to_date, check_is_annex, enable
from datalad_s3ext.commands._decide import only
from datalad_s3ext.commands._extras import PAYS, agrees_to_pay, carried_choices, extras_wished
from datalad_s3ext.commands._old_versions import (
    explained,
    keys_in_old_versions,
    told_of_old_versions,
)
from datalad_s3ext.commands._settings import Change, RemoteType, Wish, split_settings, type_label
from datalad_s3ext.commands._translate import Translation, is_rclone, rclone_place, translate
from datalad_s3ext.commands._trial import Sample, Trial, draw_sample
from datalad_s3ext.credentials.model import Identity
from datalad_s3ext.errors import AccessDenied, ConfigError, IntegrityError, S3xError
from datalad_s3ext.providers.guess import guess
from datalad_s3ext.providers.load import find_file, load_provider
from datalad_s3ext.providers.resolve import Connection, resolve
from datalad_s3ext.repo import annex, remotes, trust
from datalad_s3ext.repo.keys import MARKER
from datalad_s3ext.repo.marker import read_marker
from datalad_s3ext.repo.remote_log import commit_parameters, take_over
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectStore

_ANY_PROVIDER = "other"
_YES = frozenset({"yes", "true"})


@dataclass(frozen=True)
class Target:
    """What the person asks for; ``None`` keeps what is recorded."""

    remote_type: RemoteType = "s3x"
    provider: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    endpoint: str | None = None
    region: str | None = None
    settings: Sequence[str] = ()


@dataclass(frozen=True)
class Migrated:
    """What was done, or would be."""

    status: Literal["ok", "notneeded"]
    message: str
    remote: SpecialRemote
    wish: Wish
    prefix: str = ""
    changes: Sequence[Change] = ()
    lost: Sequence[str] = ()
    checked: int = 0
    """Keys that were looked for at the new place."""
    compared: int = 0
    """Keys whose content was fetched from there and compared."""
    in_old_versions: int = 0
    """Keys that are only in old versions of files, which the remote is asked for no more."""


@dataclass(frozen=True)
class Plan:
    """How one remote is going to be recorded."""

    remote: SpecialRemote
    wish: Wish
    prefix: str
    translation: Translation
    changes: Sequence[Change]
    in_old_versions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Migration:
    """One call of the command."""

    name: str
    target: Target
    choice: Choice = field(default_factory=lambda: Choice())
    consent: Consent = field(default_factory=lambda: Consent())
    sample: int = 20
    dry_run: bool = False

    def run(self, path: Path) -> Migrated:
        """Switch the remote in the data set at `path`; on failure everything is as before.

        Raises
        ------
        S3xError
            What stood in the way.
        """
        (check_is_annex if self.dry_run else bring_up_to_date)(path)
        plan = self._plan(path)
        if not plan.changes:
            return self._outcome(plan, "notneeded", f"{self.name!r} is so already, nothing changed")
        if self.dry_run:
            lost = f"; without meaning there: {', '.join(plan.translation.lost)}"
            text = f"dry run, nothing was contacted or changed; would change {_told(plan.changes)}"
            text += lost if plan.translation.lost else ""
            return self._outcome(plan, "ok", text + _told_hidden(path, plan))
        return self._carry_out(path, plan)

    def _plan(self, path: Path) -> Plan:
        remote = only(remotes.special_remotes(path), self.name)
        name = remote.enabled_as or remote.name
        if not remote.enabled_as and name in remotes.git_remote_names(path):
            raise ConfigError(f"there is a sibling {name!r}, and it is not this special remote")
        bucket, prefix = self._objects(remote)
        wish = self._wish(path, remote, bucket)
        check_wish(wish)
        translation = translate(remote, wish, prefix)
        hidden = keys_in_old_versions(path, remote) if wish.remote_type == "s3x" else []
        changes = _differences(remote, translation.parameters)
        return Plan(remote, wish, prefix, translation, changes, hidden)

    def _objects(self, remote: SpecialRemote) -> tuple[str, str]:
        """Return (bucket, prefix); a prefix that is given is taken verbatim, as one recorded is."""
        if is_rclone(remote):
            bucket, prefix = rclone_place(remote)
        elif remote.is_s3:
            bucket, prefix = remote.bucket, remote.prefix
        else:
            raise ConfigError(
                f"{self.name!r} is a special remote of type {type_label(remote)}, not on S3",
                remedy="set up a new one with datalad s3-setup, and copy the content: "
                f"git annex copy --from {self.name} --to NEW",
            )
        return (
            self.target.bucket or bucket,
            prefix if self.target.prefix is None else self.target.prefix,
        )

    def _wish(self, path: Path, remote: SpecialRemote, bucket: str) -> Wish:
        connection, origin = self._connection(path, remote)
        settings, _ = split_settings(self.target.settings, connection.provider, self.target.remote_type)
        has_place = any(remote.parameters.get(name) for name in ("endpoint", "host"))
        return Wish(
            name=remote.enabled_as or remote.name, provider=connection.provider, connection=connection,
            bucket=bucket, remote_type=self.target.remote_type,
            record_endpoint=bool(self.target.endpoint) or has_place
            or not connection.provider.endpoint.local_server,
            encryption=remote.parameters.get("encryption"), chunk=remote.parameters.get("chunk"),
            settings=settings, notices=origin,
        )  # fmt: skip

    def _connection(self, path: Path, remote: SpecialRemote) -> tuple[Connection, tuple[str, ...]]:
        asked = self.target
        recorded = _connect.recorded_connection(remote, dataset=path) if remote.is_s3 else None
        if asked.provider is None and recorded is None:
            raise ConfigError(
                f"{self.name!r} does not say at which S3 service rclone keeps its objects",
                remedy="name the preset: datalad s3-migrate NAME PROVIDER; see datalad s3-providers",
            )
        if recorded and not (asked.provider or asked.endpoint or asked.region):
            return _with_better_preset(recorded, remote), ()
        if asked.provider:
            provider = find_file(asked.provider, dataset=path).load()
        elif asked.endpoint:
            provider = guess(asked.endpoint) or load_provider(_ANY_PROVIDER)
        else:
            provider = cast(Connection, recorded).provider
        style = recorded.addressing if recorded and not asked.provider else None
        old_place = recorded.endpoint_url if recorded else None
        region = asked.region or (recorded.region if recorded and not asked.provider else None)
        try:
            return resolve(provider, endpoint=asked.endpoint, region=region, addressing=style), ()
        except ConfigError:
            if asked.endpoint or old_place is None:
                raise
            return resolve(provider, endpoint=old_place, region=region, addressing=style), ()

    # -- with the service -------------------------------------------------------------------------

    def _carry_out(self, path: Path, plan: Plan) -> Migrated:
        if self.target.remote_type == "s3x":
            annex.check_program(remotes.PROGRAM)
        wish, remote = plan.wish, plan.remote
        access = Access(wish.provider, self.choice, wish.connection.endpoint_url)
        identity = access.identity(remotes.remembered_keys(path, remote))
        if self.target.remote_type == "S3":
            identity = _access.builtin_keys(identity)
        if not self.target.endpoint:
            self.consent.require(path, remote, wish.connection, identity)
        sample = draw_sample(path, remote, self.sample)
        commit = commit_parameters(path, remote.id, plan.translation.parameters)
        local = self._local_config(path, plan)
        env = {
            **_access.environment(identity), **_consent.environment(wish.connection, identity),
        }  # fmt: skip
        with _marker_only_if_kept(path, plan, identity):
            with Trial(path, commit, env, _trial_config(path, plan, local)) as trial:
                name = trial.enable(remote.id)
                try:
                    trial.check(name, sample)
                except IntegrityError as error:
                    raise explained(error, plan.translation.parameters) from error
            with _undone_on_failure(path, remote, wish.name, local):
                self._record(path, plan, commit, env, local, identity)
                access.settle(path, wish.name, _found(path, remote.id), identity)
                _consent.remember(path, remote, wish.connection, identity)
        if type_label(remote) != wish.remote_type:
            remotes.forget_keys(path, remote)
        text = f"{wish.name!r} switched: {_told(plan.changes)}; {_told_sample(sample)}"
        return self._outcome(plan, "ok", text + _told_hidden(path, plan), sample)

    def _record(
        self, path: Path, plan: Plan, commit: str, env: Mapping[str, str | None],
        local: Mapping[str, str], identity: Identity,
    ) -> None:  # fmt: skip
        name, remote = plan.wish.name, plan.remote
        masks = _access.masking_config(path, name, identity)
        for setting, value in local.items():
            remotes.set_local(path, setting, value)
        take_over(path, commit)
        known = remotes.special_remotes(path)
        changed = _found(path, remote.id)
        if _differences(changed, plan.translation.parameters):
            raise ConfigError(
                f"somebody else has changed {name!r} meanwhile", remedy="run the command again"
            )
        enable(path, changed, known, {}, env, {**local, **masks})

    def _local_config(self, path: Path, plan: Plan) -> dict[str, str]:
        """Return what only this clone's git configuration may say."""
        connection = plan.wish.connection
        if plan.wish.remote_type == "S3":
            return _connect.builtin_address_config(path, connection.endpoint_url)
        wanted = {
            remotes.SIGNATURE_CONFIG: "v2" if connection.signature == "v2" else None,
            PAYS: "true" if agrees_to_pay(plan.wish) else None,
        }
        return {f"remote.{plan.wish.name}.{name}": value for name, value in wanted.items() if value}

    def _outcome(
        self, plan: Plan, status: Literal["ok", "notneeded"], message: str, sample: Sample | None = None
    ) -> Migrated:
        sample = sample or Sample()
        return Migrated(
            status, message, plan.remote, plan.wish, plan.prefix, plan.changes, plan.translation.lost,
            len(sample.looked_for), len(sample.fetched), len(plan.in_old_versions),
        )  # fmt: skip


def _with_better_preset(connection: Connection, remote: SpecialRemote) -> Connection:
    """Return `connection` with the preset that knows its host, where the remote names none."""
    url = connection.endpoint_url
    known = guess(url) if url and not remote.parameters.get("provider") else None
    if known is None:
        return connection
    return resolve(known, endpoint=url, region=connection.region, addressing=connection.addressing)


def _differences(remote: SpecialRemote, wanted: Mapping[str, str]) -> list[Change]:
    """Return all that changes; git-annex's own defaults, which it adds by itself, count as nothing."""
    old = {name: value for name, value in remote.own_parameters.items() if value}
    if remote.type == "S3" == wanted.get("type"):
        defaults = {"datacenter": "US", "storageclass": "STANDARD"}
        wanted = {**{name: old[name] for name in defaults if old.get(name) == defaults[name]}, **wanted}
    names = sorted({*old, *wanted} - {"embedcreds", "s3creds", "s3xcreds"})
    return [
        Change(name, old.get(name, ""), wanted.get(name, ""))
        for name in names
        if old.get(name, "") != wanted.get(name, "")
    ]


def _trial_config(path: Path, plan: Plan, local: Mapping[str, str]) -> dict[str, str]:
    """Return git configuration under which a trial sends what the remote will send from here.

    In a trial the remote has the name that is recorded, which may be another one than in this clone.
    """
    own, there = f"remote.{plan.wish.name}.", f"remote.{plan.remote.name}."
    return {
        **remotes.local_settings(path, "annex.security."),
        **carried_choices(path, plan.wish.name, plan.remote.name),
        **{name.replace(own, there, 1): value for name, value in local.items()},
    }


def _found(path: Path, remote_id: str) -> SpecialRemote:
    return next(one for one in remotes.special_remotes(path) if one.id == remote_id)


@contextmanager
def _undone_on_failure(
    path: Path, remote: SpecialRemote, name: str, local: Iterable[str]
) -> Iterator[None]:
    """Put back what is recorded of `remote` here and for all, when something fails."""
    own = (*TYPE_CONFIGS, remotes.PROFILE_CONFIG, remotes.ANONYMOUS_CONFIG)
    settings = [*(f"remote.{name}.{setting}" for setting in own), *local]
    before = {setting: remotes.get_local(path, setting) for setting in settings}
    git_dir = remotes.git_folder(path)
    agreed = trust.agreed_places(git_dir, remote.uuid)
    try:
        yield
    except BaseException:
        for setting, value in before.items():
            remotes.set_local(path, setting, value)
        for place in {*trust.agreed_places(git_dir, remote.uuid)} - {*agreed}:
            trust.forget_place(git_dir, remote.uuid, place)
        if _found(path, remote.id).parameters != remote.parameters:
            take_over(path, commit_parameters(path, remote.id, remote.own_parameters))
        if remote.enabled_as:
            annex.confirm(path, name)
        raise


@contextmanager
def _marker_only_if_kept(path: Path, plan: Plan, identity: Identity) -> Iterator[None]:
    """Refuse a place of somebody else; take back a marker that the trial has left when it fails."""
    from datalad_s3ext.store.retrying import open_patient_store

    if plan.translation.parameters.get("exporttree") in _YES:
        yield
        return
    wish = plan.wish
    extras = extras_wished(path, wish.name, wish, plan.translation.parameters)
    with closing(open_patient_store(wish.connection, identity, wish.bucket, extras=extras)) as store:
        is_new = _is_nobodys(store, plan)
        try:
            yield
        except BaseException:
            with suppress(S3xError):
                if is_new and read_marker(store, plan.prefix) == plan.remote.uuid:
                    store.delete(plan.prefix + MARKER)
            raise


def _is_nobodys(store: ObjectStore, plan: Plan) -> bool:
    """Tell whether the place certainly has no marker yet; refuse that of another remote."""
    try:
        owner, is_known = read_marker(store, plan.prefix), True
    except AccessDenied:
        owner, is_known = None, False
    if owner not in {None, plan.remote.uuid}:
        raise ConfigError(
            f"bucket {store.bucket}, prefix {plan.prefix or '(none)'}, belongs to another special "
            f"remote ({owner})",
            remedy="check endpoint, bucket and prefix",
        )
    if owner is None and next(iter(store.list(plan.prefix)), None) is None:
        raise ConfigError(
            f"there is nothing in bucket {store.bucket} below prefix {plan.prefix or '(none)'}",
            remedy="check endpoint, bucket and prefix; objects are not moved by this command",
        )
    return is_known and owner is None


def _told_hidden(path: Path, plan: Plan) -> str:
    parameters = plan.translation.parameters
    return told_of_old_versions(path, plan.wish.name, plan.in_old_versions, parameters)


def _told(changes: Sequence[Change]) -> str:
    return ", ".join(map(str, changes))


def _told_sample(sample: Sample) -> str:
    if not sample.looked_for:
        return "no content is recorded there yet, so none was looked for"
    text = f"{len(sample.looked_for)} keys were found there"
    return f"{text}, the content of {len(sample.fetched)} was compared" if sample.fetched else text
