"""What can be said of one sibling on S3. Nothing is changed; keys go only where they are agreed to.

Each function of `PARTS` answers one question and returns fields of the record. What cannot be found out
is said to be so: ``None``, or ``unknown`` with the reason, is neither yes nor no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from datalad_s3ext.commands import _connect
from datalad_s3ext.commands._access import Access, Choice
from datalad_s3ext.commands._datasets import wrong_type_config
from datalad_s3ext.commands._doctor import choose_it, identity_of_sibling, is_chosen
from datalad_s3ext.commands._extras import extras_of
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys
from datalad_s3ext.errors import BucketNotFound, CredentialsError, S3xError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.folders import as_file_name
from datalad_s3ext.repo.locations import Locations, annex_uuid
from datalad_s3ext.repo.marker import read_marker
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectStore
from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.transfer.unfinished import unfinished_uploads

Answer = Literal["yes", "no", "unknown"]
Part = Callable[["Inspection"], Mapping[str, object]]

_ONCE = RetryPolicy(attempts=1, unreachable_attempts=1, stall_s=10)
_NOT_ASKED = "nobody was asked (--offline)"


@dataclass(frozen=True)
class Inspection:
    """One sibling, and what was read for all of them at once."""

    root: Path
    remote: SpecialRemote
    locations: Locations
    offline: bool = False

    @property
    def name(self) -> str:
        """Return how it is called here."""
        return self.remote.enabled_as or self.remote.name

    @cached_property
    def connection(self) -> Connection | S3xError:
        """Return how to reach it, or why that is not known."""
        try:
            return _connect.agreed_connection(self.remote, dataset=self.root)
        except S3xError as error:
            return error

    @cached_property
    def enabled(self) -> Answer | Literal["unconfirmed"]:
        """Tell whether this clone uses it; git-annex or we may want its place confirmed first."""
        if self.remote.enabled_as is None:
            return "no"
        try:
            is_open = annex.unconfirmed(self.root, self.remote.enabled_as) is not None
            is_open = is_open or remotes.has_moved(self.root, self.remote)
            is_open = is_open or bool(wrong_type_config(self.root, self.remote))
        except S3xError:
            return "unknown"
        return "unconfirmed" if is_open else "yes"

    @cached_property
    def identity(self) -> Identity | S3xError:
        """Return who asks, or why nobody can."""
        if isinstance(self.connection, S3xError):
            return self.connection
        where = self.connection
        access = Access(where.provider, Choice(), where.endpoint_url, may_ask=False)
        try:
            return identity_of_sibling(access, self.root, self.remote, where)
        except S3xError as error:
            return error


def inspect(inspection: Inspection) -> dict[str, object]:
    """Return all fields of the record of one sibling."""
    return {name: value for part in PARTS for name, value in part(inspection).items()}


def _settings(inspection: Inspection) -> Mapping[str, object]:
    remote, where = inspection.remote, inspection.connection
    known = where if isinstance(where, Connection) else None
    parameters = remote.parameters
    return {
        "name": inspection.name,
        "uuid": remote.uuid,
        "remote_type": "s3x" if remote.is_ours else remote.type,
        "enabled": inspection.enabled,
        "provider": known.provider.id if known else parameters.get("provider"),
        "endpoint": known.endpoint_url if known else parameters.get("endpoint"),
        "region": known.region if known else parameters.get("region"),
        "bucket": remote.bucket,
        "prefix": remote.prefix,
        "encryption": parameters.get("encryption", "none"),
        "chunk": parameters.get("chunk"),
        "storage_class": parameters.get("storageclass"),
        "exporttree": not remote.has_marker,
        "publicurl": parameters.get("publicurl"),
        "problem": str(where) if isinstance(where, S3xError) else None,
    }


def _credentials(inspection: Inspection) -> Mapping[str, object]:
    """Say where keys come from and until when they are good; never what they are."""
    who, where = inspection.identity, inspection.connection
    if isinstance(who, S3xError) or isinstance(where, S3xError):
        told = {"source": None, "expires": None, "problem": str(who)}
    elif isinstance(who, Anonymous | Keys):
        told = {"source": who.source, "expires": _moment(who), "problem": None}
    elif inspection.offline or inspection.enabled == "no":
        told = {"source": who.source, "expires": None, "problem": None}  # a login service may be asked
    else:
        told = _looked_up(where, who)
    return {"credentials": told}


def _looked_up(where: Connection, who: Identity) -> dict[str, str | None]:
    from datalad_s3ext.store.diagnose import key_facts

    try:
        found = key_facts(where, who)
    except S3xError as error:
        return {"source": who.source, "expires": None, "problem": str(error)}
    return {"source": who.source, "expires": _moment(found.keys), "problem": None}


def _moment(who: Keys | Anonymous) -> str | None:
    moment = who.expires_at if isinstance(who, Keys) else None
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _content(inspection: Inspection) -> Mapping[str, object]:
    """Say what git-annex's location log holds to be there, and which files are not there yet."""
    uuid, locations = inspection.remote.uuid, inspection.locations
    here = annex_uuid(inspection.root)
    return {
        "content": asdict(locations.there(uuid)),
        "missing": asdict(locations.missing(uuid)),
        "missing_here": asdict(locations.missing(uuid, but_in=here)) if here else None,
    }


