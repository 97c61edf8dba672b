"""What a remote shall be, and how that differs from what it is. Nothing here asks or changes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.resolve import Connection, builtin_parameters
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.remote.settings import COMMON, SETTINGS, without_password
from datalad_s3ext.repo.remotes import EXTERNAL_TYPE, SpecialRemote, service_host

RemoteType = Literal["s3x", "S3"]

OWN_OPTION = {
    "bucket": "--bucket",
    "fileprefix": "--prefix",
    "endpoint": "--endpoint",
    "host": "--endpoint",
    "port": "--endpoint",
    "protocol": "--endpoint",
    "region": "--region",
    "datacenter": "--region",
    "type": "--remote-type",
    "externaltype": "--remote-type",
    "encryption": "--encryption",
    "chunk": "--chunk",
    "autoenable": "--autoenable",
    "name": "--name",
    "sameas": "--name",
}
"""Parameters of the remote that are options of the command: given once, in one way."""

BUILTIN_SETTINGS = frozenset({
    "partsize", "public", "publicurl", "requeststyle", "restore", "signature", "storageclass",
    "versioning", "x-amz-tagging",
})  # fmt: skip
META = "x-amz-meta"
BUILTIN_PREFIXES = ("x-amz-meta-", "x-archive-meta-")
"""What built-in ``type=S3`` takes; `git annex initremote x type=S3 --whatelse`, 10.20261026."""

_TRUE = frozenset({"yes", "true", "1", "on"})
_ENCODING = frozenset({"encryption", "keyid", "mac", "embedcreds", "onlyencryptcreds"})


@dataclass(frozen=True)
class Wish:
    """A remote as the person describes it, before a data set is looked at."""

    name: str
    provider: Provider
    connection: Connection
    bucket: str
    prefix: str = ""
    remote_type: RemoteType = "s3x"
    record_endpoint: bool = True
    encryption: str | None = None
    chunk: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    notices: Sequence[str] = ()
    """What should be told before anything is contacted."""

    @property
    def writable(self) -> bool:
        """Tell whether the remote will be written to."""
        return self.settings.get("importtree", "no") not in _TRUE


@dataclass(frozen=True)
class Change:
    """One parameter that is not as wished."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name}: {self.old or '(none)'} → {self.new or '(none)'}"


def split_settings(
    pairs: Mapping[str, str] | Iterable[str] | None, provider: Provider, remote_type: RemoteType
) -> tuple[dict[str, str], dict[str, str]]:
    """Sort ``KEY=VALUE`` into parameters of the remote and variables of the endpoint.

    Raises
    ------
    ConfigError
        When a name is known as neither; the message lists similar ones. Values are never
        repeated: a secret may have been typed in the wrong place.
    """
    settings: dict[str, str] = {}
    variables: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in _pairs(pairs):
        label = _metadata_name(name)
        if remote_type == "s3x" and label:
            metadata[label] = value
        elif name in provider.endpoint.variables:
            variables[name] = value
        elif name in OWN_OPTION:
            raise ConfigError(f"{name}= is an option here", remedy=f"give {OWN_OPTION[name]}")
        elif _is_known(name, remote_type):
            settings[name] = without_password(name, value) if name == "publicurl" else value
        else:
            raise _unknown(name, provider, remote_type)
    if metadata:
        given = dict(parse_qsl(settings.get(META, ""), keep_blank_values=True))
        settings[META] = urlencode(given | metadata)
    return settings, variables


def _metadata_name(name: str) -> str:
    """Return what built-in's parameter `name` calls a piece of metadata; ``""`` when it is none."""
    prefix = next((prefix for prefix in BUILTIN_PREFIXES if name.startswith(prefix)), name)
    return name.removeprefix(prefix)


def normal_prefix(prefix: str | None, *below: str) -> str:
    """Return `prefix` as the remote records it: ``a/b/``, or nothing; extended by `below`."""
    parts = [part.strip("/") for part in (prefix or "", *below)]
    joined = "/".join(part for part in parts if part and part != ".")
    return f"{joined}/" if joined else ""


def parameters_of(wish: Wish, prefix: str) -> dict[str, str]:
    """Return the parameters for initremote that make `wish` true, with objects below `prefix`."""
    own = _ours(wish, prefix) if wish.remote_type == "s3x" else _builtin(wish, prefix)
    own["encryption"] = wish.encryption or "none"
    if wish.chunk:
        own["chunk"] = wish.chunk
    return {**own, **wish.settings}


