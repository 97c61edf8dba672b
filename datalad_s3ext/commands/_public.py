"""Whether what a remote keeps can be read by everybody: below its ``publicurl``, or in its bucket."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.remote.layout import Layout
from datalad_s3ext.remote.local import read_choices
from datalad_s3ext.remote.public import Proof, exported_files, open_public_url, public_url
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.exported_names import names_by_key
from datalad_s3ext.repo.remotes import SpecialRemote
from datalad_s3ext.store.base import ObjectStore


def check_public_url(path: Path, remote: SpecialRemote) -> None:
    """Make sure that content of `remote` can be read below its ``publicurl``, without keys.

    The marker has to lie there, or one of the files that this clone knows to have been exported.

    Raises
    ------
    S3xError
        It cannot be, or nothing shows it.
    """
    get, git_dir = remote.parameters.get, remotes.git_folder(path)
    url = public_url(get("publicurl"), importtree=get("importtree") in {"yes", "true"})
    if url is None:
        raise ConfigError(f"{remote.name!r} has no publicurl to be read from")
    choices = read_choices(remote.enabled_as or remote.name, git_dir)
    with closing(open_public_url(url, remote.bucket, choices)) as store:
        if not _proof(path, remote).is_shown_by(store):
            raise ConfigError(f"{url} does not show that it has the content of {remote.name!r}")


def check_content_is_public(path: Path, remote: SpecialRemote, store: ObjectStore) -> None:
    """Make sure that `store`, asked without keys, gives content of `remote`, a tree of files.

    A file that this clone knows to have been exported is read, else the first that is listed.

    Raises
    ------
    S3xError
        It cannot be read, or nothing is there to be read.
    """
    if _proof(path, remote).is_shown_by(store):
        return
    first = next((one for one in store.list(remote.prefix) if one.size_bytes), None)
    if first is None:
        raise ConfigError(
            f"nothing in bucket {remote.bucket} shows that it can be read without keys",
            remedy="give keys, or --anonymous",
        )
    with store.get(first.name, start=0, length=1) as answer:
        answer.read(1)


def _proof(path: Path, remote: SpecialRemote) -> Proof:
    git_dir, layout = remotes.git_folder(path), Layout(remote.prefix)
    return Proof(
        layout,
        remote.uuid if remote.has_marker else None,
        lambda: exported_files(names_by_key(git_dir, remote.uuid), layout),
    )


def is_public_url_of(path: Path, remote: SpecialRemote) -> bool:
    """Tell whether it is proven that everybody can read content of `remote` below its ``publicurl``."""
    try:
        check_public_url(path, remote)
    except S3xError:
        return False  # not proven: nothing more is claimed
    return True
