"""Copying content by key from one S3 remote to another; recorded key by key, after it was confirmed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Literal

from datalad_s3ext.commands import _connect, _consent
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._decide import only
from datalad_s3ext.commands._recorder import recorder
from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    IntegrityError,
    NotFound,
    ObjectNotFound,
    S3xError,
    TransientError,
    Unsupported,
)
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.remote.local import read_choices
from datalad_s3ext.remote.recorded import parameters_as_ours
from datalad_s3ext.remote.settings import RemoteSettings, read_settings
from datalad_s3ext.remote.storing import archive_classes, extras_for, rules_for, upload_rules
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.content_ids import digests_from_server, upload_facts
from datalad_s3ext.repo.digests import key_digest
from datalad_s3ext.repo.folders import annex_folder, as_file_name
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.repo.known_keys import contradicts, is_content_of
from datalad_s3ext.repo.marker import check_marker
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectInfo
from datalad_s3ext.store.extras import Extras
from datalad_s3ext.transfer.across import (
    Digest,
    End,
    compare_copy,
    confirm_copy,
    copy_at_server,
    stream,
)
from datalad_s3ext.transfer.journal import Journals
from datalad_s3ext.transfer.likeness import shown_alike
from datalad_s3ext.transfer.pool import Pool, interruptible_sleep

Way = Literal["auto", "server", "stream"]
_OFF = frozenset({"", "no", "false", "none", "0"})
KEY, READ_BACK, PIECES, SIZE = "key", "read back", "pieces", "size"
_FOUND = {
    KEY: "compared with its key",
    READ_BACK: "read back and compared",
    PIECES: "its key holds no checksum; its pieces were compared on the way",
    SIZE: "only its size could be compared: run it with --verify, too, which reads it back",
}
"""What to say of a key that is at the target, by what that rests on."""


@dataclass(frozen=True)
class Wanted:
    """A key, and a file that has it; ``None`` when all keys are copied."""

    key: str
    file: str | None = None
    is_recorded: bool = False
    """The location log says that the target has it."""


@dataclass(frozen=True)
class Copied:
    """What became of one key."""

    wanted: Wanted
    status: Literal["ok", "notneeded", "error"]
    message: str
    way: str | None = None
    compared_by: str | None = None
    """What it rests on that the target has the content: `KEY`, `READ_BACK`, `PIECES`, `SIZE`, or the
    name of what the service says of both objects alike: a checksum, or ``ETag``."""
    is_lost: bool = False
    """It was recorded as being at the target, which certainly does not have it, or has it wrong."""


@dataclass(frozen=True)
class Side:
    """An open remote."""

    remote: SpecialRemote
    connection: Connection
    end: End
    settings: RemoteSettings
    extras: Extras

    def end_for(self, key: str, size_bytes: int) -> End:
        """Return how the content of `key` is stored there, in its storage class."""
        classes = archive_classes(self.connection.provider)
        rules = rules_for(self.end.rules, self.settings, classes, key=key, size_bytes=size_bytes)
        return End(self.end.store, rules)

    def name_of(self, key: str) -> str:
        """Return the name of the object that holds `key`."""
        return self.remote.prefix + key

    def find(self, key: str) -> ObjectInfo | None:
        """Return the object that holds `key`, whole; ``None`` when there is certainly none."""
        try:
            found = self.end.store.describe(self.name_of(key))
        except ObjectNotFound:
            return None
        size = parse_key(key).stored_bytes
        return found if size in {None, found.size_bytes} else None

    def holds(self, key: str, info: ObjectInfo) -> bool | None:
        """Tell whether an object holds `key`, by what the service says; ``None``: unknown."""
        facts = upload_facts(self.connection.provider.upload, self.end.store.bucket)
        told = digests_from_server(info, facts)
        if contradicts(key, info.size_bytes, told):
            return False
        return True if is_content_of(key, info.size_bytes, told) else None


@dataclass
class Copy:
    """One call of the command: keys from `source` to `target`."""

    path: Path
    source: Side
    target: Side
    way: Way = "auto"
    jobs: int = 4
    verify: bool = False
    """Read back each copy and compare it."""
    stop: Event = field(default_factory=Event)
    """Set at the end, and before it when no more is wanted: what is under way is then taken back."""

    def __post_init__(self) -> None:
        self._pool = Pool(cancelled=self.stop)
        kept = annex_folder(remotes.git_folder(self.path)) / "s3x"
        self._journals = Journals(kept / as_file_name(self.target.remote.uuid))

    def run(self, keys: Sequence[Wanted]) -> Iterator[Copied]:
        """Copy `keys`; yield each as soon as its outcome is known and recorded."""
        with (
            recorder(self.path, self.target.remote.uuid) as record,
            ThreadPoolExecutor(self.jobs) as workers,
        ):
            futures = [workers.submit(self._one, wanted) for wanted in keys]
            try:
                for future in as_completed(futures):
                    done = future.result()
                    if done.status != "error" or done.is_lost:
                        record(done.wanted.key, is_present=not done.is_lost)
                    yield done
            finally:
                self.stop.set()
                for future in futures:
                    future.cancel()

    def _one(self, wanted: Wanted) -> Copied:
        key, is_lost = wanted.key, False
        try:
            self._pool.check()
            if by := self._is_there(key):
                return Copied(wanted, "notneeded", f"is there already; {_told(by)}", compared_by=by)
            is_lost = wanted.is_recorded
            found = self.source.find(key)
            if found is None:
                raise IntegrityError(f"{self.source.remote.name} does not have {key}, or not whole")
            way, by = self._copy(key, found)
        except S3xError as error:
            text = self._lost(error) if is_lost else str(error)
            return Copied(wanted, "error", text, is_lost=is_lost)
        whom = "the service" if way == "server" else "stream"
        return Copied(wanted, "ok", f"copied by {whom}; {_told(by)}", way, by)

    def _lost(self, error: S3xError) -> str:
        name = self.target.remote.name
        return f"{name} does not have it, or has it wrong, which was recorded; not copied anew: {error}"

    def _is_there(self, key: str) -> str | None:
        """Return by what it is proven that the target has `key`; ``None`` when it is to be copied.

        The object may be anybody's: where no checksum proves it, it is read.
        """
        found = self.target.find(key)
        answer = self.target.holds(key, found) if found else False
        if found is None or answer is False:
            return None
        if answer and not self.verify:
            return KEY
        digest = key_digest(parse_key(key), key)
        source = None if digest and self.verify else self.source.find(key)
        if source and not self.verify and (by := self._shown_alike(source, found)):
            return by
        if not digest and not source:
            raise IntegrityError(
                f"{self.target.remote.name} has an object of the size of {key}, whose key holds no "
                f"checksum, and {self.source.remote.name} has none to compare it with",
                remedy="git annex fsck --from the other, when you know what is there to be right",
            )
        try:
            compare_copy(self.source.end.store, source or found, self.target.end.store, found.name,
                         digest, lambda _: self._pool.check())  # fmt: skip
        except IntegrityError:
            return None
        return READ_BACK

    def _shown_alike(self, source: ObjectInfo, found: ObjectInfo) -> str | None:
        return shown_alike(source, found, self.source.end.rules.etags, self.target.end.rules.etags)

    def _copy(self, key: str, found: ObjectInfo) -> tuple[str, str]:
        """Copy one key; return the way, and what it rests on that the copy is right."""
        name, end = self.target.name_of(key), self.target.end_for(key, found.size_bytes)
        if self.way != "stream" and self._is_one_service():
            try:
                return "server", self._confirmed(key, found, self._by_service(key, found, end))
            except (Unsupported, AccessDenied, NotFound, IntegrityError, TransientError):
                if self.way == "server":
                    raise
        elif self.way == "server":
            raise Unsupported("the two remotes are not at one service", remedy="leave out --way server")
        digest = key_digest(parse_key(key), key)
        content = digest or Digest()
        stream(self.source.end.store, found, end, name, content, lambda _: self._pool.check(),
               self._journals)  # fmt: skip
        return "stream", self._confirmed(key, found, KEY if digest else PIECES)

    def _by_service(self, key: str, found: ObjectInfo, end: End) -> str:
        known, name = self.target.connection.provider.capabilities, self.target.name_of(key)
        source = replace(found, bucket=self.source.end.store.bucket)
        copy, answer = copy_at_server(source, end, name, known, self._pool)
        holds = self.target.holds(key, copy)
        if holds is False:
            end.store.delete(name)
            raise IntegrityError(
                f"{self.source.remote.name} has something else under the name of {key}, by what the "
                "service says; the copy was deleted again",
                remedy="get it from another place, and note the loss with `git annex fsck --from NAME`",
            )
        return KEY if holds else answer.by

    def _confirmed(self, key: str, found: ObjectInfo, by: str) -> str:
        """Return `by`; read the copy back first where that is wanted."""
        if not self.verify:
            return by
        source, target = self.source.end.store, self.target.end.store
        name, digest = self.target.name_of(key), key_digest(parse_key(key), key)
        confirm_copy(source, found, target, name, digest, lambda _: self._pool.check())
        return READ_BACK

    def _is_one_service(self) -> bool:
        one, other = self.source.connection, self.target.connection
        same_sdk = one.provider.id == other.provider.id and one.endpoint_url is None
        return one.endpoint_url == other.endpoint_url and (same_sdk or one.endpoint_url is not None)


def _told(by: str) -> str:
    return _FOUND.get(by, f"its {by} is that of its source, says the service")


def find_remote(path: Path, name: str) -> SpecialRemote:
    """Return the remote `name`, of which objects can be copied as they are.

    Raises
    ------
    ConfigError
        When they cannot, with the reason.
    """
    known = remotes.special_remotes(path)
    if not any(name in {one.name, one.enabled_as} for one in known):
        raise ConfigError(f"there is no special remote {name!r} here", remedy="see `datalad siblings`")
    remote = only(known, name)
    given = remote.parameters
    if not remote.is_s3:
        reason = "is not on S3"
    elif given.get("encryption", "none") not in _OFF or "cipher" in given:
        reason = "is encrypted, and only git-annex can change what content is encrypted with"
    elif given.get("chunk", "").strip() not in _OFF:
        reason = "keeps content in chunks, which only git-annex can count"
    elif given.get("mungekeys", "no") not in _OFF:
        reason = "gives objects names of its own"
    elif not remote.has_marker:
        reason = "keeps a tree of files, not content by key"
    else:
        return remote
    raise ConfigError(
        f"{name!r} {reason}",
        remedy="use git annex copy --from A --to B, which goes through this machine",
    )


@contextmanager
def opened(
    path: Path, remote: SpecialRemote, consent: Consent, stop: Event, copied_from: Side | None = None
) -> Iterator[Side]:
    """Open the bucket of `remote` with its own keys, and make sure that it is the remote's.

    It is tried again after faults until `stop` is set. What the service is to copy from `copied_from`
    is asked for with what that side wants of requests to its own bucket.

    Raises
    ------
    S3xError
        When it cannot be opened, or belongs to another remote.
    """
    from datalad_s3ext.store.patience import RetryPolicy
    from datalad_s3ext.store.retrying import open_patient_store

    connection = _connect.agreed_connection(remote, dataset=path)
    name = remote.enabled_as or remote.name
    choices = read_choices(name, remotes.git_folder(path))
    access = Access(connection.provider, Choice(choices.profile, None, choices.anonymous),
                    connection.endpoint_url)  # fmt: skip
    identity = access.identity(remotes.remembered_keys(path, remote))
    consent.require(path, remote, connection, identity)
    parameters = parameters_as_ours(remote)
    settings = read_settings(lambda setting: parameters.get(setting, ""))
    policy = RetryPolicy.of(
        retries=choices.retries, patience_s=choices.patience_s, stall_s=choices.stall_s
    )
    extras = extras_for(settings, choices, connection)
    store = open_patient_store(
        connection, identity, remote.bucket, policy=policy, sleep=interruptible_sleep(stop),
        extras=replace(extras, source=copied_from.extras if copied_from else None),
    )  # fmt: skip
    with closing(store):
        check_marker(store, remote.prefix, remote.uuid)
        _consent.remember(path, remote, connection, identity)
        yield Side(remote, connection, End(store, upload_rules(settings, connection)), settings, extras)


def keys_to_copy(
    path: Path, source: SpecialRemote, target: SpecialRemote, files: Sequence[str] | None,
    *, recorded_too: bool = False,
) -> list[Wanted]:  # fmt: skip
    """Return what the location log says is in `source` and not in `target`, each key once.

    Of `files`, relative to the data set, or of the whole branch when that is empty; of all keys that
    are known at all when it is ``None``. With `recorded_too` also what is said to be in both.
    """
    there = f"--in={target.uuid}"
    missing = _known(path, files, f"--in={source.uuid}", "--not", there)
    if not recorded_too:
        return missing
    in_both = _known(path, files, f"--in={source.uuid}", there)
    return missing + [replace(one, is_recorded=True) for one in in_both]


def _known(path: Path, files: Sequence[str] | None, *matching: str) -> list[Wanted]:
    if files is None:
        return [Wanted(key) for key in annex.run_annex(path, "findkeys", *matching).splitlines()]
    listed = annex.run_annex(path, "find", "--json", *matching, "--", *files)
    records = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
    first = {record["key"]: record["file"] for record in reversed(records)}
    return [Wanted(key, file) for key, file in first.items()]
