"""How objects are stored one by one, and what happens when one lies in an archive."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalad_s3ext.errors import ConfigError, ObjectArchived
from datalad_s3ext.remote.watching import is_watched
from datalad_s3ext.repo.keys import parse_key

if TYPE_CHECKING:
    from datalad_s3ext.remote.local import LocalChoices
    from datalad_s3ext.remote.place import Place
    from datalad_s3ext.remote.shared import Shared
    from datalad_s3ext.store.base import ObjectInfo
    from datalad_s3ext.transfer.restoring import Order, Outcome
    from datalad_s3ext.transfer.source import UploadRules


CHUNK_LIMIT = 100_000
"""Keys come in with a clone: one may claim any size."""


class ArchiveRequests:
    """The part of :class:`.handlers.S3xRemote` that knows of storage classes."""

    _shared: Shared
    annex: Any

    @abstractmethod
    def _choices(self) -> LocalChoices: ...

    def _rules(self, place: Place, key: str, local_file: str, name: str = "") -> UploadRules:
        """Return how the content of `key` is stored."""
        from datalad_s3ext.remote.storing import archive_classes, rules_for
        from datalad_s3ext.transfer.source import Source

        return rules_for(
            place.upload_rules,
            self._shared.settings(self.annex),
            archive_classes(place.connection.provider),
            key=key,
            size_bytes=Source.of(Path(local_file)).size_bytes,
            name=name,
        )

    @contextmanager
    def _restored(self, place: Place, key: str, name: str) -> Iterator[None]:
        """Ask for a restore where the block meets an archived object, if the remote is to do so.

        Raises
        ------
        ObjectArchived
            The content of `key` cannot be read now; the message says when it can.
        """
        try:
            yield
        except ObjectArchived as met:
            if not self._shared.settings(self.annex).restore:
                raise _not_asked(name, met) from met
            self._ask_for(place, key, name)

    def _looked_at(self, place: Place, name: str, *, closely: bool = False) -> ObjectInfo:
        """Describe an object, with what the server tells of its content if `closely`.

        For `datalad s3-restore` also see to its restore, and report it.
        """
        from datalad_s3ext.remote.watching import order_for, reported

        look = place.store.describe if closely else place.store.head
        if not is_watched(os.environ):
            return look(name)
        with reported(name) as report:
            info = look(name)
            order = order_for(order_of(self._choices()))
            report(self._restore(place, info, order))
        return info

    def _restore(
        self, place: Place, info: ObjectInfo, order: Order | None, *, is_refused: bool = False
    ) -> Outcome:
        """See to the restore of one object; what is refused lies in an archive, whatever its class."""
        from datalad_s3ext.remote.storing import archive_classes
        from datalad_s3ext.transfer.restoring import restore_object

        provider = place.connection.provider
        refused = {info.storage_class or "STANDARD"} if is_refused else frozenset[str]()
        return restore_object(
            place.store, info, order,
            archive_classes=archive_classes(provider) | refused,
            has_usual_hours=provider.endpoint.by_sdk,
        )  # fmt: skip

    def _ask_for(self, place: Place, key: str, name: str) -> None:
        from datalad_s3ext.transfer.restoring import told

        order = order_of(self._choices())

        def ask(name: str) -> Outcome:
            return self._restore(place, place.store.head(name), order, is_refused=True)

        futures = [self._shared.pool.submit(partial(ask, one)) for one in _objects_of(key, name)]
        outcomes = [future.result() for future in futures]
        raise ObjectArchived(f"{key} is {told(outcomes)}", remedy="try again then")


def order_of(choices: LocalChoices) -> Order:
    """Return how long and how fast the user of this clone wants content to be restored.

    Raises
    ------
    ConfigError
        When there is no such tier.
    """
    from datalad_s3ext.store.archive import TIERS
    from datalad_s3ext.transfer.restoring import Order

    for tier in TIERS:
        if tier == choices.restore_tier:
            return Order(choices.restore_days, tier)
    raise ConfigError(
        f"annex.s3-restore-tier={choices.restore_tier!r} is not known",
        remedy=f"use {', '.join(TIERS)}",
    )


def _objects_of(key: str, name: str) -> list[str]:
    """Return the object `name` of `key`, with those of all other chunks of the same file."""
    parsed = parse_key(key)
    if parsed.chunk_number is None or not parsed.chunk_bytes or parsed.size_bytes is None:
        return [name]
    this, count = f"-C{parsed.chunk_number}--", -(-parsed.size_bytes // parsed.chunk_bytes)
    if count > CHUNK_LIMIT or not name.endswith(key):
        return [name]
    prefix, (start, _, end) = name.removesuffix(key), key.partition(this)
    return [f"{prefix}{start}-C{number}--{end}" for number in range(1, count + 1)]


def _not_asked(name: str, met: ObjectArchived) -> ObjectArchived:
    return ObjectArchived(
        f"{name} lies in an archive and must be restored before it can be read",
        remedy="ask for it: datalad s3-restore FILE; or let every `git annex get` ask: "
        "git annex enableremote NAME restore=yes",
        http_status=met.http_status,
        code=met.code,
        request_id=met.request_id,
    )
