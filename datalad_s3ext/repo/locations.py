"""Which keys the location log says are where: read from git, for all repositories at once.

`git annex info` and `git annex find` answer the same for one remote at a time, in seconds for ten
thousand keys each. Here ten thousand take a fraction of a second, whatever the number of remotes. What
a running git-annex has not committed yet (its journal) counts, too.

Keys stand here as in the names of files: ``/`` is ``%``, and some characters are ``&`` and a letter.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from datalad_s3ext.errors import LocalError, one_line
from datalad_s3ext.repo.folders import annex_folder
from datalad_s3ext.repo.keys import parse_key

_LOG = re.compile(r"[0-9a-f]{3}/[0-9a-f]{3}/([^/]+)\.log")
_POINTER = re.compile(rb"/annex/objects/([^\n]+)(?:\n|\Z)")
_IN_LINK = re.compile(rb"(?:.*/)?\.git/annex/objects/(?:.*/)?([^/]+)", re.DOTALL)
_LARGEST_POINTER = 32 * 1024
_LINK, _FILE = b"120000", (b"100644", b"100755")
_PRESENT = "1"


@dataclass
class Amount:
    """Some keys."""

    keys: int = 0
    bytes: int = 0
    """Of the content, before encryption, of those keys that tell."""
    of_unknown_size: int = 0

    def add(self, key: str) -> None:
        """Count `key`."""
        size = parse_key(key).size_bytes
        self.keys += 1
        self.bytes += size or 0
        self.of_unknown_size += size is None


@dataclass(frozen=True)
class Locations:
    """What is known of the keys of a data set."""

    present: dict[str, frozenset[str]]
    """By key: the UUIDs of the repositories that have it."""
    current: frozenset[str]
    """The keys of the files in the last commit of the current branch."""

    def there(self, uuid: str) -> Amount:
        """Return what the log says is in the repository `uuid`."""
        return _amount(key for key, uuids in self.present.items() if uuid in uuids)

    def missing(self, uuid: str, *, but_in: str | None = None) -> Amount:
        """Return what files of the current branch need and `uuid` has not.

        With `but_in`, only what that repository has.
        """
        nowhere: frozenset[str] = frozenset()
        return _amount(
            key
            for key in self.current
            if uuid not in (have := self.present.get(key, nowhere))
            and (but_in is None or but_in in have)
        )


def read_locations(repo: Path) -> Locations:
    """Return what the git-annex branch of `repo` says, and which keys its current branch needs.

    Raises
    ------
    LocalError
        When git cannot read them.
    """
    present = {key: _present(text) for key, text in _logs(repo)}
    return Locations(present, frozenset(_current(repo)))


def annex_uuid(repo: Path) -> str | None:
    """Return the UUID of this clone's own annex."""
    done = subprocess.run(
        ["git", "config", "annex.uuid"], cwd=repo, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def _amount(keys: Iterable[str]) -> Amount:
    amount = Amount()
    for key in keys:
        amount.add(key)
    return amount


def _logs(repo: Path) -> Iterator[tuple[str, str]]:
    """Yield (key, content of its log); a log in the journal stands for the one in the branch."""
    journaled = dict(_journal(repo))
    rows: list[tuple[str, bytes]] = []
    for _, sha, _, path in _tree(repo, "refs/heads/git-annex"):
        match = _LOG.fullmatch(path)
        if match and match[1] not in journaled:
            rows.append((match[1], sha))
    contents = _contents(repo, [sha for _, sha in rows])
    yield from (
        (key, content.decode(errors="replace"))
        for (key, _), content in zip(rows, contents, strict=True)
    )
    yield from journaled.items()


def _journal(repo: Path) -> Iterator[tuple[str, str]]:
    """Yield (key, log) of what git-annex has written down and not committed."""
    git_dir = Path(_git(repo, "rev-parse", "--absolute-git-dir").decode().rstrip("\n"))
    for file in (annex_folder(git_dir) / "journal").glob("*.log"):
        path = file.name.replace("__", "\0").replace("_", "/").replace("\0", "_")
        match = _LOG.fullmatch(path)
        if match:
            try:
                yield match[1], file.read_text(errors="replace")
            except FileNotFoundError:
                continue  # committed meanwhile: the branch has it


def _present(text: str) -> frozenset[str]:
    """Return the UUIDs that the log of one key calls present; the newest word of each counts."""
    newest: dict[str, tuple[float, str]] = {}
    for line in text.splitlines():
        moment, status, uuid = [*line.split(" ", 2), "", ""][:3]
        try:
            age = float(moment.removesuffix("s"))
        except ValueError:
            continue
        if uuid not in newest or newest[uuid][0] <= age:
            newest[uuid] = (age, status)
    return frozenset(uuid for uuid, (_, status) in newest.items() if status == _PRESENT)


def _current(repo: Path) -> Iterator[str]:
    """Yield the keys of all annexed files in HEAD: symbolic links, or small files that point."""
    rows = [
        (mode, sha)
        for mode, sha, size, _ in _tree(repo, "HEAD")
        if mode == _LINK or (mode in _FILE and size <= _LARGEST_POINTER)
    ]
    kinds = dict.fromkeys(rows)
    for (mode, _), content in zip(kinds, _contents(repo, [sha for _, sha in kinds]), strict=True):
        match = _IN_LINK.fullmatch(content) if mode == _LINK else _POINTER.match(content)
        if match:
            yield match[1].decode("utf-8", "surrogateescape")


def _tree(repo: Path, reference: str) -> Iterator[tuple[bytes, bytes, int, str]]:
    """Yield (mode, object, bytes, path) of all files in a tree; none when there is no such tree."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{reference}^{{tree}}"],
        cwd=repo, capture_output=True, check=False,
    )  # fmt: skip
    if found.returncode:
        return
    for entry in _git(repo, "ls-tree", "-r", "-l", "-z", "--full-tree", reference).split(b"\0"):
        head, tab, path = entry.partition(b"\t")
        if tab:
            mode, _, sha, size = head.split()
            number = int(size) if size.isdigit() else 0
            yield mode, sha, number, path.decode("utf-8", "surrogateescape")


def _contents(repo: Path, shas: list[bytes]) -> Iterator[bytes]:
    """Yield the content of each object, in order."""
    with tempfile.TemporaryFile() as asked:
        asked.writelines(sha + b"\n" for sha in shas)
        asked.seek(0)
        with subprocess.Popen(
            ["git", "cat-file", "--batch", "--buffer"], cwd=repo, stdin=asked, stdout=subprocess.PIPE
        ) as git:
            stream = cast(IO[bytes], git.stdout)
            for _ in shas:
                head = stream.readline().split()
                if len(head) != 3:
                    raise LocalError("git cannot read its objects", remedy="run: git fsck")
                yield stream.read(int(head[2]))
                stream.read(1)


def _git(repo: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=repo, capture_output=True, check=False)
    except OSError as error:
        raise LocalError(f"git cannot be started: {error.strerror}") from error
    if done.returncode:
        raise LocalError(f"git failed: {one_line(done.stderr.decode(errors='replace'))}")
    return done.stdout
