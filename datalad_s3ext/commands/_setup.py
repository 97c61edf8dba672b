"""Setting up one remote in one data set: decide, probe, record; in this order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from datalad_s3ext.commands import _access, _connect, _consent, _verify
from datalad_s3ext.commands._access import Access
from datalad_s3ext.commands._datasets import bring_up_to_date, check_is_annex, enable
from datalad_s3ext.commands._decide import Existing, Verdict, changed_parameters, decide, only
from datalad_s3ext.commands._extras import PAYS, agrees_to_pay, extras_wished
from datalad_s3ext.commands._public import is_public_url_of
from datalad_s3ext.commands._settings import Wish, normal_prefix, parameters_of
from datalad_s3ext.commands._verify import VerifyBy
from datalad_s3ext.credentials.model import Identity, Keys
from datalad_s3ext.errors import AccessDenied, ConfigError, CredentialsError, S3xError
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.keys import MARKER
from datalad_s3ext.repo.marker import check_marker, read_marker
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.probe import about_new_bucket, probe, retold

Autoenable = Literal["auto", "yes", "no"]
NEXT = "; next: "
"""After it, at the end of a message, stands what to type next."""


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
    verify_by: VerifyBy | None = None


@dataclass(frozen=True)
class Setup:
    """One call of the command, for all data sets of a recursion."""

    wish: Wish
    access: Access
    existing: Existing = "error"
    autoenable: Autoenable = "auto"
    dry_run: bool = False
    verify_by: VerifyBy | None = None
    other_way_of: str | None = None
    """A remote in use here with the same content: this one becomes another way to it."""

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
        if self.wish.remote_type == "s3x":
            annex.check_program(remotes.PROGRAM)
        known, names = remotes.special_remotes(path), remotes.git_remote_names(path)
        known = self._without_other_way(known)
        verdict = decide(known, names, self.wish, wanted, self.existing)
        verdict = self._even_if_nothing_changes(path, verdict)
        self._check_verification(path, wanted, verdict)
        if verdict.step == "nothing":
            return self._only_verification(path, prefix, verdict)
        if self.dry_run:
            return self._plan(path, prefix, wanted, verdict)
        return self._carry_out(path, prefix, wanted, verdict)

    def _without_other_way(self, known: Sequence[SpecialRemote]) -> list[SpecialRemote]:
        """Return all of `known` but the remote that this one is another way of.

        Raises
        ------
        ConfigError
            This one is there already, and has other content.
        """
        if self.other_way_of is None:
            return list(known)
        other = only(known, self.other_way_of)
        for one in known:
            if self.wish.name in {one.name, one.enabled_as} and one.uuid != other.uuid:
                raise ConfigError(
                    f"there is a remote {self.wish.name!r} already, and it is not another way to what "
                    f"{self.other_way_of!r} has",
                    remedy="give another name",
                )
        return [one for one in known if one.id != other.id]

    def _even_if_nothing_changes(self, path: Path, verdict: Verdict) -> Verdict:
        """Return what is left to do when all parameters are as wished.

        Other keys may have been given, or git-annex or we wait for a word that the place is right.
        """
        remote = verdict.remote
        if verdict.step != "nothing" or verdict.changes or remote is None:
            return verdict
        if self.existing == "reconfigure" or self.access.gives_other(path, remote):
            return replace(verdict, step="keys")
        name = remote.enabled_as or remote.name
        if self.dry_run or not (annex.unconfirmed(path, name) or remotes.has_moved(path, remote)):
            return verdict
        return replace(verdict, step="enable")

    def _name(self, verdict: Verdict) -> str:
        """Return the name of the git remote."""
        return (verdict.remote and verdict.remote.enabled_as) or self.wish.name

    def _check_verification(self, path: Path, wanted: Mapping[str, str], verdict: Verdict) -> None:
        """Refuse a remote whose content s3x shall verify, now or since earlier, and could not."""
        by = self.verify_by or _verify.current(path, self._name(verdict))
        recorded = verdict.remote.parameters if verdict.remote else wanted
        for parameters in (recorded, wanted):
            _verify.check_possible(by, parameters)

    def _verify_commands(self, path: Path, verdict: Verdict) -> list[list[str]]:
        """Return the git commands that bring about who shall verify."""
        name, by = self._name(verdict), self.verify_by
        if by in {None, _verify.current(path, name)}:
            return []
        return _verify.commands(name, by)

    def _only_verification(self, path: Path, prefix: str, verdict: Verdict) -> Outcome:
        """Return what is to be said when all is as wished, but for who verifies, which is changed."""
        remote, by = verdict.remote, self.verify_by
        name, plan = self._name(verdict), self._verify_commands(path, verdict)
        current = _verify.current(path, name)
        unchanged = Outcome(
            "notneeded", verdict.message, remote.uuid if remote else None, prefix, verify_by=current
        )
        if by is None or not plan or verdict.changes:
            return unchanged
        if self.dry_run:
            planned = list(map(shlex.join, plan))
            text = f"dry run, nothing was changed; would: {'; '.join(planned)}"
            return replace(unchanged, status="ok", message=text, planned=planned)
        _verify.choose(path, name, by)
        text = f"{verdict.message} but this: {_verify.told(by)}"
        return replace(unchanged, status="ok", message=text, verify_by=by)

    def _wanted(self, prefix: str) -> dict[str, str]:
        wanted = parameters_of(self.wish, prefix)
        if self.autoenable != "auto":
            wanted["autoenable"] = "true" if self.autoenable == "yes" else "false"
        return wanted

    def _carry_out(
        self, path: Path, prefix: str, wanted: Mapping[str, str], verdict: Verdict
    ) -> Outcome:
        from datalad_s3ext.store.retrying import open_patient_store

        known = verdict.remote
        identity = self.access.identity(remotes.remembered_keys(path, known) if known else None)
        if self.wish.remote_type == "S3":
            _access.builtin_keys(identity)
        extras = extras_wished(path, self._name(verdict), self.wish, wanted)
        store = open_patient_store(self.wish.connection, identity, self.wish.bucket, extras=extras)
        with closing(store), _kept_keys_stay(verdict):
            report = probe(
                store,
                prefix=prefix,
                may_create_bucket=known is None and self.wish.writable,
                writable=self.wish.writable,
                known_name=prefix + MARKER,
            )
            self._check_owner(path, store, prefix, known)
        with _in_our_words(self.wish.bucket, bucket_created=bool(report.bucket_created)):
            uuid = self._record(path, wanted, verdict, identity)
        outcome = Outcome(
            "ok", "", uuid, prefix, identity.source, bool(report.bucket_created), probed=True
        )
        outcome = replace(
            outcome,
            autoenable=self._autoenable(path, verdict, outcome, identity),
            verify_by=_verify.current(path, self._name(verdict)),
        )
        return replace(outcome, message=_success(self.wish, verdict, outcome, identity))

    def _check_owner(
        self, path: Path, store: ObjectStore, prefix: str, known: SpecialRemote | None
    ) -> None:
        if known is not None:
            if known.has_marker:
                check_marker(store, prefix, known.uuid)
            return
        owner = None
        with suppress(AccessDenied):  # keys that may not list are refused for what is absent, too
            owner = read_marker(store, prefix) if self.wish.writable else None
        if owner is None:
            return
        here = [remote.name for remote in remotes.special_remotes(path) if remote.uuid == owner]
        whose = f"special remote {here[0]!r}" if here else f"another special remote ({owner})"
        raise ConfigError(
            f"bucket {self.wish.bucket} keeps the content of {whose} below prefix {prefix or '(none)'}",
            remedy=f"use that one (--name {shlex.quote(here[0])}), or give another --prefix"
            if here
            else "give another --prefix; in a clone that knows that remote, use s3-enable",
        )

    def _record(
        self, path: Path, wanted: Mapping[str, str], verdict: Verdict, identity: Identity
    ) -> str:
        """Have git-annex record the remote and return its UUID."""
        known, name = verdict.remote, self._name(verdict)
        local = self._local_config(path, name)
        config = {**local, **_access.masking_config(path, name, identity)}
        connection = self.wish.connection
        env = {**_access.environment(identity), **_consent.environment(connection, identity)}
        if known is None:
            same = {"--sameas": self.other_way_of} if self.other_way_of else {}
            annex.init_remote(path, name, {**wanted, **same}, env=env, config=config)
            known = only(remotes.special_remotes(path), name)
        else:
            changed = changed_parameters(verdict.changes, wanted)
            enable(path, known, remotes.special_remotes(path), changed, env, config)
        for setting, value in local.items():
            remotes.set_local(path, setting, value)
        self.access.settle(path, name, known, identity)
        _consent.remember(path, known, connection, identity)
        if self.verify_by is not None:
            _verify.choose(path, name, self.verify_by)
        return known.uuid

    def _local_config(self, path: Path, name: str) -> dict[str, str]:
        """Return what only this clone's git configuration may say, for our remote and built-in."""
        if self.wish.remote_type == "S3":
            return _connect.builtin_address_config(path, self.wish.connection.endpoint_url)
        weak = self.wish.connection.signature == "v2"
        local = {f"remote.{name}.{remotes.SIGNATURE_CONFIG}": "v2"} if weak else {}
        return local | ({f"remote.{name}.{PAYS}": "true"} if agrees_to_pay(self.wish) else {})

    def _autoenable(
        self, path: Path, verdict: Verdict, outcome: Outcome, identity: Identity
    ) -> bool | None:
        """Have clones enable the remote by themselves, when everybody can read it."""
        if verdict.step != "create" or outcome.uuid is None:
            return None
        if self.autoenable != "auto":
            return self.autoenable == "yes"
        if not self._is_public(path, outcome.prefix, outcome.uuid):
            return False
        annex.enable_remote(
            path, self.wish.name, {"autoenable": "true"}, env=_access.environment(identity)
        )
        return True

    def _is_public(self, path: Path, prefix: str, uuid: str) -> bool:
        """Tell whether it is proven that everybody can read; built-in reads from publicurl only."""
        wish = self.wish
        if wish.remote_type == "s3x" and _connect.anonymous_can_read(
            wish.connection, wish.bucket, prefix, uuid
        ):
            return True
        return is_public_url_of(path, only(remotes.special_remotes(path), wish.name))

    def _plan(self, path: Path, prefix: str, wanted: Mapping[str, str], verdict: Verdict) -> Outcome:
        """Say what would be done; nothing is contacted or written."""
        wish, known = self.wish, verdict.remote
        if known is None:
            command = annex.remote_command("initremote", wish.name, wanted)
        else:
            changed = changed_parameters(verdict.changes, wanted)
            command = annex.remote_command("enableremote", known.name, changed)
        config = self._local_config(path, wish.name)
        source = self.access.describe(remotes.remembered_keys(path, known) if known else None)
        planned = [
            f"contact {wish.connection.endpoint_url or wish.provider.name} with {source}",
            f"{'write, read back and delete' if wish.writable else 'read'} a test object below "
            f"{wish.bucket}/{prefix}"
            + (", creating the bucket if it is not there" if known is None else ""),
            shlex.join(["git", "annex", *command]),
            *(shlex.join(["git", "config", *setting]) for setting in config.items()),
            *map(shlex.join, self._verify_commands(path, verdict)),
        ]
        message = f"dry run, nothing was contacted or changed; would: {'; '.join(planned)}"
        uuid = known.uuid if known else None
        return Outcome("ok", message, uuid, prefix, source, planned=planned)


