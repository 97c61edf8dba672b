"""Who has the content of a key, by the logs of the git-annex branch, and how it can be read there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from urllib.parse import quote

from datalad_s3ext.errors import ConfigError, IntegrityError, Unsupported
from datalad_s3ext.fs.buckets import bucket_of
from datalad_s3ext.fs.dataset import Dataset
from datalad_s3ext.fs.options import Options
from datalad_s3ext.fs.processwide import ProcessWide
from datalad_s3ext.fs.sources import ChunkedSource, ObjectSource, Place, Refused, Source
from datalad_s3ext.fs.web import Web
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.content_ids import pinned
from datalad_s3ext.repo.exported import exported_trees
from datalad_s3ext.repo.key_logs import content_ids, recorded_versions
from datalad_s3ext.repo.keys import chunk_key
from datalad_s3ext.repo.pointers import as_file_name, lower_folder, mixed_folder
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.pinned import Pinned
from datalad_s3ext.store.s3_url import parse_s3_url

_NOT_ENCRYPTED = frozenset({"none", ""})
_YES = frozenset({"yes", "true"})
_VERSIONED = ("bucketversioning", "versioning")
"""What s3x and built-in ``type=S3`` call it."""
_NOT_OF_WEB = ":"
"""What git-annex puts before URLs that a special remote answers for."""
_USUAL_COST = 200.0


def sources_of(dataset: Dataset, key: str, size_bytes: int | None, options: Options) -> list[Source]:
    """Return the places, other than this clone, that are said to have the content of `key`.

    Enabled remotes on S3 come first, the cheapest before the others; then what everybody can read.
    """
    holders = dataset.whereabouts.locations(key)
    known = [one for one in s3_remotes(dataset) if one.uuid in holders and _is_wanted(one, options)]
    found: list[Source] = []
    for remote in _cheapest_first(dataset, [one for one in known if one.enabled_as]):
        found += _in_bucket(dataset, remote, key, size_bytes, options)
    for remote in known:
        found += _public(dataset, remote, key, size_bytes)
    if options.remote in {None, "web"}:
        found += [_at_url(dataset, url, size_bytes) for url in _web(dataset, key)]
    if not found:
        _check_name(dataset, options)
    return found


def _check_name(dataset: Dataset, options: Options) -> None:
    if options.remote in {None, "web"} or any(_is_wanted(one, options) for one in s3_remotes(dataset)):
        return
    raise ConfigError(
        f"{dataset.path} knows no remote on S3 called {options.remote!r}",
        remedy="see: git annex info",
    )


def s3_remotes(dataset: Dataset) -> Sequence[SpecialRemote]:
    """Return the remotes on S3 that the data set knows; looked up again when git has written."""
    return _REMOTES.get(dataset.git_dir, lambda: _Remotes(dataset)).current()


class _Remotes:
    """What git says of remotes, kept as long as its files stay as they are."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._lock = Lock()
        self._state: object = None
        self._found: list[SpecialRemote] = []

    def current(self) -> list[SpecialRemote]:
        with self._lock:
            state = self._dataset.state()
            if state != self._state:
                remote_log, trust_log = map(self._dataset.whereabouts.log, ("remote.log", "trust.log"))
                names = remotes.enabled_names(self._dataset.path)
                known = remotes.assembled(remote_log, trust_log, names)
                self._found = [remote for remote in known if remote.is_s3]
                self._state = state
            return self._found


_REMOTES: ProcessWide[Path, _Remotes] = ProcessWide()


def _is_wanted(remote: SpecialRemote, options: Options) -> bool:
    return options.remote in {None, remote.name, remote.enabled_as, remote.id}


def _cheapest_first(dataset: Dataset, found: list[SpecialRemote]) -> list[SpecialRemote]:
    if len(found) < 2:
        return found
    return sorted(found, key=lambda one: _cost(dataset, one))


def _cost(dataset: Dataset, remote: SpecialRemote) -> float:
    text = dataset.config(f"remote.{remote.enabled_as}.annex-cost")
    try:
        return float(text or _USUAL_COST)
    except ValueError:
        return _USUAL_COST


def _web(dataset: Dataset, key: str) -> list[str]:
    return [url for url in dataset.whereabouts.urls(key) if url.startswith(("http://", "https://"))]


def _in_bucket(
    dataset: Dataset, remote: SpecialRemote, key: str, size_bytes: int | None, options: Options
) -> Iterator[Source]:
    encryption = remote.parameters.get("encryption", "none")
    if encryption not in _NOT_ENCRYPTED:
        yield Refused(remote.name, _encrypted(remote, encryption))
        return
    bucket = bucket_of(dataset.path, dataset.git_dir, remote, options)
    for name in noted_objects(dataset, remote, key):
        yield ObjectSource(bucket, [name], size_bytes)
    if not remote.has_marker:  # names of files, not of keys
        names = exported_names(dataset, remote, key)
        states = imported_states(dataset, remote, key, names)
        for state in states:
            yield ObjectSource(bucket, [state], size_bytes)
        if names and not states:
            yield ObjectSource(bucket, names, size_bytes)
        return
    chunks = dataset.whereabouts.chunks(key, remote.uuid)
    yield from _in_chunks(bucket, lambda one: remote.prefix + one, key, size_bytes, chunks)
    yield ObjectSource(bucket, [remote.prefix + key], size_bytes)


