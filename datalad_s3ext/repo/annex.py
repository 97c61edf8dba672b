"""git-annex by subprocess: run it, and turn its failures into one line of the user's language.

The one thing to know: secrets go to git-annex by environment only. Arguments are seen by every user
of the machine (``ps``) and are repeated in git-annex's own JSON; nothing here puts keys there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from datalad_s3ext.errors import LocalError, S3xError, one_line

NO_ENVIRONMENT: Mapping[str, str | None] = {}
NO_CONFIG: Mapping[str, str] = {}
OLDEST_SUPPORTED = "10.20230329"
"""VERSION 2 of the external special remote protocol, which s3x speaks, came with this one."""

_HTTP_DUMP = re.compile(r"HttpExceptionRequest Request \{.*?\n\}\s*", re.DOTALL)
_HASKELL_SHELL = re.compile(r"^\((?:InternalException \()?([A-Z]\w+) (.*?)\)+$")
_NOISE = re.compile(r"^(\(recording state in git\.\.\.\)|failed|ok|\w+: \d+ failed|Auto enabling .*)?$")
_NOT_A_COMMAND = re.compile(r"^git: \W?annex\W", re.MULTILINE)  # in any language of git
_NO_PROGRAM = re.compile(r"(?:Cannot run|unable to use) (git-annex-remote-\S+)")
_CONFIRM = re.compile(r"--safe (\S+)")


class AnnexError(S3xError):
    """git-annex refused or failed; the text is its own reason."""


def run_annex(
    repo: Path, *arguments: str, env: Mapping[str, str | None] = NO_ENVIRONMENT, stdin: str = ""
) -> str:
    """Run ``git annex`` in `repo` and return its standard output.

    Parameters
    ----------
    repo : Path
        A directory in the repository.
    *arguments : str
        The command and its arguments; never a secret.
    env : Mapping
        Environment variables to set, or to remove where the value is ``None``.
    stdin : str, optional
        What the command reads.

    Raises
    ------
    AnnexError
        When git-annex ends with another status than 0.
    LocalError
        When git or git-annex cannot be started.
    """
    done = _start(repo, arguments, env, stdin)
    if done.returncode:
        raise _failure(done.stderr.splitlines())
    return done.stdout


def merge_branch(repo: Path) -> None:
    """Take over what other clones' git-annex branches say, as far as it was fetched.

    Not by ``git annex merge``: that merges ``synced/BRANCH`` into the branch that is checked out, too.
    """
    read = ("config", "--get", "annex.numcopies")  # git-annex merges before it reads its branch
    run_annex(repo, *read, "-c", "annex.merge-annex-branches=true")


def init_remote(
    repo: Path, name: str, parameters: Mapping[str, str],
    *, env: Mapping[str, str | None] = NO_ENVIRONMENT, config: Mapping[str, str] = NO_CONFIG,
) -> None:  # fmt: skip
    """Create the special remote `name`; on failure nothing is recorded.

    Parameters
    ----------
    repo : Path
        A directory in the repository.
    name : str
        Name of the remote.
    parameters : Mapping
        What becomes its shared configuration, ``type`` included.
    env : Mapping, optional
        Environment of this one call; the place for secrets.
    config : Mapping, optional
        Git configuration for this one call; git-annex and the remote's program both see it.
    """
    _change_remote(repo, remote_command("initremote", name, parameters), env, config)


def enable_remote(
    repo: Path, name_or_uuid: str, parameters: Mapping[str, str] | None = None,
    *, env: Mapping[str, str | None] = NO_ENVIRONMENT, config: Mapping[str, str] = NO_CONFIG,
) -> None:  # fmt: skip
    """Enable a known special remote in this clone, changing `parameters` of it on the way."""
    _change_remote(repo, remote_command("enableremote", name_or_uuid, parameters), env, config)


def unconfirmed(repo: Path, name: str) -> str | None:
    """Return git-annex's number of a configuration of the remote `name` nobody has confirmed yet.

    Newer git-annex (10.20261026 does) reads and writes nothing on a special remote whose
    configuration came in with a clone before a person said that the location is the expected one.
    ``None``: nothing is to be confirmed; always so with older versions.
    """
    try:
        answer = run_annex(repo, "verifyremote", name)
    except AnnexError as exc:
        if "Invalid argument" in exc.what:  # the command is unknown to this version
            return None
        raise
    asked = _CONFIRM.search(answer)
    return asked[1] if asked else None


def confirm(repo: Path, name: str) -> None:
    """Tell git-annex that the location of the remote `name` is the expected one.

    To be called only when a person chose this location, or this remote.
    """
    number = unconfirmed(repo, name)
    if number is not None:
        run_annex(repo, "verifyremote", name, "--safe", number)


def remote_command(command: str, name: str, parameters: Mapping[str, str] | None = None) -> list[str]:
    """Return the arguments of ``git annex`` for initremote or enableremote, in a stable order."""
    return [command, name, *(f"{key}={value}" for key, value in (parameters or {}).items())]


def git_annex_version() -> str:
    """Return the version of git-annex in PATH, such as ``10.20261026``."""
    text = run_annex(Path.cwd(), "version", "--raw")
    return text.strip().split("-")[0]


def is_supported(version: str) -> bool:
    """Tell whether git-annex of this `version` can talk to the s3x remote."""
    return _version_numbers(version) >= _version_numbers(OLDEST_SUPPORTED)


def failure_text(lines: Sequence[str]) -> str:
    """Return the reason in git-annex's error `lines`, on one line, without its noise.

    Haskell's dump of an HTTP request is dropped: what follows it tells the cause.
    """
    text = _HTTP_DUMP.sub("", "\n".join(lines))
    reasons = [_without_shell(line.strip()) for line in text.splitlines()]
    kept = [reason for reason in reasons if not _NOISE.match(reason)]
    return one_line("; ".join(dict.fromkeys(kept))) or "failed without giving a reason"


def check_program(program: str) -> None:
    """Make sure that `program` can be started by its name, as git-annex starts it.

    Raises
    ------
    LocalError
        When it cannot.
    """
    if shutil.which(program) is None:
        raise _not_found(program)


def _failure(lines: Sequence[str]) -> S3xError:
    """Return the error for what git-annex, or git instead of it, said on failing."""
    text = "\n".join(lines)
    if _NOT_A_COMMAND.search(text):
        return _not_found("git-annex")
    if missing := _NO_PROGRAM.search(text):
        return _not_found(missing[1])
    return AnnexError(f"git-annex: {failure_text(lines)}")


def _not_found(program: str) -> LocalError:
    beside = Path(sys.executable).parent
    where = f", which is {beside}" if (beside / program).exists() else ""
    package = "git-annex" if program == "git-annex" else "datalad-s3ext"
    return LocalError(
        f"{program} was not found in PATH",
        remedy=f"activate the environment it is in{where}, or: pip install {package}",
    )


def _change_remote(
    repo: Path, arguments: Sequence[str], env: Mapping[str, str | None], config: Mapping[str, str]
) -> None:
    command, *rest = arguments
    everything = {**env, **config_environment(config, os.environ)}
    done = _start(repo, [command, "--json", "--json-error-messages", *rest], everything, "")
    if done.returncode:
        lines = _json_errors(done.stdout) or done.stderr.splitlines()
        raise _failure(lines)


def _start(
    repo: Path, arguments: Sequence[str], env: Mapping[str, str | None], stdin: str
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "annex", *arguments], cwd=repo, env=_environment(env), input=stdin,
            capture_output=True, text=True, errors="surrogateescape", check=False,
        )  # fmt: skip
    except OSError as exc:
        raise LocalError(
            f"git-annex cannot be started in {repo}: {exc.strerror}",
            remedy="install git and git-annex: pip install git-annex",
        ) from exc


def config_environment(config: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that add `config` to the git configuration in `environ`.

    The environment reaches every git below git-annex; ``git annex -c`` does not reach the
    program of an external remote.
    """
    if not config:
        return {}
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_CONFIG_COUNT": str(first + len(config))}
    for number, (name, value) in enumerate(config.items(), start=first):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    wanted: dict[str, str | None] = {**os.environ, **changes}
    return {name: value for name, value in wanted.items() if value is not None}


def _json_errors(stdout: str) -> list[str]:
    """Return the error messages of all JSON records in `stdout`."""
    messages: list[str] = []
    for line in stdout.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        messages += record.get("error-messages", [])
    return messages


def _without_shell(line: str) -> str:
    """Return what a Haskell exception says: ``(Failure "text")`` becomes ``text``."""
    line = line.removeprefix("git-annex: ").strip()
    shell = _HASKELL_SHELL.match(line)
    return shell[2].strip('"') if shell else line


def _version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version.split("-")[0]))
