"""The same remote in other words: parameters of one type said as those of another. Nothing is asked.

What says how content is encoded, split and named stays word for word. Where the content lies is said
anew. The rest is translated where the other type knows it, and named as lost where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from datalad_s3ext.commands._settings import BUILTIN_PREFIXES, BUILTIN_SETTINGS, Wish, parameters_of
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.settings import COMMON, CUSTOMER_KEY, SETTINGS
from datalad_s3ext.repo.remotes import INHERITED, SpecialRemote

RCLONE_TYPES = frozenset({"rclone", "rclone-builtin"})
"""``type=rclone``, and the two programs that serve it for ``type=external``."""
_PLACE = frozenset({
    "type", "externaltype", "provider", "bucket", "fileprefix", "endpoint", "host", "port", "protocol",
    "region", "datacenter", "signature", "requeststyle",
})  # fmt: skip
"""Said anew from the connection."""
_RCLONE = frozenset({
    "target", "prefix", "rclone_layout", "rcloneremotename", "rcloneprefix", "rclonelayout",
})  # fmt: skip
_ANNEX_OWN = COMMON | {
    "cipher", "cipherkeys", "chunksize", "sameas-uuid", "sameas-name", "config-uuid",
}  # fmt: skip
_CREDS = frozenset({"s3creds", "s3xcreds", "embedcreds", "onlyencryptcreds"})
_OTHER_WORDS = {
    "versioning": ("bucketversioning", "yes"),
    "public": ("acl", "public-read"),
}
"""Parameters of type=S3 that are ``yes``, and how s3x says the same."""
_PAIRS = [(theirs, ours) for theirs, (ours, _) in _OTHER_WORDS.items()]
_META = "x-amz-meta"
_META_PREFIX = "x-amz-meta-"
_YES = frozenset({"yes", "true"})


@dataclass(frozen=True)
class Translation:
    """All parameters that the remote shall have, and the recorded ones that nothing stands for."""

    parameters: Mapping[str, str]
    lost: tuple[str, ...] = ()


def translate(remote: SpecialRemote, wish: Wish, prefix: str) -> Translation:
    """Return the parameters with which `remote` becomes of the wished type at the wished place.

    Parameters
    ----------
    remote : SpecialRemote
        As it is recorded: built-in ``type=S3``, ours, or of rclone.
    wish : Wish
        Type, connection and bucket; its settings go before what is recorded.
    prefix : str
        What object names begin with, verbatim.

    Raises
    ------
    ConfigError
        When the other type cannot be this remote.
    """
    recorded = remote.parameters
    _check(recorded, wish)
    own = parameters_of(wish, prefix)
    kept = {name: value for name, value in recorded.items() if name in _ANNEX_OWN - _PLACE - _CREDS}
    to_ours = wish.remote_type == "s3x"
    said = _settings_of_ours(recorded) if to_ours else _settings_of_builtin(recorded)
    if "requeststyle" not in own and recorded.get("requeststyle") in {"path", "virtual"} and to_ours:
        said["requeststyle"] = recorded["requeststyle"]
    parameters = {**own, **said, **kept, **wish.settings}
    if remote.config_uuid:
        parameters = {name: value for name, value in parameters.items() if name not in INHERITED}
    if not to_ours and parameters.get("encryption", "none") != "none":
        parameters["embedcreds"] = "no"  # with encryption git-annex would otherwise embed keys
    lost = [
        name
        for name, value in recorded.items()
        if not (_is_said(name, value, parameters) or name in _PLACE | _RCLONE | {*INHERITED})
    ]
    return Translation(parameters, tuple(sorted(lost)))


def _check(recorded: Mapping[str, str], wish: Wish) -> None:
    if recorded.get("mungekeys", "no") != "no":
        raise ConfigError(
            f"objects have names of their own there (mungekeys={recorded['mungekeys']})",
            remedy="leave it as it is: items of the Internet Archive stay with type=S3",
        )
    if wish.remote_type != "s3x" and recorded.get("sse") == CUSTOMER_KEY:
        raise ConfigError(
            "objects there are encrypted with your own key (sse=customer), which git-annex's type=S3 "
            "cannot send: it could read none of them",
            remedy="set up a new remote, and copy the content: git annex copy --from OLD --to NEW",
        )
    if {recorded.get("exporttree"), recorded.get("importtree")} <= _YES:
        raise ConfigError(
            "the remote has exporttree=yes and importtree=yes, and git-annex lets no external remote "
            "have both",
            remedy="leave it as it is, or use the two ways of one bucket: one remote for each",
        )


def _settings_of_ours(recorded: Mapping[str, str]) -> dict[str, str]:
    """Return what s3x knows of the recorded settings that do not say where."""
    names = {setting.name for setting in SETTINGS if not setting.instead} - _PLACE - _CREDS
    found = {name: value for name, value in recorded.items() if name in names and value}
    for name, (ours, value) in _OTHER_WORDS.items():
        if recorded.get(name) == "yes":
            found[ours] = value
        found.pop(name, None)
    if found.get("storageclass") == "STANDARD":  # built-in S3 writes its default down
        del found["storageclass"]
    metadata = {
        name.removeprefix(_META_PREFIX): value
        for name, value in recorded.items()
        if name.startswith(_META_PREFIX)
    }
    if metadata:
        found[_META] = urlencode({**dict(parse_qsl(found.get(_META, ""))), **metadata})
    return found


def _settings_of_builtin(recorded: Mapping[str, str]) -> dict[str, str]:
    """Return what git-annex's own ``type=S3`` knows of the recorded settings that do not say where."""
    found = {
        name: value
        for name, value in recorded.items()
        if value and name not in _PLACE
        and (name in BUILTIN_SETTINGS or name.startswith(BUILTIN_PREFIXES))
    }  # fmt: skip
    for theirs, (name, meant) in _OTHER_WORDS.items():
        if recorded.get(name) == meant:
            found[theirs] = "yes"
    if ">" in found.get("storageclass", ""):
        del found["storageclass"]  # rules by size
    for name, value in parse_qsl(recorded.get(_META, "")):
        found[f"{_META_PREFIX}{name}"] = value
    return found