def _success(wish: Wish, verdict: Verdict, outcome: Outcome, identity: Identity) -> str:
    did = {"create": "set up", "enable": "enabled", "keys": "already set up, keys replaced"}.get(
        verdict.step, "reconfigured"
    )
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
    return f"{text}{NEXT}{_next_step(wish)}"


def _next_step(wish: Wish) -> str:
    """Return what a person types next."""
    name = shlex.quote(wish.name)
    if not wish.writable:
        return f"git annex import main --from {name}"
    is_tree = wish.settings.get("exporttree") in {"yes", "true"}
    return f"datalad s3-export -s {name}" if is_tree else f"datalad push --to {name}"


@contextmanager
def _kept_keys_stay(verdict: Verdict) -> Iterator[None]:
    """Say of keys that should replace others and are refused that those stay in use."""
    try:
        yield
    except (AccessDenied, CredentialsError) as error:
        if verdict.step != "keys":
            raise
        raise retold(error, f"the keys were not replaced: {error.what}", error.remedy) from error


@contextmanager
def _in_our_words(bucket: str, *, bucket_created: bool) -> Iterator[None]:
    """Translate git-annex's refusal for those who typed our command; tell of a bucket that is new."""
    try:
        yield
    except S3xError as error:
        said = error.what.replace("fileprefix=NAME/", "--prefix NAME")
        told = retold(error, said, error.remedy)
        raise about_new_bucket(told, bucket) if bucket_created else told from error
