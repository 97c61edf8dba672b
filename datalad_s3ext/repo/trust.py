"""Where keys may go, by the word of the people who use this clone.

``remote.log`` came in with the clone: an endpoint that only stands there is somebody else's wish. What
a person typed or agreed to here is noted in git's configuration, which no clone brings along::

    [s3x "UUID-OF-THE-REMOTE"]
        endpoint = https://s3.example.org
        place = my-bucket/my-prefix/
        publicurl = https://data.example.org/my-prefix/

The second is where the content is kept, see :mod:`datalad_s3ext.remote.moves`, the third where it is
read without keys, see :mod:`datalad_s3ext.remote.public`. The remote's UUID, not
its name, leads to them: git-annex does not tell the name in every request.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from datalad_s3ext.errors import LocalError, one_line

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CODE = re.compile(r"&(\d+);")
_NO_MATCH = 1
_OURS = "s3x"


def setting_of(uuid: str) -> str:
    """Return the name of the git configuration that lists the endpoints of a remote."""
    return f"s3x.{uuid}.endpoint"


def _embedding_of(uuid: str) -> str:
    return f"s3x.{uuid}.embedcreds"


def trusted_endpoints(git_dir: Path, uuid: str) -> frozenset[str]:
    """Return the endpoints to which keys for the remote `uuid` may go; none when git cannot say."""
    if not _ID.fullmatch(uuid):
        return frozenset()
    return frozenset(_git(git_dir, "config", "--get-all", setting_of(uuid)).stdout.split())


def trust_endpoint(git_dir: Path, uuid: str, endpoint_url: str) -> None:
    """Note that keys for the remote `uuid` may go to `endpoint_url`. Doing so twice changes nothing.

    Raises
    ------
    LocalError
        When git cannot write its configuration.
    """
    if endpoint_url in trusted_endpoints(git_dir, uuid) or not _ID.fullmatch(uuid):
        return
    done = _git(git_dir, "config", "--local", "--add", setting_of(uuid), endpoint_url)
    if done.returncode:
        raise LocalError(f"git cannot write its configuration: {one_line(done.stderr)}")


def agreed_places(git_dir: Path, uuid: str) -> tuple[str, ...]:
    """Return where this clone keeps content of the remote `uuid`, as ``bucket/prefix``.

    Raises
    ------
    LocalError
        When git cannot read its configuration: that is no answer.
    """
    return _noted(git_dir, uuid, _place_of(uuid))


def agreed_urls(git_dir: Path, uuid: str) -> tuple[str, ...]:
    """Return below which URLs a person here reads the remote `uuid` without keys.

    Raises
    ------
    LocalError
        When git cannot read its configuration: that is no answer.
    """
    return _noted(git_dir, uuid, _url_of(uuid))


def _noted(git_dir: Path, uuid: str, setting: str) -> tuple[str, ...]:
    if not _ID.fullmatch(uuid):
        return ()
    done = _git(git_dir, "config", "--null", "--get-all", setting)
    if done.returncode not in (0, _NO_MATCH):
        raise LocalError(f"git cannot read its configuration: {one_line(done.stderr)}")
    return tuple(done.stdout.split("\0")[:-1])


def agreed_in(config: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return the UUID of a remote and an agreed place, for each that is among names and values."""
    begin, end = f"{_OURS}.", ".place"
    return frozenset(
        (name.removeprefix(begin).removesuffix(end), place)
        for name, place in config
        if name.startswith(begin) and name.endswith(end)
    )


def agree_to_place(git_dir: Path, uuid: str, place: str) -> None:
    """Note that the content of the remote `uuid` is kept at `place`, as ``bucket/prefix``.

    Raises
    ------
    LocalError
        When git cannot write its configuration.
    """
    _note(git_dir, uuid, _place_of(uuid), place)


def agree_to_url(git_dir: Path, uuid: str, url: str) -> None:
    """Note that a person here reads the remote `uuid` below `url`, if without keys.

    Raises
    ------
    LocalError
        When git cannot write its configuration.
    """
    _note(git_dir, uuid, _url_of(uuid), url)


def _note(git_dir: Path, uuid: str, setting: str, value: str) -> None:
    if not _ID.fullmatch(uuid) or value in _noted(git_dir, uuid, setting):
        return
    done = _git(git_dir, "config", "--local", "--add", setting, value)
    if done.returncode:
        raise LocalError(f"git cannot write its configuration: {one_line(done.stderr)}")


def forget_place(git_dir: Path, uuid: str, place: str) -> None:
    """Take back what `agree_to_place` has noted, if it has."""
    if _ID.fullmatch(uuid):
        _git(git_dir, "config", "--local", "--fixed-value", "--unset-all", _place_of(uuid), place)


def _place_of(uuid: str) -> str:
    return f"s3x.{uuid}.place"


def _url_of(uuid: str) -> str:
    return f"s3x.{uuid}.publicurl"


def allow_embedding(git_dir: Path, uuid: str) -> None:
    """Note that a person here wants the keys of the remote `uuid` in the git-annex branch."""
    if _ID.fullmatch(uuid):
        _git(git_dir, "config", "--local", _embedding_of(uuid), "true")


def is_embedding_allowed(git_dir: Path, uuid: str) -> bool:
    """Tell whether :func:`allow_embedding` was called, now or in the past."""
    if not _ID.fullmatch(uuid):
        return False
    return _git(git_dir, "config", "--get", _embedding_of(uuid)).stdout.strip() == "true"


def is_recorded_place(git_dir: Path, uuid: str, endpoint_url: str) -> bool:
    """Tell whether some git-annex branch here may name `endpoint_url` for the remote `uuid`.

    If none does, a person has typed it just now. In doubt the answer is yes.
    """
    parts = urlsplit(endpoint_url)
    port = str(parts.port) if parts.port else ""
    return is_recorded(git_dir, uuid, _OURS, parts.hostname or "", port)


def is_recorded(git_dir: Path, *texts: str) -> bool:
    """Tell whether a line of ``remote.log`` in a git-annex branch here holds all `texts`.

    All branches that git-annex would merge are read, and lines are searched, not parsed: whoever
    wrote them must not gain by a difference between git-annex's reading and ours. In doubt: yes.
    """
    listed = _git(git_dir, "for-each-ref", "--format=%(refname)")
    branches = [name for name in listed.stdout.split() if name.endswith("/git-annex")]
    if listed.returncode:
        return True
    return any(_may_hold(git_dir, branch, texts) for branch in branches)


def _may_hold(git_dir: Path, branch: str, texts: tuple[str, ...]) -> bool:
    listed = _git(git_dir, "ls-tree", "--name-only", branch, "remote.log")
    if listed.returncode:
        return True
    if not listed.stdout:
        return False
    shown = _git(git_dir, "cat-file", "blob", f"{branch}:remote.log")
    lines = map(_plain, shown.stdout.split("\n"))
    return shown.returncode != 0 or any(all(text.lower() in line for text in texts) for line in lines)


def _plain(line: str) -> str:
    """Undo git-annex's ``&<code>;``, with any number of leading zeros."""
    return _CODE.sub(lambda match: _character(match[1]) or match[0], line).lower()


def _character(digits: str) -> str:
    code = digits.lstrip("0") or "0"
    return chr(int(code)) if len(code) <= 6 else ""


def _git(git_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", f"--git-dir={git_dir}", *arguments],
        capture_output=True, text=True, errors="surrogateescape", check=False,
    )  # fmt: skip
