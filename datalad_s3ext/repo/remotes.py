"""Special remotes: what the git-annex branch says of them, and which of them this clone uses.

``remote.log`` of the git-annex branch is somebody else's text in a clone: parameters read here are
data, never options that weaken security. What a person chose on this machine stands in git's local
configuration.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import git

from datalad_s3ext.credentials.model import KEPT, Keys
from datalad_s3ext.errors import ConfigError, LocalError, one_line
from datalad_s3ext.repo import trust
from datalad_s3ext.repo.folders import as_file_name
from datalad_s3ext.repo.kept_keys import NAME as KEPT_NAME

EXTERNAL_TYPE = "s3x"
PROGRAM = f"git-annex-remote-{EXTERNAL_TYPE}"
PROFILE_CONFIG = "s3x-profile"
ANONYMOUS_CONFIG = "s3x-anonymous"
SIGNATURE_CONFIG = "s3x-signature"
VERIFY_CONFIG = "s3x-verify"
"""Names of the local git configuration of a remote, ``remote.<name>.*``; read by the remote, too."""


_ESCAPE = re.compile(r"&(\d{1,7});")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEAD = "X"
_OWN = f"{EXTERNAL_TYPE}-"
AMAZON = "amazonaws.com"


_NOT_BY_KEY = ("exporttree", "importtree", "bucketversioning")
"""Parameters of remotes whose objects have the names of files."""


INHERITED = ("encryption", "chunk", "cipher", "cipherkeys", "mac")
"""Parameters that a remote made with ``--sameas`` has from the other, and never of its own."""


@dataclass(frozen=True)
class SpecialRemote:
    """A special remote of the git-annex branch."""

    uuid: str
    """Of the content; shared by remotes that reach the same content in several ways."""
    name: str
    type: str
    externaltype: str | None
    parameters: Mapping[str, str]
    enabled_as: str | None = None
    """Name of the git remote through which this clone uses it, if any."""
    config_uuid: str | None = None
    """Set for a remote made with ``--sameas``: the id of its own configuration."""

    @property
    def id(self) -> str:
        """Return the UUID under which the configuration is recorded."""
        return self.config_uuid or self.uuid

    @property
    def own_parameters(self) -> Mapping[str, str]:
        """Return what is recorded of itself, without what it has from another one (``--sameas``)."""
        if self.config_uuid is None:
            return self.parameters
        return {name: value for name, value in self.parameters.items() if name not in INHERITED}

    @property
    def is_s3(self) -> bool:
        """Tell whether it keeps content in an S3 bucket: built-in ``type=S3``, or ours."""
        return self.type == "S3" or self.is_ours

    @property
    def is_ours(self) -> bool:
        """Tell whether git-annex-remote-s3x serves it."""
        return self.type == "external" and self.externaltype == EXTERNAL_TYPE

    @property
    def bucket(self) -> str:
        """Return the bucket's name; built-in ``type=S3`` writes it in lower case."""
        name = self.parameters.get("bucket", "")
        return name if self.is_ours else name.lower()

    @property
    def prefix(self) -> str:
        """Return what every object name begins with."""
        return self.parameters.get("fileprefix", "")

    @property
    def has_marker(self) -> bool:
        """Tell whether the bucket holds the marker object: not for trees of exported files."""
        trees = (self.parameters.get(name, "no") for name in _NOT_BY_KEY)
        return all(value not in {"yes", "true"} for value in trees)

    @property
    def place(self) -> tuple[str, str, str]:
        """Return (host, bucket, prefix); equal for remotes that would share objects."""
        return (service_host(self.parameters), self.bucket, self.prefix)


def service_host(parameters: Mapping[str, str]) -> str:
    """Return ``host:port`` of the service in `parameters`, or what stands for it."""
    endpoint = parameters.get("endpoint", "")
    host = endpoint.split("://")[-1].rstrip("/") or parameters.get("host", "")
    if not host and "provider" in parameters:
        host = f"provider {parameters['provider']}"
    if not endpoint and parameters.get("port") not in {None, "", "80", "443"}:
        host += f":{parameters['port']}"
    amazon = not host or host == "provider aws" or host.endswith(AMAZON)
    return AMAZON if amazon else host.lower().removesuffix(":443").removesuffix(":80")


def special_remotes(repo: Path) -> list[SpecialRemote]:
    """Return all special remotes that `repo` knows and that are not dead, by name.

    In a fresh clone whose git-annex branch is not there yet, those of its siblings' branches.

    Raises
    ------
    LocalError
        When `repo` is no git repository.
    """
    with _opened(repo) as opened:
        branches = _annex_branches(opened)
        remote_log, trust_log = (
            _read_all(opened, branches, log) for log in ("remote.log", "trust.log")
        )
        enabled = _enabled(opened)
    return assembled(remote_log, trust_log, enabled)


def enabled_names(repo: Path) -> Mapping[str, str]:
    """Return the name of the git remote for each UUID of a special remote's configuration in use."""
    with _opened(repo) as opened:
        return _enabled(opened)


