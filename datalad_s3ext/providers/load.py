"""Find, read and check presets.

A preset is looked for in three places. The user's own files come first and may replace a preset
of ours; the packaged ones come next; those in a data set (``.datalad/s3-providers/``) come last.
A data set's preset arrives with a clone, so it is somebody else's text: it can never replace
another preset, and may not state what would weaken security.

Only the file that is asked for is read, strictly: see :mod:`datalad_s3ext.providers.reading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datalad_s3ext import places
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.reading import ID, InvalidPreset, read_file, similar
from datalad_s3ext.providers.schema import Provider

Origin = Literal["user", "packaged", "data set"]

PACKAGED = Path(__file__).parent / "data"
IN_DATASET = Path(".datalad") / "s3-providers"
LIST_THEM = "`datalad s3-providers` lists all presets"


@dataclass(frozen=True)
class PresetFile:
    """A file that holds, or claims to hold, one preset."""

    path: Path
    origin: Origin

    def load(self) -> Provider:
        """Return the preset.

        Raises
        ------
        ConfigError
            When the file is unreadable or wrong, or comes with a data set and states something
            that only the user may decide.
        """
        provider = load_file(self.path)
        refused = refused_in_clone(provider) if self.origin == "data set" else []
        if refused:
            raise ConfigError(
                f"{self.path}: {refused[0]} may not be stated by a preset that comes with a data set",
                remedy=f"if you trust it, copy the file to {places.user_providers()}",
            )
        return provider


def load_provider(provider_id: str, *, dataset: Path | None = None) -> Provider:
    """Return the preset called `provider_id`; only its own file is read.

    Raises
    ------
    ConfigError
        When there is no such preset (the message names similar ones), or its file is wrong.
    """
    return find_file(provider_id, dataset=dataset).load()


def load_recorded(provider_id: str, *, dataset: Path | None, endpoint: str | None) -> Provider:
    """Return the preset that a recorded remote names, together with the `endpoint` it records.

    Raises
    ------
    ConfigError
        As :func:`load_provider`; and when the preset comes with the data set while no endpoint is
        recorded: the next update of the data set could then send the keys to another host.
    """
    file = find_file(provider_id, dataset=dataset)
    if file.origin == "data set" and endpoint is None:
        raise ConfigError(
            f"the preset {provider_id!r} comes with this data set, which may not say where keys go",
            remedy="record the place: git annex enableremote NAME endpoint=https://HOST; or, if you "
            f"trust {file.path}, copy it to {places.user_providers()}",
        )
    return file.load()


def all_providers(*, dataset: Path | None = None) -> list[Provider]:
    """Return every preset that can be used here, sorted by id.

    Raises
    ------
    ConfigError
        When one of the files is wrong.
    """
    return [file.load() for file in find_all(dataset=dataset).values()]


def find_file(provider_id: str, *, dataset: Path | None = None) -> PresetFile:
    """Return where the preset called `provider_id` stands.

    Raises
    ------
    ConfigError
        When there is none, or the id is not made of ``a-z``, ``0-9`` and ``-``.
    """
    if not ID.fullmatch(provider_id):
        raise ConfigError(
            f"{provider_id!r} cannot be a preset: ids consist of a-z, 0-9 and -", remedy=LIST_THEM
        )
    for origin, folder in _folders(dataset):
        path = folder / f"{provider_id}.toml"
        if path.is_file():
            return PresetFile(path, origin)
    meant = similar(provider_id, find_all(dataset=dataset))
    raise ConfigError(f"there is no preset {provider_id!r}{meant}", remedy=LIST_THEM)


def find_all(*, dataset: Path | None = None) -> dict[str, PresetFile]:
    """Return the file of every preset that can be used here, by id and sorted; none is read."""
    found: dict[str, PresetFile] = {}
    for origin, folder in _folders(dataset):
        for path in folder.glob("*.toml"):
            if path.is_file() and ID.fullmatch(path.stem):
                found.setdefault(path.stem, PresetFile(path, origin))
    return dict(sorted(found.items()))


def load_file(path: Path) -> Provider:
    """Return the preset that the file `path` states.

    Raises
    ------
    ConfigError
        Naming the file and the key that is wrong; the first one, when there are several.
    """
    try:
        return read_file(path)
    except InvalidPreset as exc:
        more = f" (and {len(exc.problems) - 1} more)" if len(exc.problems) > 1 else ""
        hint = f"`datalad s3-providers --check {path}` lists all" if more else ""
        raise ConfigError(f"{path}: {exc.problems[0]}{more}", remedy=hint) from exc


def _folders(dataset: Path | None) -> Iterator[tuple[Origin, Path]]:
    """Yield the places of presets; an earlier one wins over a later one."""
    yield "user", places.user_providers()
    yield "packaged", PACKAGED
    if dataset is not None:
        yield "data set", dataset / IN_DATASET


def refused_in_clone(provider: Provider) -> list[str]:
    """Return the keys of `provider` that a preset which comes with a data set may not state."""
    rule, requests = provider.endpoint, provider.requests
    urls = [rule.default, rule.template, *(row.endpoint for row in provider.regions)]
    refused = {
        # would send requests to whatever host a variable of the user happens to hold
        "endpoint.env": bool(rule.env),
        # would ask for a value, which may be a secret, and make it part of a host name
        "endpoint.variables": bool(rule.variables),
        # would hand the keys of the user's own server to a preset of somebody else
        "endpoint.local_server": rule.local_server,
        # names and content of files would go over the net for all to see
        "an endpoint with http://": any(url and not url.startswith("https://") for url in urls),
        # v2 is broken cryptography (HMAC-SHA1, body not signed): the user decides, not a clone
        "requests.signature": requests.signature == "v2",
        # what they ask of a service is known to that service alone
        "requests.headers": bool(requests.headers),
        "bucket.metadata_prefix": provider.bucket.metadata_prefix is not None,
        "requests.signature_fallback": requests.signature_fallback is not None,
    }
    return [key for key, is_stated in refused.items() if is_stated]
