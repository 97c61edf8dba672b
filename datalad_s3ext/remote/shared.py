"""What all jobs of one process share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

from datalad_s3ext.remote.local import LocalChoices
from datalad_s3ext.remote.place import Place, Places
from datalad_s3ext.remote.settings import RemoteSettings, read_settings
from datalad_s3ext.remote.url_places import UrlPlaces
from datalad_s3ext.repo.exported import ExportedTrees

if TYPE_CHECKING:
    from annexremote import Master

    from datalad_s3ext.remote.ahead import Ahead
    from datalad_s3ext.remote.imports import Importable
    from datalad_s3ext.repo.known_keys import KnownKeys
    from datalad_s3ext.store.base import ObjectInfo
    from datalad_s3ext.store.throttled import Throttle
    from datalad_s3ext.transfer.journal import Journals
    from datalad_s3ext.transfer.pool import Pool


class Shared:
    """What all jobs of the process share. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.places = Places()
        self._lock = Lock()
        self._settings: RemoteSettings | None = None
        self._uuid: str | None = None
        self._git_dir: Path | None = None
        self._pool: Pool | None = None
        self._pool_lock = Lock()  # never held while git-annex is asked: `stop` needs it
        self.ended = Event()
        self._journals: Journals | None = None
        self.exported = ExportedTrees()
        self.url_places = UrlPlaces()
        self.passing: dict[str, ObjectInfo] = {}
        """Exported files on their way from one name to another, as the server described them."""
        self.passing_versions: set[tuple[str, str]] = set()
        """Keys, and the versions of files on their way that are known to have their content."""
        self.not_removed: set[str] = set()
        """Objects of exported files that could not be removed, so that older content may be there."""
        self._throttle: Throttle | None = None
        self._choices = LocalChoices()
        self._read_choices: LocalChoices | None = None
        self.importable: Mapping[str, Importable] = {}
        """Files of the bucket as this process has listed them last."""
        self.ahead: Ahead | None = None
        """Descriptions of those files, asked for before they are needed."""
        self._known_keys: KnownKeys | None = None
        self._exported_names: Mapping[str, str] | None = None
        self.told: set[str] = set()
        """What has been said and need not be said again."""
        self.verifies: bool | None = None
        """Whether git-annex leaves the verification of content to us; ``None`` before it is known."""

    def settings(self, annex: Master) -> RemoteSettings:
        """Return the remote's parameters, asked for once."""
        with self._lock:
            if self._settings is None:
                self._settings = read_settings(annex.getconfig)
            return self._settings

    def uuid(self, annex: Master) -> str:
        """Return the remote's UUID, asked for once."""
        with self._lock:
            if self._uuid is None:
                self._uuid = str(annex.getuuid())
            return self._uuid

    def git_dir(self, annex: Master) -> Path:
        """Return the repository's git directory, asked for once."""
        with self._lock:
            if self._git_dir is None:
                self._git_dir = Path(annex.getgitdir())
            return self._git_dir

    def known_keys(self, annex: Master) -> KnownKeys:
        """Return the keys in the newest trees of the remote, as they were when first asked for."""
        from datalad_s3ext.repo.known_keys import KnownKeys

        git_dir, uuid = self.git_dir(annex), self.uuid(annex)
        with self._lock:
            if self._known_keys is None:
                self._known_keys = KnownKeys(git_dir, uuid)
            return self._known_keys

    def exported_names(self, annex: Master) -> Mapping[str, str]:
        """Return a name for each key of the exported tree, as it was when first asked for."""
        from datalad_s3ext.repo.exported_names import names_by_key

        git_dir, uuid = self.git_dir(annex), self.uuid(annex)
        with self._lock:
            if self._exported_names is None:
                self._exported_names = names_by_key(git_dir, uuid)
            return self._exported_names

    def journals(self, annex: Master, place: Place) -> Journals:
        """Return the journals of unfinished uploads; the first time, stale uploads are taken back."""
        from datalad_s3ext.repo.folders import annex_folder, as_file_name
        from datalad_s3ext.transfer.journal import Journals
        from datalad_s3ext.transfer.taking_back import take_back_stale

        uuid = self.uuid(annex)
        with self._lock:
            is_first = self._journals is None
            if self._journals is None:
                folder = annex_folder(Path(annex.getgitdir())) / "s3x" / as_file_name(uuid)
                self._journals = Journals(folder)
            journals = self._journals
        if is_first:  # not under the lock: the server may be slow, and other jobs go on
            take_back_stale(place.store, place.upload_rules.place, journals)
        return journals

    def keep_choices(self, choices: LocalChoices) -> None:
        """Keep what git said for `take_choices`, as long as nothing is open: git is slow to start."""
        with self._lock:
            if self._throttle is None:
                self._read_choices = choices

    def take_choices(self) -> LocalChoices | None:
        """Return what was kept, once: whoever opens the bucket anew later must ask git again."""
        with self._lock:
            kept, self._read_choices = self._read_choices, None
            return kept

    def throttle(self, choices: LocalChoices) -> Throttle:
        """Return the bandwidth that all jobs share; the first choices count, also for `pool`."""
        from datalad_s3ext.store.throttled import Throttle
        from datalad_s3ext.transfer.pool import interruptible_sleep

        with self._lock:
            if self._throttle is None:
                self._choices = choices
                self._throttle = Throttle(
                    choices.upload_bytes_per_s,
                    choices.download_bytes_per_s,
                    sleep=interruptible_sleep(self.ended),
                )
            return self._throttle

    @property
    def agreed_places(self) -> Collection[tuple[str, str]]:
        """Return UUIDs and places that git has told with the first choices."""
        return self._choices.agreed_places

    @property
    def pool(self) -> Pool:
        """Return the workers, started at first use."""
        from datalad_s3ext.transfer.pool import CONNECTIONS, MEMORY_BYTES, Pool

        with self._pool_lock:
            if self._pool is None:
                self._pool = Pool(
                    connections=self._choices.connections or CONNECTIONS,
                    memory_bytes=self._choices.memory_bytes or MEMORY_BYTES,
                    upload_bytes_per_s=self._choices.upload_bytes_per_s,
                    cancelled=self.ended,
                )
            return self._pool

    def stop(self) -> None:
        """End transfers under way: git-annex has gone."""
        with self._pool_lock:
            self.ended.set()
            if self._pool is not None:
                self._pool.cancel()
