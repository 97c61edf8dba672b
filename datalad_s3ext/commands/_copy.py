"""Copying content by key from one S3 remote to another; recorded key by key, after it was confirmed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Literal, cast

from datalad_s3ext.commands import _connect, _consent
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._consent import Consent
from datalad_s3ext.commands._decide import only
from datalad_s3ext.errors import (
    AccessDenied,
    ConfigError,
    IntegrityError,
    LocalError,
    NotFound,
    ObjectNotFound,
    S3xError,
    Unsupported,
    one_line,
)
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.remote.local import read_choices
from datalad_s3ext.remote.recorded import parameters_as_ours
from datalad_s3ext.remote.settings import CUSTOMER_KEY, RemoteSettings, read_settings
from datalad_s3ext.remote.storing import archive_classes, extras_for, rules_for, upload_rules
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.digests import key_digest
from datalad_s3ext.repo.keys import parse_key
from datalad_s3ext.repo.marker import check_marker
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectInfo
from datalad_s3ext.transfer.across import Digest, End, copy_at_server, stream
from datalad_s3ext.transfer.pool import Pool, interruptible_sleep

Way = Literal["auto", "server", "stream"]
_OFF = frozenset({"", "no", "false", "none", "0"})


@dataclass(frozen=True)
class Wanted:
    """A key, and a file that has it; ``None`` when all keys are copied."""

    key: str
    file: str | None = None


@dataclass(frozen=True)
class Copied:
    """What became of one key."""

    wanted: Wanted
    status: Literal["ok", "notneeded", "error"]
    message: str
    way: str | None = None


@dataclass(frozen=True)
class Side:
    """An open remote."""

    remote: SpecialRemote
    connection: Connection
    end: End
    settings: RemoteSettings

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
            found = self.end.store.head(self.name_of(key))
        except ObjectNotFound:
            return None
        size = parse_key(key).stored_bytes
        return found if size in {None, found.size_bytes} else None


@dataclass
class Copy:
    """One call of the command: keys from `source` to `target`."""

    path: Path
    source: Side
    target: Side
    way: Way = "auto"
    jobs: int = 4
    stop: Event = field(default_factory=Event)
    """Set at the end, and before it when no more is wanted: what is under way is then taken back."""

    def __post_init__(self) -> None:
        self._pool = Pool(cancelled=self.stop)

    def run(self, keys: Sequence[Wanted]) -> Iterator[Copied]:
        """Copy `keys`; yield each as soon as its outcome is known and recorded."""
        with (
            _recorder(self.path, self.target.remote.uuid) as record,
            ThreadPoolExecutor(self.jobs) as workers,
        ):
            futures = [workers.submit(self._one, wanted) for wanted in keys]
            try:
                for future in as_completed(futures):
                    done = future.result()
                    if done.status != "error":
                        record(done.wanted.key)
                    yield done
            finally:
                self.stop.set()
                for future in futures:
                    future.cancel()

    def _one(self, wanted: Wanted) -> Copied:
        try:
            self._pool.check()
            if self.target.find(wanted.key) is not None:
                return Copied(wanted, "notneeded", "is there already")
            found = self.source.find(wanted.key)
            if found is None:
                raise IntegrityError(
                    f"{self.source.remote.name} does not have {wanted.key}, or not whole"
                )
            way = self._copy(wanted.key, found)
        except S3xError as error:
            return Copied(wanted, "error", str(error))
        return Copied(wanted, "ok", f"copied by {'the service' if way == 'server' else 'stream'}", way)

    def _copy(self, key: str, found: ObjectInfo) -> str:
        name, end = self.target.name_of(key), self.target.end_for(key, found.size_bytes)
        if self.way != "stream" and self._is_one_service():
            known = self.target.connection.provider.capabilities
            source = ObjectInfo(
                found.name, found.size_bytes, found.etag, found.version_id,
                metadata=found.metadata, bucket=self.source.end.store.bucket,
            )  # fmt: skip
            try:
                copy_at_server(source, end, name, known, self._pool)
            except (Unsupported, AccessDenied, NotFound, IntegrityError):
                if self.way == "server":
                    raise
            else:
                return "server"
        elif self.way == "server":
            raise Unsupported("the two remotes are not at one service", remedy="leave out --way server")
        digest = key_digest(parse_key(key), key)
        content = cast(Digest, digest or Digest())
        stream(self.source.end.store, found, end, name, content, lambda _: self._pool.check())
        return "stream"

    def _is_one_service(self) -> bool:
        if CUSTOMER_KEY in (self.source.settings.sse, self.target.settings.sse):
            return False  # each has a key of its own
        one, other = self.source.connection, self.target.connection
        same_sdk = one.provider.id == other.provider.id and one.endpoint_url is None
        return one.endpoint_url == other.endpoint_url and (same_sdk or one.endpoint_url is not None)


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
def opened(path: Path, remote: SpecialRemote, consent: Consent, stop: Event) -> Iterator[Side]:
    """Open the bucket of `remote` with its own keys, and make sure that it is the remote's.

    It is tried again after faults until `stop` is set.

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
    store = open_patient_store(
        connection, identity, remote.bucket, policy=policy,
        sleep=interruptible_sleep(stop), extras=extras_for(settings, choices, connection),
    )  # fmt: skip
    with closing(store):
        check_marker(store, remote.prefix, remote.uuid)
        _consent.remember(path, remote, connection, identity)
        yield Side(remote, connection, End(store, upload_rules(settings, connection)), settings)