def _in_chunks(
    place: Place,
    object_of: Callable[[str], str],
    key: str,
    size_bytes: int | None,
    chunks: Iterable[tuple[int, int]],
) -> Iterator[Source]:
    """Yield a source for each way in which `key` is cut into chunks.

    Parameters
    ----------
    object_of
        Returns the object at `place` for the key of a chunk.
    chunks
        Sizes of chunks in bytes, and how many there are.
    """
    for chunk_bytes, count in chunks:
        if size_bytes is None:
            continue
        if max(1, -(-size_bytes // chunk_bytes)) != count:
            yield Refused(place.label, _miscounted(key, chunk_bytes, count))
        else:
            name_of = partial(_chunk_object, object_of, key, chunk_bytes)
            yield ChunkedSource(place, name_of, chunk_bytes, size_bytes)


def _chunk_object(object_of: Callable[[str], str], key: str, chunk_bytes: int, number: int) -> str:
    return object_of(chunk_key(key, chunk_bytes, number))


def _miscounted(key: str, chunk_bytes: int, count: int) -> IntegrityError:
    return IntegrityError(
        f"{count} chunks of {chunk_bytes} bytes are not the content of {key}, which says another size",
        remedy="see git annex fsck --from",
    )


def _public(
    dataset: Dataset, remote: SpecialRemote, key: str, size_bytes: int | None
) -> Iterator[Source]:
    base = remote.parameters.get("publicurl", "")
    plain = remote.parameters.get("encryption", "none") in _NOT_ENCRYPTED
    if not plain or not base.startswith(("http://", "https://")):
        return
    if _is_tree(remote):
        for name in exported_names(dataset, remote, key):
            yield _at_url(dataset, f"{base.rstrip('/')}/{quote(name)}", size_bytes)
        return
    url_of = partial(Layout(remote.prefix).url_below, base)
    chunks = dataset.whereabouts.chunks(key, remote.uuid)
    yield from _in_chunks(Web(dataset, base), url_of, key, size_bytes, chunks)
    if not chunks:
        yield _at_url(dataset, url_of(key), size_bytes)


def _at_url(dataset: Dataset, url: str, size_bytes: int | None) -> Source:
    return ObjectSource(Web(dataset, url), [url], size_bytes)


def _is_tree(remote: SpecialRemote) -> bool:
    return any(remote.parameters.get(name) in _YES for name in ("exporttree", "importtree"))


def _encrypted(remote: SpecialRemote, how: str) -> Unsupported:
    return Unsupported(
        f"what {remote.name} has is encrypted ({how}), and git-annex decrypts whole files only",
        remedy="get the file: datalad get FILE",
    )


def noted_objects(dataset: Dataset, remote: SpecialRemote, key: str) -> list[Pinned]:
    """Return objects of `remote`, or versions of them, that were noted to have the content of `key`.

    Built-in ``type=S3`` notes versions in a log of its own, s3x by URLs; so does ``git annex addurl``.
    """
    found = []
    if any(remote.parameters.get(name) in _YES for name in _VERSIONED):
        versions = recorded_versions(dataset.git_dir, key, remote.uuid)
        found += [Pinned(name, version_id=version_id) for name, version_id in versions]
    for text in dataset.whereabouts.urls(key):
        try:
            url = parse_s3_url(text.removeprefix(_NOT_OF_WEB))
        except (ConfigError, ValueError):
            continue
        if (url.bucket, url.endpoint, url.is_prefix) == (remote.bucket, None, False):
            found.append(Pinned(url.name, version_id=url.version_id))
    return [name for name in found if name.startswith(remote.prefix)]


# -- exported trees ---------------------------------------------------------------------------------


def exported_names(dataset: Dataset, remote: SpecialRemote, key: str) -> list[str]:
    """Return the objects that may hold the content of `key` in an exported or imported tree."""
    found: list[str] = []
    for tree in exported_trees(dataset.git_dir, remote.uuid):
        names = _names_in(dataset, tree).get(key, [])
        found += [remote.prefix + name for name in names]
    if remote.parameters.get("annexobjects") in _YES:
        name = as_file_name(key)
        for folder in (mixed_folder(key), lower_folder(key)):
            found.append(f"{remote.prefix}.git/annex/objects/{folder}/{name}/{name}")
    return list(dict.fromkeys(found))


def imported_states(
    dataset: Dataset, remote: SpecialRemote, key: str, names: Sequence[str]
) -> list[Pinned]:
    """Return which states of the objects `names` were imported as `key`.

    Nothing for an exported tree: git-annex notes no state there.
    """
    if remote.parameters.get("importtree") not in _YES:
        return []
    known = sorted(content_ids(dataset.git_dir, key, remote.uuid))
    found = (pinned(name, identifier) for name in names for identifier in known)
    return [state for state in found if state is not None]


def _names_in(dataset: Dataset, tree: str) -> dict[str, list[str]]:
    return _NAMES.get((dataset.git_dir, tree), lambda: _names_by_key(dataset, tree))


def _names_by_key(dataset: Dataset, tree: str) -> dict[str, list[str]]:
    """Return the paths of each key in a tree; nothing when this clone lacks the tree."""
    found: dict[str, list[str]] = {}
    if dataset.objects.read(tree) is None:
        return found
    pending = [(tree, "")]
    while pending:
        current, prefix = pending.pop()
        entries = dataset.trees.entries(current)
        pending += [(one.id, f"{prefix}{name}/") for name, one in entries.items() if one.is_tree]
        files = {name: one for name, one in entries.items() if one.is_file}
        contents = dataset.trees.contents(files.values())
        for name, entry in files.items():
            key = contents[entry].key
            if key is not None and "\n" not in prefix + name:
                found.setdefault(key, []).append(prefix + name)
    return found


_NAMES: ProcessWide[tuple[Path, str], dict[str, list[str]]] = ProcessWide()