def _is_said(name: str, value: str, parameters: Mapping[str, str]) -> bool:
    if name in parameters or name in {"embedcreds", "mungekeys"}:
        return True
    other = {**dict(_PAIRS), **{ours: theirs for theirs, ours in _PAIRS}}.get(name)
    if other is not None:
        return other in parameters or value == "no"
    if name == "storageclass":
        return value == "STANDARD"
    if name.startswith(_META_PREFIX):
        return _META in parameters
    return name == _META and any(other.startswith(_META_PREFIX) for other in parameters)


# -- rclone -----------------------------------------------------------------------------------


def is_rclone(remote: SpecialRemote) -> bool:
    """Tell whether rclone keeps the content of `remote`."""
    return remote.type == "rclone" or remote.externaltype in RCLONE_TYPES


def rclone_place(remote: SpecialRemote) -> tuple[str, str]:
    """Return (bucket, prefix) of a remote whose rclone back end is an S3 service.

    Raises
    ------
    ConfigError
        When objects are not named by their keys alone.
    """
    given = remote.parameters
    old_program = remote.externaltype == "rclone"
    layout = (
        given.get("rclonelayout") or given.get("rclone_layout") or ("lower" if old_program else "nodir")
    )
    if layout != "nodir":
        raise ConfigError(
            f"{remote.name!r} keeps objects in the layout {layout!r}, in folders of rclone's own",
            remedy="only nodir can be switched; for others copy the content: "
            "git annex copy --from OLD --to NEW",
        )
    path = (given.get("rcloneprefix") or given.get("prefix") or "git-annex").strip("/")
    bucket, _, below = path.partition("/")
    return bucket, f"{below}/" if below else ""
