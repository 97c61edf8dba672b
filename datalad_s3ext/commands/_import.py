"""Registering what lies in a bucket: git-annex lists it, gives keys, and the tree is merged."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.repo import annex, branches, remotes
from datalad_s3ext.repo.annex import AnnexError

KEPT_IN_GIT_BELOW = "10mb"
"""A file of git that is larger in the bucket is annexed: a bucket is not to fill git."""
LONGEST_RULE_BYTES = 100_000
"""Linux takes no environment variable of more than 128 KiB."""
SHOWN = 5
"""So many files in conflict are named."""
_MEANS_MORE = frozenset(" \t()*?[]\\=\"'")


@dataclass(frozen=True)
class Place:
    """Where an ``s3://bucket/prefix`` points to."""

    bucket: str
    prefix: str = ""


@dataclass(frozen=True)
class Imported:
    """What an import has changed in the work tree."""

    added: int
    changed: int
    removed: int
    notes: Sequence[str] = ()
    """What the remote said, of objects that were left out for example."""

    @property
    def is_nothing(self) -> bool:
        """Tell whether all was as before."""
        return not (self.added or self.changed or self.removed)

    def __str__(self) -> str:
        counts = {"added": self.added, "changed": self.changed, "removed": self.removed}
        said = [f"{count} {what}" for what, count in counts.items() if count]
        return "; ".join([", ".join(said) or "nothing new", *self.notes])


def place_of(url: str) -> Place:
    """Return bucket and prefix of ``s3://bucket/prefix``.

    Raises
    ------
    ConfigError
        When it has another form, or means one version or another endpoint.
    """
    from datalad_s3ext.store.s3_url import parse_s3_url

    found = parse_s3_url(url)
    if found.version_id or found.endpoint:
        raise ConfigError(
            f"{url} has parameters, and what is imported is a whole folder",
            remedy="leave out what follows the ?, and give the endpoint by --endpoint",
        )
    return Place(found.bucket, found.name.rstrip("/"))


def import_tree(path: Path, name: str) -> Imported:
    """Import what the remote `name` lists, and merge it into the branch of the data set at `path`.

    Raises
    ------
    ConfigError
        There is no branch to merge into.
    AnnexError
        git-annex could not import, or the trees cannot be merged; the work tree is as before.
    """
    branch = branches.branch_of(path)
    before = branches.commit_of(path, "HEAD")
    old = branches.commit_of(path, f"refs/remotes/{name}/{branch}")
    notes = _import(path, name, branch, largefiles(in_git_now(path, before)))
    new = branches.commit_of(path, f"refs/remotes/{name}/{branch}")
    if new is None:
        return Imported(0, 0, 0, notes)
    if new != old or not branches.is_merged(path, new):
        _merge(path, f"{name}/{branch}", is_first=before is None)
    counts = Counter(branches.changes(path, before))
    return Imported(counts["A"], counts["M"] + counts["T"], counts["D"], notes)


def is_readable_by_all(connection: Connection, place: Place) -> bool:
    """Tell whether it is proven that everybody can list and read what lies at `place`."""
    from datalad_s3ext.credentials.model import Anonymous
    from datalad_s3ext.store.retrying import open_patient_store

    store = open_patient_store(connection, Anonymous(), place.bucket)
    try:
        first = next(store.list(place.prefix and f"{place.prefix}/"), None)
        if first is None:
            return False
        with store.get(first.name) as reader:
            return bool(reader.info.etag)
    except S3xError:
        return False  # not proven: nothing more is claimed
    finally:
        store.close()


def in_git_now(path: Path, commit: str | None) -> list[str]:
    """Return the files of `commit` that git keeps itself."""
    from datalad_s3ext.repo.in_git import files_in_git

    return files_in_git(remotes.git_folder(path), commit) if commit else []


def largefiles(in_git: Sequence[str]) -> str:
    """Return git-annex's rule that annexes all files, but for those `in_git` already.

    As links they would stand in conflict with what git keeps. The data set's own rules do not count:
    those that look into files, as DataLad's text2git has, would need the content of all of them.

    Raises
    ------
    ConfigError
        There are too many for a rule.
    """
    if not in_git:
        return "anything"
    # 10.20261026 compares with ./NAME when it imports, with NAME elsewhere
    names = " or ".join(f"include={dot}{_globbed(name)}" for name in in_git for dot in ("", "./"))
    rule = f"largerthan={KEPT_IN_GIT_BELOW} or not ( {names} )"
    if len(rule.encode("utf-8", "surrogateescape")) > LONGEST_RULE_BYTES:
        raise ConfigError(
            f"git keeps {len(in_git)} files of this data set itself, too many to tell git-annex of",
            remedy="import into a data set of its own, and make that a subdataset",
        )
    return rule


def _globbed(name: str) -> str:
    """Return a pattern that fits `name`; what would end it or mean more fits any character."""
    return "".join("?" if char in _MEANS_MORE or not char.isprintable() else char for char in name)


def _import(path: Path, name: str, branch: str, rule: str) -> tuple[str, ...]:
    # one at a time: with -J, git-annex 10.20261026 waits for ever once a key was refused
    config = annex.config_environment({"annex.largefiles": rule}, os.environ)
    said = annex.run_annex(
        path, "import", branch, "--from", name, "--no-content", "--json",
        env=config,
    )  # fmt: skip
    notes = []
    for line in said.splitlines():
        with suppress(ValueError, AttributeError):
            notes.append(json.loads(line).get("info"))
    return tuple(dict.fromkeys(note for note in notes if note))


def _merge(path: Path, ref: str, *, is_first: bool) -> None:
    try:
        if is_first:
            branches.start_at(path, ref)
        else:
            annex.run_annex(path, "merge", "--allow-unrelated-histories", ref)
    except AnnexError as error:
        files = branches.conflicts(path)
        branches.abort_merge(path)
        what = f"what was imported is in the branch {ref}, and cannot be merged: "
        merge = f"git annex merge --allow-unrelated-histories {ref}"
        if files:
            more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
            raise AnnexError(
                f"{what}changed here and there: {', '.join(map(repr, files[:SHOWN]))}{more}",
                remedy=f"choose for each: {merge}; git checkout --ours FILE (as it is here) or "
                "git checkout --theirs FILE (as in the bucket); git add FILE; git commit",
            ) from error
        raise AnnexError(
            what + error.what, remedy=f"commit or undo changes of the same files, then: {merge}"
        ) from error