def _unfinished(inspection: Inspection) -> Mapping[str, object]:
    """Say which uploads were begun here and can go on; built-in S3 keeps no journals."""
    if not inspection.remote.is_ours:
        return {"unfinished": None}
    folder = remotes.git_folder(inspection.root) / "annex" / "s3x"
    found = unfinished_uploads(folder / as_file_name(inspection.remote.uuid))
    return {
        "unfinished": [
            asdict(one) | {"touched_at": one.touched_at.isoformat(timespec="seconds")} for one in found
        ]
    }


def _available(inspection: Inspection) -> Mapping[str, object]:
    """Ask the service for the marker of the sibling, once."""
    answer, why = _asked(inspection)
    return {"available": answer, "available_because": why}


def _asked(inspection: Inspection) -> tuple[Answer, str]:
    remote, where, who = inspection.remote, inspection.connection, inspection.identity
    if inspection.offline:
        return "unknown", _NOT_ASKED
    if inspection.enabled == "no":
        return "unknown", f"it is not enabled here: datalad s3-enable -s {inspection.name}"
    if isinstance(where, S3xError) or isinstance(who, S3xError):
        return "unknown", str(who)
    try:
        if not isinstance(who, Anonymous) and not is_chosen(inspection.root, remote, where):
            text = "no keys were sent: nobody here has said that its place is right"
            raise CredentialsError(text, remedy=choose_it(inspection.name))
        from datalad_s3ext.store.retrying import open_patient_store

        extras = extras_of(inspection.root, remote, where)
        store = open_patient_store(where, who, remote.bucket, policy=_ONCE, extras=extras)
        with closing(store):
            return _marked(store, remote)
    except BucketNotFound as error:
        return "no", str(error)
    except S3xError as error:
        return "unknown", str(error)


def _marked(store: ObjectStore, remote: SpecialRemote) -> tuple[Answer, str]:
    if not remote.has_marker:  # a tree of files has none
        next(iter(store.list(remote.prefix)), None)
        return "yes", "the bucket answers; a tree of files has no marker to compare"
    found = read_marker(store, remote.prefix)
    if found == remote.uuid:
        return "yes", "its marker is there"
    if found is None:
        return (
            "no",
            f"there is no marker {remote.prefix}annex-uuid: it is another place, or was emptied",
        )
    return "no", "the marker there is that of another special remote"


PARTS: tuple[Part, ...] = (_settings, _credentials, _content, _unfinished, _available)
"""Further questions are added here: a function, and its line in :mod:`._status_table`."""


def expires_soon(moment: str | None, *, now: datetime | None = None) -> bool:
    """Tell whether keys that are good until `moment` will not last another hour."""
    if moment is None:
        return False
    left = datetime.fromisoformat(moment) - (now or datetime.now(UTC))
    return left.total_seconds() < 3600