def keys_to_copy(
    path: Path, source: SpecialRemote, target: SpecialRemote, files: Sequence[str] | None
) -> list[Wanted]:
    """Return what the location log says is in `source` and not in `target`, each key once.

    Of `files`, relative to the data set, or of the whole branch when that is empty; of all keys that
    are known at all when it is ``None``.
    """
    there = (f"--in={source.uuid}", "--not", f"--in={target.uuid}")
    if files is None:
        return [Wanted(key) for key in annex.run_annex(path, "findkeys", *there).splitlines()]
    listed = annex.run_annex(path, "find", "--json", *there, "--", *files)
    records = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
    first = {record["key"]: record["file"] for record in reversed(records)}
    return [Wanted(key, file) for key, file in first.items()]


class _Recorder:
    """Tells git-annex of keys that a remote has; safe in threads."""

    def __init__(self, path: Path, uuid: str) -> None:
        self._path = path
        self._uuid = uuid
        self._lock = Lock()
        self._process = subprocess.Popen(
            ["git", "annex", "setpresentkey", "--batch"], cwd=path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="surrogateescape",
            start_new_session=True,  # a Ctrl-C is for us: what is copied shall still be recorded
        )  # fmt: skip

    def __call__(self, key: str) -> None:
        """Record that the remote has `key`.

        Raises
        ------
        LocalError
            When git-annex does not confirm it.
        """
        if key.split() != [key]:  # old keys have blanks, which a batch does not take
            annex.run_annex(self._path, "setpresentkey", "--", key, self._uuid, "1")
            return
        process = self._process
        with self._lock:
            try:
                if process.stdin is None or process.stdout is None:
                    raise BrokenPipeError
                process.stdin.write(f"{key} {self._uuid} 1\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError as error:
                raise LocalError(f"git-annex does not record what was copied: {error}") from error
        if not answer.rstrip().endswith("ok"):
            raise LocalError("git-annex does not record what was copied")

    def end(self) -> None:
        """Have git-annex write down what it was told."""
        _, said = self._process.communicate()
        if self._process.returncode:
            raise LocalError(f"git-annex has not recorded what was copied: {one_line(said)}")


@contextmanager
def _recorder(path: Path, uuid: str) -> Iterator[_Recorder]:
    recorder = _Recorder(path, uuid)
    try:
        yield recorder
    finally:
        recorder.end()
