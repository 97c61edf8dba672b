"""Exporting a tree of files through git-annex, file by file, and having `datalad push` do it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from datalad_s3ext.errors import ConfigError, LocalError, one_line
from datalad_s3ext.repo import remotes
from datalad_s3ext.repo.exported import exported_trees
from datalad_s3ext.repo.folders import annex_folder
from datalad_s3ext.repo.remotes import SpecialRemote

TRACKING = "annex-tracking-branch"
_YES = frozenset({"yes", "true"})
_HOOK = "datalad.result-hook.s3-export-"


@dataclass(frozen=True)
class Step:
    """What git-annex did with one file of the tree."""

    did: str
    """``export``, ``rename`` or ``unexport``."""
    file: str
    success: bool
    message: str = ""


@dataclass(frozen=True)
class Export:
    """One tree on its way to one remote."""

    path: Path
    remote: SpecialRemote
    treeish: str

    @property
    def name(self) -> str:
        """Return the name of the remote in this clone."""
        return self.remote.enabled_as or self.remote.name

    def is_done(self) -> bool:
        """Tell whether git-annex has exported just this tree, completely, and nothing since."""
        git_dir = remotes.git_folder(self.path)
        trees = exported_trees(git_dir, self.remote.uuid)
        tree, mark = tree_of(self.path, self.treeish), _mark(git_dir, self.remote)
        return trees[:1] == [tree] and mark.is_file() and mark.read_text() == tree

    def run(self, jobs: int | None = None) -> Iterator[Step]:
        """Have git-annex export the tree; yield what it does as it does it.

        Raises
        ------
        ConfigError
            When there is no such tree.
        LocalError
            When git-annex ends with a failure that is of no file.
        """
        tree, failed = tree_of(self.path, self.treeish), False
        mark = _mark(remotes.git_folder(self.path), self.remote)
        mark.unlink(missing_ok=True)
        command = ["git", "annex", "export", self.treeish, "--to", self.name]
        command += ["--json", "--json-error-messages", *([f"--jobs={jobs}"] if jobs else [])]
        with TemporaryFile("w+", errors="replace") as errors:  # nobody would empty a pipe meanwhile
            with subprocess.Popen(
                command, cwd=self.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, text=True, errors="surrogateescape",
            ) as process:  # fmt: skip
                for line in process.stdout or ():
                    if (step := _step(line)) is not None:
                        failed |= not step.success
                        yield step
            errors.seek(0)
            said = errors.read()
        if process.returncode and not failed:
            raise LocalError(f"git-annex export failed: {one_line(said)}")
        if not process.returncode:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(tree)


def find_export(path: Path, name: str, treeish: str | None) -> Export:
    """Return what is to be exported to the remote `name`.

    Without `treeish` that is the branch noted as ``annex-tracking-branch`` of the remote, else the
    current one.

    Raises
    ------
    ConfigError
        When the remote is none in use here, or takes no trees.
    """
    known = [one for one in remotes.special_remotes(path) if name in {one.name, one.enabled_as, one.id}]
    remote = next((one for one in known if one.enabled_as == name), known[0] if known else None)
    if remote is None or remote.enabled_as is None:
        raise ConfigError(
            f"there is no special remote {name!r} in use here", remedy="see `datalad siblings`"
        )
    if remote.parameters.get("exporttree", "no") not in _YES:
        raise ConfigError(
            f"{name!r} keeps content by key, not as a tree of files",
            remedy=f"use datalad push --to {name}, or set up a sibling with --set exporttree=yes",
        )
    treeish = treeish or remotes.get_config(path, remote.enabled_as, TRACKING) or _branch(path)
    return Export(path, remote, treeish)


def tree_of(path: Path, treeish: str) -> str:
    """Return the id of the tree that `treeish` names; ``BRANCH:FOLDER`` is one, too.

    Raises
    ------
    ConfigError
        When there is none.
    """
    verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    found = _git(path, *verify, treeish).stdout.strip()
    done = _git(path, *verify, f"{found}^{{tree}}")
    if not found or done.returncode:
        raise ConfigError(
            f"{treeish!r} is no branch, commit or folder here", remedy="save first: datalad save"
        )
    return done.stdout.strip()


def follow_pushes(path: Path, name: str, *, wanted: bool) -> bool:
    """Have `datalad push --to NAME` export afterwards, or no more; tell whether that is a change.

    It is kept in this clone only.

    DataLad calls our command for each result of a push to this sibling; all but the first find that
    the tree is there already.
    """
    match = {"action": "copy", "target": name}
    call = {"name": name, "dataset": "{refds}", "only_new": True}
    # what looks like a placeholder to DataLad is doubled, but for the one that is meant
    text = json.dumps(call).replace("{", "{{").replace("}", "}}").replace("{{refds}}", "{refds}")
    settings = {"match-json": json.dumps(match), "call-json": f"s3_export {text}"}
    names = {
        f"{_HOOK}{name}.{setting}": value if wanted else None for setting, value in settings.items()
    }
    if all(remotes.get_local(path, setting) == value for setting, value in names.items()):
        return False
    for setting, value in names.items():
        remotes.set_local(path, setting, value)
    return True


def _branch(path: Path) -> str:
    """Return the current branch; of an adjusted one the branch it was made from."""
    found = _git(path, "symbolic-ref", "--short", "HEAD").stdout.strip()
    if found.startswith("adjusted/"):
        return found.removeprefix("adjusted/").partition("(")[0]
    return found or "HEAD"


def _step(line: str) -> Step | None:
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    reasons = [str(text) for text in record.get("error-messages", [])]
    message = one_line("; ".join(reasons)) or one_line(str(record.get("note") or ""))
    did, words = str(record.get("command", "export")), record.get("input") or [""]
    file = record.get("file") or words[0]
    return Step(did.split(" ")[0], str(file), bool(record.get("success")), message)


def _mark(git_dir: Path, remote: SpecialRemote) -> Path:
    return annex_folder(git_dir) / "s3x" / f"exported-{remote.uuid}"


def _git(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=path, capture_output=True, text=True, check=False)