def assembled(remote_log: str, trust_log: str, enabled: Mapping[str, str]) -> list[SpecialRemote]:
    """Return the special remotes that the text of two logs knows, dead ones excepted, by name."""
    configs, dead = parse_remote_log(remote_log), parse_dead(trust_log)
    found = [_special_remote(uuid, configs, enabled) for uuid in configs if uuid not in dead]
    return sorted(found, key=lambda remote: (remote.name, remote.id))


def s3_remotes(repo: Path) -> list[SpecialRemote]:
    """Return the special remotes of `repo` that keep content in S3."""
    return [remote for remote in special_remotes(repo) if remote.is_s3]


def git_remote_names(repo: Path) -> list[str]:
    """Return the names of all git remotes of `repo`, enabled special remotes included.

    What a person has chosen for a remote that is to be enabled (``s3x-...``) makes none.
    """
    with _opened(repo) as opened:
        found = _remote_settings(opened)
        return sorted({name for name, setting, _ in found if not setting.startswith(_OWN)})


def is_remote_name(name: str) -> bool:
    """Tell whether git can have a remote called `name`, and a command line can name it."""
    if not name or name.startswith("-") or not name.isprintable() or any(map(str.isspace, name)):
        return False
    command = ["git", "check-ref-format", f"refs/remotes/{name}/x"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def is_annex(repo: Path) -> bool:
    """Tell whether git-annex was initialised in this clone."""
    with _opened(repo) as opened:
        return _get(opened, "annex.uuid") is not None


def has_annex_branch(repo: Path) -> bool:
    """Tell whether this clone or one of its siblings has a git-annex branch."""
    with _opened(repo) as opened:
        return bool(_annex_branches(opened))


def get_config(repo: Path, remote: str, name: str) -> str | None:
    """Return the local git configuration ``remote.<remote>.<name>``; ``None`` when it is absent."""
    with _opened(repo) as opened:
        return _get(opened, f"remote.{remote}.{name}")


def set_config(repo: Path, remote: str, name: str, value: str | None) -> None:
    """Set ``remote.<remote>.<name>`` in the local git configuration, or remove it."""
    set_local(repo, f"remote.{remote}.{name}", value)


def get_local(repo: Path, name: str) -> str | None:
    """Return the effective git configuration `name` in `repo`, from any of git's files."""
    with _opened(repo) as opened:
        return _get(opened, name, scope=())


def set_local(repo: Path, name: str, value: str | None) -> None:
    """Set any local git configuration of `repo`, or remove it when `value` is ``None``."""
    with _opened(repo) as opened:
        if value is not None:
            opened.git.config("--local", "--replace-all", name, value)
        elif _get(opened, name) is not None:
            opened.git.config("--local", "--unset-all", name)


def local_settings(repo: Path, prefix: str) -> dict[str, str]:
    """Return the local git configuration of `repo` whose names begin with `prefix`."""
    with _opened(repo) as opened:
        listing = _tried(lambda: opened.git.config("--local", "--null", "--list")) or ""
    pairs = (entry.partition("\n") for entry in listing.split("\0"))
    return {name: value for name, _, value in pairs if name.startswith(prefix)}


def remembered_keys(repo: Path, remote: SpecialRemote) -> Keys | None:
    """Return the keys that git-annex keeps for `remote` in this clone (``.git/annex/creds``)."""
    for file in _kept_files(repo, remote):
        lines = file.read_text(encoding="utf-8").splitlines()
        if len(lines) >= 2:
            return Keys(lines[0], lines[1], source=KEPT)
    return None


def forget_keys(repo: Path, remote: SpecialRemote) -> None:
    """Remove the keys that git-annex keeps for `remote` in this clone; others are left."""
    for file in _kept_files(repo, remote):
        file.unlink(missing_ok=True)


def git_folder(repo: Path) -> Path:
    """Return the git directory of `repo` that all its worktrees share."""
    with _opened(repo) as opened:
        return Path(opened.common_dir)


def has_moved(repo: Path, remote: SpecialRemote) -> bool:
    """Tell whether `repo` has used another bucket or prefix, and nobody agreed to that of `remote`."""
    if not remote.is_ours:
        return False
    known = trust.agreed_places(git_folder(repo), remote.uuid)
    return bool(known) and f"{remote.bucket}/{remote.prefix}" not in known


def _kept_files(repo: Path, remote: SpecialRemote) -> list[Path]:
    folder = git_folder(repo) / "annex" / "creds"
    own_suffix = f"-{KEPT_NAME}" if remote.is_ours else ""
    candidates = [folder / f"{as_file_name(uuid)}{own_suffix}" for uuid in (remote.id, remote.uuid)]
    return [file for file in dict.fromkeys(candidates) if file.is_file()]


def parse_remote_log(text: str) -> dict[str, dict[str, str]]:
    """Return the newest parameters of every UUID in `text`, the content of remote.log.

    A merge may leave several lines of one UUID: the newest counts, and the later of equals. A line
    whose first word could not be a UUID is nobody's: it must not end up as an option of git-annex.
    """
    newest: dict[str, tuple[float, dict[str, str]]] = {}
    for line in text.splitlines():
        uuid, *words = line.split(" ")
        pairs = dict(word.split("=", 1) for word in words if "=" in word)
        age = _timestamp(pairs.pop("timestamp", ""))
        if _ID.fullmatch(uuid) and (uuid not in newest or newest[uuid][0] <= age):
            newest[uuid] = (age, {key: unescape(value) for key, value in pairs.items()})
    return {uuid: parameters for uuid, (_, parameters) in newest.items()}


def parse_dead(text: str) -> set[str]:
    """Return the UUIDs that `text`, the content of trust.log, declares dead."""
    newest: dict[str, tuple[float, str]] = {}
    for line in text.splitlines():
        uuid, level, *rest = [*line.split(" "), "", ""]
        age = _timestamp(rest[0].removeprefix("timestamp="))
        if uuid not in newest or newest[uuid][0] <= age:
            newest[uuid] = (age, level)
    return {uuid for uuid, (_, level) in newest.items() if level == _DEAD}


def unescape(value: str) -> str:
    """Undo git-annex's writing of white space and ``&`` as ``&<code>;``."""
    return _ESCAPE.sub(lambda match: _character(int(match[1])) or match[0], value)


def _character(code: int) -> str | None:
    return chr(code) if code <= sys.maxunicode else None


def _special_remote(
    uuid: str, configs: Mapping[str, Mapping[str, str]], enabled: Mapping[str, str]
) -> SpecialRemote:
    own = configs[uuid]
    content = own.get("sameas-uuid")
    if content is not None and not _ID.fullmatch(content):
        content = None  # somebody else's text that is no UUID, and must not become a file's name
    parameters = {**_inherited(configs.get(content or "", {})), **own}
    return SpecialRemote(
        uuid=content or uuid,
        name=own.get("name") or own.get("sameas-name") or uuid,
        type=own.get("type", ""),
        externaltype=own.get("externaltype"),
        parameters=parameters,
        enabled_as=enabled.get(uuid),
        config_uuid=uuid if content else None,
    )


def _inherited(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return what a ``--sameas`` remote takes over from the other: how content is encoded."""
    return {name: parameters[name] for name in INHERITED if name in parameters}


def _enabled(opened: git.Repo) -> dict[str, str]:
    """Return the name of the git remote for each UUID of a configuration in use."""
    names: dict[str, dict[str, str]] = {}
    for name, setting, value in _remote_settings(opened):
        names.setdefault(name, {})[setting] = value
    return {
        settings.get("annex-config-uuid") or settings["annex-uuid"]: name
        for name, settings in names.items()
        if "annex-uuid" in settings
    }


def _remote_settings(opened: git.Repo) -> Iterable[tuple[str, str, str]]:
    """Yield (remote, setting, value) of the local configuration."""
    listing = _tried(lambda: opened.git.config("--local", "--null", "--get-regexp", r"^remote\."))
    for entry in (listing or "").split("\0"):
        key, _, value = entry.partition("\n")
        _, _, rest = key.partition(".")
        name, dot, setting = rest.rpartition(".")
        if dot:
            yield name, setting, value


def _annex_branches(opened: git.Repo) -> list[str]:
    """Return the local git-annex branch, else those of the siblings."""
    own, others = "refs/heads/git-annex", "refs/remotes/*/git-annex"
    listing = opened.git.for_each_ref("--format=%(refname)", own)
    return str(listing or opened.git.for_each_ref("--format=%(refname)", others)).split()


def _read_all(opened: git.Repo, branches: Iterable[str], path: str) -> str:
    return "\n".join(
        str(opened.git.show(f"{branch}:{path}"))
        for branch in branches
        if opened.git.ls_tree("--name-only", branch, path)
    )


def _get(opened: git.Repo, name: str, *, scope: tuple[str, ...] = ("--local",)) -> str | None:
    return _tried(lambda: opened.git.config(*scope, "--get", name))


def _tried(ask: Callable[[], str]) -> str | None:
    """Return the answer of ``git config``; ``None`` when it says there is none."""
    try:
        return ask()
    except git.GitCommandError as exc:
        if exc.status == 1:
            return None
        raise LocalError(f"git failed: {one_line(str(exc.stderr))}") from exc


def _opened(repo: Path) -> git.Repo:
    try:
        return git.Repo(repo, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as exc:
        raise ConfigError(f"{repo} is no git repository", remedy="make it one: datalad create") from exc


def timestamp_of(line: str) -> float:
    """Return the time stamp of a line of remote.log; 0 without one."""
    words = [word for word in line.split(" ") if word.startswith("timestamp=")]
    return _timestamp(words[-1].removeprefix("timestamp=")) if words else 0.0


def _timestamp(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        return 0.0
