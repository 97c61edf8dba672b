"""From the words of a command line to what is to be examined, and what may be mended on the way."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datalad_s3ext import places
from datalad_s3ext.commands import _connect
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._checks import check_names
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._extras import extras_of, extras_said
from datalad_s3ext.commands._settings import normal_prefix, split_settings
from datalad_s3ext.credentials.chain import find_identity
from datalad_s3ext.credentials.model import Identity
from datalad_s3ext.doctor.findings import Finding, failed, of_error, ok, warning
from datalad_s3ext.doctor.subject import Subject
from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.providers.guess import guess
from datalad_s3ext.providers.load import find_all, find_file
from datalad_s3ext.providers.resolve import Connection, find_measured, resolve
from datalad_s3ext.providers.schema import Addressing, Provider, Signature
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.keys import MARKER
from datalad_s3ext.repo.remotes import SpecialRemote

_ANY_PROVIDER = "other"
_NO_BUCKET = "name"  # stands where a bucket's name is only checked together with others
_TRUE = frozenset({"true", "1", "yes", "on"})
_STYLES: Mapping[str, Addressing] = {"path": "path", "virtual": "virtual"}
_SIGNATURES: Mapping[str, Signature] = {"v4": "v4", "v2": "v2"}


@dataclass(frozen=True)
class Words:
    """What was said on the command line."""

    target: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    endpoint: str | None = None
    region: str | None = None
    settings: Sequence[str] = ()
    """As ``KEY=VALUE``."""
    choice: Choice = field(default_factory=Choice)
    fix: bool = False

    @property
    def describe_a_service(self) -> bool:
        """Tell whether more than a name was said: then a provider is meant, no sibling."""
        return bool(self.bucket or self.endpoint or self.region or self.prefix or self.settings)


@dataclass(frozen=True)
class Case:
    """One subject with what was found before anything was contacted."""

    called: str
    findings: Sequence[Finding]
    subject: Subject | None = None
    """``None`` when a finding says why nothing can be examined."""
    access: Access | None = None
    """Keeps what was asked for, once it has proven good."""


def cases(words: Words, root: Path | None) -> Iterator[Case]:
    """Yield what is to be examined: a sibling, a service, or all siblings on S3 of the data set `root`.

    Raises
    ------
    ConfigError
        When nothing fits the words.
    """
    siblings = remotes.s3_remotes(root) if root is not None and not words.describe_a_service else []
    if words.target is not None:
        meant = [one for one in siblings if words.target in {one.enabled_as, one.name, one.id}]
        meant = [one for one in meant if one.enabled_as == words.target] or meant
    else:
        meant = siblings
    if root is not None and meant:
        yield from (_of_sibling(words, root, remote) for remote in meant)
    elif words.target is None and words.endpoint is None:
        raise ConfigError(
            "there is nothing to examine: no sibling on S3 is known here",
            remedy="name a provider (datalad s3-providers lists them) or an address: --endpoint URL",
        )
    else:
        yield _of_provider(words, root)


# -- a special remote of a data set ----------------------------------------------------------------


def _of_sibling(words: Words, root: Path, remote: SpecialRemote) -> Case:
    name = remote.enabled_as or remote.name
    try:
        connection = _connect.recorded_connection(remote, dataset=root, use_measured=False)
    except ConfigError as error:
        return _unsettled(name, error, words)
    if remotes.get_config(root, name, remotes.SIGNATURE_CONFIG) == "v2":
        connection = replace(connection, signature="v2")
    access = Access(connection.provider, words.choice, connection.endpoint_url)
    subject = Subject(
        connection=connection,
        find_identity=lambda: identity_of_sibling(access, root, remote, connection),
        bucket=remote.bucket,
        prefix=remote.prefix,
        remote=name,
        uuid=remote.uuid,
        profile=words.choice.profile or remotes.get_config(root, name, remotes.PROFILE_CONFIG),
        no_keys_because="" if is_chosen(root, remote, connection) else choose_it(name),
        writable=remote.parameters.get("importtree", "no") not in _TRUE,
        known_name=remote.prefix + MARKER if remote.has_marker else "",
        find_extras=lambda: extras_of(root, remote, connection),
    )
    found = [
        _settled(subject), *_measured(connection), *_loopback(words, root, remote, connection)
    ]  # fmt: skip
    return Case(name, found, subject, access)


def is_chosen(root: Path, remote: SpecialRemote, connection: Connection) -> bool:
    """Tell whether a person on this computer said that the remote's place is right.

    Its endpoint came in with the clone: keys go there only after that, as in `s3-enable`.
    """
    if remote.enabled_as is None:
        return False
    sends_keys = remote.is_ours and not _is_anonymous(root, remote)
    if sends_keys and not Consent().is_given(root, remote, connection):
        return False
    try:
        return annex.unconfirmed(root, remote.enabled_as) is None
    except S3xError:
        return False  # it could not be found out


def choose_it(name: str) -> str:
    quoted = shlex.quote(name)
    return (
        f"see where it leads: datalad s3-enable -s {quoted} --dry-run; if that is right: datalad "
        f"s3-enable -s {quoted}, then run this again"
    )


def identity_of_sibling(
    access: Access, root: Path, remote: SpecialRemote, connection: Connection
) -> Identity:
    """Return who asks: as said on the command line, else as the remote itself would."""
    if access.choice.is_made:
        return access.identity()
    name = remote.enabled_as or remote.name
    return find_identity(
        connection.provider,
        profile=remotes.get_config(root, name, remotes.PROFILE_CONFIG),
        anonymous=_is_anonymous(root, remote),
        remembered=remotes.remembered_keys(root, remote),
        endpoint_url=connection.endpoint_url,
    )


def _is_anonymous(root: Path, remote: SpecialRemote) -> bool:
    chosen = remotes.get_config(root, remote.enabled_as or remote.name, remotes.ANONYMOUS_CONFIG) or ""
    return chosen.lower() in _TRUE or remote.parameters.get("signature") == "anonymous"


def _loopback(
    words: Words, root: Path, remote: SpecialRemote, connection: Connection
) -> Iterator[Finding]:
    """Look whether git-annex's own S3 may connect to this machine; it refuses that by default."""
    if remote.is_ours:
        return
    for setting, value in _connect.builtin_address_config(root, connection.endpoint_url).items():
        command = shlex.join(["git", "config", setting, value])
        if words.fix:
            remotes.set_local(root, setting, value)
            yield ok("settings", f"mended: {command}", fixed=setting)
        else:
            yield warning(
                "settings",
                "git-annex's built-in S3 does not connect to addresses of this machine",
                f"{command} (--fix does it)",
            )


