"""Lasting keys of a remote, kept in this clone where git-annex keeps those of its built-in remotes.

``.git/annex/creds/<uuid>-s3xcreds``, two lines, mode 0600: the file that git-annex itself would write
for SETCREDS. It is written here because git-annex prints the whole conversation, keys included, when
it runs with --debug.
"""

from __future__ import annotations

import os
from pathlib import Path

from datalad_s3ext.errors import LocalError
from datalad_s3ext.repo.folders import annex_folder, as_file_name

NAME = "s3xcreds"


def read_keys(git_dir: Path, uuid: str) -> tuple[str, str] | None:
    """Return access key id and secret of the remote `uuid`, if they are kept here."""
    try:
        lines = _file(git_dir, uuid).read_text("utf-8").splitlines()
    except OSError:
        return None
    return (lines[0], lines[1]) if len(lines) >= 2 else None


def keep_keys(git_dir: Path, uuid: str, access_key_id: str, secret_access_key: str) -> None:
    """Keep the keys of the remote `uuid`, replacing older ones; nobody else may read them, ever.

    Raises
    ------
    LocalError
        When they cannot be written.
    """
    path = _file(git_dir, uuid)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(f"{access_key_id}\n{secret_access_key}")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise LocalError(
            f"the keys cannot be kept in {path.parent}: {error.strerror}",
            remedy="mend the permissions there, or set the keys in the environment each time",
        ) from error


def _file(git_dir: Path, uuid: str) -> Path:
    return annex_folder(git_dir) / "creds" / f"{as_file_name(uuid)}-{NAME}"