def changes_to(remote: SpecialRemote, wanted: Mapping[str, str], *, asked: Wish) -> list[Change]:
    """Return what of `remote` is not as `wanted`.

    Parameters recorded but not wanted stay as they are, except those that say where the content
    lies. Encryption counts only when it was asked for.
    """
    recorded = remote.parameters
    names = [name for name in wanted if name not in {"type", "externaltype", "endpoint", "host"}]
    names += [name for name in ("fileprefix",) if name not in wanted]
    if "cipherkeys" in recorded:
        # git-annex keeps no keyid: it records the full ids of the keys that it found by it
        names = [name for name in names if name != "keyid"]
    if asked.encryption is None:
        names = [name for name in names if name != "encryption"]
    changes = [
        Change(name, recorded.get(name, ""), wanted.get(name, ""))
        for name in names
        if _normal(recorded.get(name, "")) != _normal(wanted.get(name, ""))
    ]
    return _service_change(recorded, wanted) + changes


def type_label(remote: SpecialRemote) -> str:
    """Return the type of `remote` as ``--remote-type`` names it."""
    return remote.externaltype or "external" if remote.type == "external" else remote.type


def unchangeable(changes: Sequence[Change]) -> list[Change]:
    """Return those of `changes` that would put existing content out of sight."""
    return [change for change in changes if change.name in {"bucket", "fileprefix"} | _ENCODING]


def _service_change(recorded: Mapping[str, str], wanted: Mapping[str, str]) -> list[Change]:
    old, new = service_host(recorded), service_host(wanted)
    scheme = recorded.get("endpoint", "").split("://")[0], wanted.get("endpoint", "").split("://")[0]
    if old == new and (not all(scheme) or scheme[0] == scheme[1]):
        return []
    if "endpoint" in recorded or "endpoint" in wanted:
        old, new = recorded.get("endpoint") or old, wanted.get("endpoint") or new
    return [Change("endpoint", old, new)]


def _ours(wish: Wish, prefix: str) -> dict[str, str]:
    parameters = {
        "type": "external",
        "externaltype": EXTERNAL_TYPE,
        "provider": wish.provider.id,
        "bucket": wish.bucket,
        "fileprefix": prefix,
        "endpoint": (wish.connection.endpoint_url or "") if wish.record_endpoint else "",
        "region": wish.connection.region if wish.record_endpoint else "",
    }
    return {name: value for name, value in parameters.items() if value}


def _builtin(wish: Wish, prefix: str) -> dict[str, str]:
    return {"type": "S3", **builtin_parameters(wish.connection, wish.bucket, prefix)}


def _pairs(pairs: Mapping[str, str] | Iterable[str] | None) -> Iterable[tuple[str, str]]:
    if isinstance(pairs, Mapping):
        yield from ((name, str(value)) for name, value in pairs.items())
        return
    for position, pair in enumerate(pairs or (), start=1):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(
                f"setting number {position} has not the form KEY=VALUE",
                remedy="write it like storageclass=STANDARD_IA",
            )
        yield name, value


def _is_known(name: str, remote_type: RemoteType) -> bool:
    if name in COMMON:
        return True
    if remote_type == "S3":
        return name in BUILTIN_SETTINGS or name.startswith(BUILTIN_PREFIXES)
    return any(setting.name == name for setting in SETTINGS)


def _unknown(name: str, provider: Provider, remote_type: RemoteType) -> ConfigError:
    own = BUILTIN_SETTINGS if remote_type == "S3" else {setting.name for setting in SETTINGS}
    names = sorted((own | COMMON | set(provider.endpoint.variables)) - set(OWN_OPTION))
    near = near_names(name, [*names, *OWN_OPTION])
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
    return ConfigError(
        f"{name!r} is neither a setting of the remote nor a variable of preset {provider.id!r}",
        remedy=hint,
    )


def near_names(name: str, known: Sequence[str]) -> list[str]:
    """Return which of `known` may be meant by `name`: one alone when it is plain, at most three."""
    plain = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
    return plain or difflib.get_close_matches(name, known, n=3, cutoff=0.5)


def _normal(value: str) -> str:
    """Return `value` so that different spellings of one meaning are equal; "no" is as absent."""
    return {"yes": "true", "on": "true", "no": "", "off": "", "false": ""}.get(value.lower(), value)