# -- a service -------------------------------------------------------------------------------------


def _of_provider(words: Words, root: Path | None) -> Case:
    provider_id = words.target or _guessed(words.endpoint or "")
    if words.target is not None and words.target not in find_all(dataset=root):
        raise _neither(words.target, root)
    file = find_file(provider_id, dataset=root)
    provider = file.load()
    bucket = _NO_BUCKET if words.bucket is None else words.bucket
    check_names(_NO_BUCKET, bucket, words.prefix or "")
    is_local = provider.endpoint.local_server and words.endpoint is None
    started = _start_server() if words.fix and is_local else []
    try:
        connection = _resolved(words, provider)
    except ConfigError as error:
        return _unsettled(provider_id, error, words, can_fix=is_local)
    of_clone = file.origin == "data set" and words.endpoint is None
    access = Access(provider, words.choice, connection.endpoint_url)
    subject = Subject(
        connection=connection,
        find_identity=access.identity,
        bucket=words.bucket or "",
        prefix=normal_prefix(words.prefix),
        profile=words.choice.profile,
        no_keys_because=_give_it(connection) if of_clone else "",
        find_extras=lambda: extras_said(words.settings, words.bucket or _NO_BUCKET, connection),
    )
    return Case(provider_id, [*started, _settled(subject), *_measured(connection)], subject, access)


def _resolved(words: Words, provider: Provider) -> Connection:
    settings, variables = split_settings(words.settings, provider, "s3x")
    return resolve(
        provider,
        endpoint=words.endpoint,
        region=words.region,
        variables=variables,
        addressing=_STYLES.get(settings.get("requeststyle", "")),
        signature=_SIGNATURES.get(settings.get("signature", "")),
        use_measured=False,
    )


def _give_it(connection: Connection) -> str:
    return (
        "the preset came with this data set; if the address is right, give it yourself: --endpoint "
        f"{connection.endpoint_url}"
    )


def _guessed(endpoint: str) -> str:
    found = guess(endpoint)
    return found.id if found else _ANY_PROVIDER


def _neither(target: str, root: Path | None) -> ConfigError:
    names = [one.enabled_as or one.name for one in remotes.s3_remotes(root)] if root else []
    if target in names:
        return ConfigError(
            f"{target!r} is a sibling, and what was said besides goes with a PROVIDER only",
            remedy=f"leave it out: datalad s3-doctor {shlex.quote(target)}",
        )
    here = f" (siblings on S3 here: {', '.join(names) or 'none'})" if root is not None else ""
    return ConfigError(
        f"{target!r} is neither a sibling on S3{here} nor a provider",
        remedy="datalad s3-providers lists the providers; for an address, use --endpoint URL",
    )


def _start_server() -> list[Finding]:
    from datalad_s3ext import server

    home = places.server_home()
    if server.status(home) is not None:
        return []
    info = server.start(home)
    return [ok("settings", f"mended: the local server was started at {info.endpoint}", fixed="server")]


def _settled(subject: Subject) -> Finding:
    connection = subject.connection
    bucket = f", bucket {subject.bucket}" if subject.bucket else ""
    below = f", prefix {subject.prefix}" if subject.prefix else ""
    return ok(
        "settings",
        f"{subject.service}{bucket}{below}; preset {connection.provider.id}, region "
        f"{connection.region}, {connection.addressing} style, signature {connection.signature}",
        endpoint=connection.endpoint_url, preset=connection.provider.id, region=connection.region,
        addressing=connection.addressing, signature=connection.signature,
    )  # fmt: skip


def _measured(connection: Connection) -> Iterator[Finding]:
    """Tell what transfers to this endpoint follow besides the preset; here all is measured anew."""
    try:
        overlay = find_measured(connection)
    except ConfigError as error:
        yield of_error("settings", error)
        return
    if overlay is not None:
        text = f"what was measured before is in force: {overlay.text}"
        yield ok("settings", text, measured=str(overlay.path), changes=dict(overlay.changes))


def _unsettled(called: str, error: S3xError, words: Words, *, can_fix: bool = False) -> Case:
    found = of_error("settings", error)
    if can_fix and not words.fix:
        found = failed("settings", error.what, f"{error.remedy} (--fix does it)")
    return Case(called, [found])
