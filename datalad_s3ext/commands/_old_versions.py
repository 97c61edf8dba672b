"""Content of an exported tree that only old versions of its files still have.

Built-in ``type=S3`` with ``versioning=yes`` fetches it by itself. git-annex asks no remote from outside
for files that are not in the newest tree, so after a switch a second way to the remote is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from datalad_s3ext.commands._trial import keys_in_newest_tree
from datalad_s3ext.errors import IntegrityError
from datalad_s3ext.repo import annex, remotes
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.probe import retold

_PLACE = ("type", "externaltype", "provider", "endpoint", "region", "bucket", "fileprefix",
          "requeststyle", "signature", "requester-pays")  # fmt: skip
_YES = frozenset({"yes", "true"})


def keys_in_old_versions(path: Path, remote: SpecialRemote) -> list[str]:
    """Return the keys that the location log says are in `remote`, and that its newest tree lacks.

    Of any other remote than a tree of built-in ``type=S3`` with ``versioning=yes``: none.

    Raises
    ------
    AnnexError
        When git-annex cannot list them.
    """
    given = remote.parameters
    if remote.type != "S3" or not {given.get("exporttree"), given.get("versioning")} <= _YES:
        return []
    newest = set(keys_in_newest_tree(path, remote))
    known = annex.run_annex(path, "findkeys", f"--in={remote.uuid}").splitlines()
    return [key for key in known if key not in newest]


def told_of_old_versions(path: Path, name: str, keys: list[str], parameters: Mapping[str, str]) -> str:
    """Return what to say, behind a message, of `keys` when the remote `name` gets `parameters`."""
    if not keys:
        return ""
    taken = {one.name for one in remotes.special_remotes(path)} | {*remotes.git_remote_names(path)}
    second = next(one for one in _names(name) if one not in taken)
    given = {one: parameters[one] for one in _PLACE if parameters.get(one)}
    words = [f"{one}={value}" for one, value in {**given, "bucketversioning": "yes",
                                                "encryption": "none"}.items()]  # fmt: skip
    command = shlex.join(["git", "annex", "initremote", second, f"--sameas={name}", *words])
    are = "1 more key is" if len(keys) == 1 else f"{len(keys)} more keys are"
    return (
        f"; {are} only in old versions of files, which git-annex asks {name!r} for no more: a second "
        f"remote reads them, made after the switch by `{command}`"
    )


def _names(name: str) -> list[str]:
    return [f"{name}-old", *(f"{name}-old{number}" for number in range(2, 100))]


def explained(error: IntegrityError, parameters: Mapping[str, str]) -> IntegrityError:
    """Return `error` of a trial, with what helps where the remote is to be built-in S3 with versions.

    That finds content by the ids of versions that it has noted itself, and others note none for it.
    """
    if parameters.get("type") != "S3" or parameters.get("versioning") != "yes":
        return error
    other = retold(
        error,
        f"{error.what}; with versioning=yes git-annex's type=S3 finds only what it stored itself",
        "add --set versioning=no, with which it finds the files of the newest tree by their names; "
        "the bucket keeps its old versions",
    )  # fmt: skip
    return other if isinstance(other, IntegrityError) else error
