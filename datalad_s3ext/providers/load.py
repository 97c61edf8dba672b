"""Find, read and check presets.

A preset is looked for in three places. The user's own files come first and may replace a preset
of ours; the packaged ones come next; those in a data set (``.datalad/s3-providers/``) come last.
A data set's preset arrives with a clone, so it is somebody else's text: it can never replace
another preset, and may not state what would weaken security.

Reading is strict and driven by the classes of :mod:`datalad_s3ext.providers.schema`: an unknown
key, a missing one, or a value of the wrong type is an error that names the file and the key. A
misspelt quirk that is silently ignored would cost somebody a day.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Literal, Never, cast, get_args, get_origin, get_type_hints

from datalad_s3ext import places
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.schema import Provider, Size
from datalad_s3ext.units import parse_size

Origin = Literal["user", "packaged", "data set"]

PACKAGED = Path(__file__).parent / "data"
IN_DATASET = Path(".datalad") / "s3-providers"
LIST_THEM = "`datalad s3-providers` lists all presets"

_ID = re.compile(r"[a-z0-9-]+")
_TYPE_NAMES = {str: "a string", bool: "true or false", int: "a whole number", dict: "a table",
               list: "a list"}  # fmt: skip


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
        if self.origin == "data set":
            _refuse_what_a_clone_may_not_decide(provider, self.path)
        return provider


def load_provider(provider_id: str, *, dataset: Path | None = None) -> Provider:
    """Return the preset called `provider_id`; only its own file is read.

    Raises
    ------
    ConfigError
        When there is no such preset (the message names similar ones), or its file is wrong.
    """
    return find_file(provider_id, dataset=dataset).load()


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
    if not _ID.fullmatch(provider_id):
        raise ConfigError(
            f"{provider_id!r} cannot be a preset: ids consist of a-z, 0-9 and -", remedy=LIST_THEM
        )
    for origin, folder in _folders(dataset):
        path = folder / f"{provider_id}.toml"
        if path.is_file():
            return PresetFile(path, origin)
    similar = _similar(provider_id, find_all(dataset=dataset))
    raise ConfigError(f"there is no preset {provider_id!r}{similar}", remedy=LIST_THEM)


def find_all(*, dataset: Path | None = None) -> dict[str, PresetFile]:
    """Return the file of every preset that can be used here, by id and sorted; none is read."""
    found: dict[str, PresetFile] = {}
    for origin, folder in _folders(dataset):
        for path in folder.glob("*.toml"):
            if path.is_file() and _ID.fullmatch(path.stem):
                found.setdefault(path.stem, PresetFile(path, origin))
    return dict(sorted(found.items()))


def load_file(path: Path) -> Provider:
    """Return the preset that the file `path` states.

    Raises
    ------
    ConfigError
        Naming the file and the key that is wrong.
    """
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"the preset {path} cannot be read: {exc}") from exc
    provider = cast(Provider, _record(Provider, raw, _Place(path)))
    if provider.id != path.stem or not _ID.fullmatch(provider.id):
        _Place(path, "id").fail(f"must be {path.stem!r}, the name of the file; use a-z, 0-9 and -")
    _check_template(provider, _Place(path, "endpoint.template"))
    return provider


def _folders(dataset: Path | None) -> Iterator[tuple[Origin, Path]]:
    """Yield the places of presets; an earlier one wins over a later one."""
    yield "user", places.user_providers()
    yield "packaged", PACKAGED
    if dataset is not None:
        yield "data set", dataset / IN_DATASET


def _refuse_what_a_clone_may_not_decide(provider: Provider, path: Path) -> None:
    refused = {
        # would send requests to whatever host a variable of the user happens to hold
        "endpoint.env": bool(provider.endpoint.env),
        # would hand the keys of the user's own server to a preset of somebody else
        "endpoint.local_server": provider.endpoint.local_server,
        # v2 is broken cryptography (HMAC-SHA1, body not signed): the user decides, not a clone
        "requests.signature": provider.requests.signature == "v2",
        "requests.signature_fallback": provider.requests.signature_fallback is not None,
    }
    for key, is_stated in refused.items():
        if is_stated:
            raise ConfigError(
                f"{path}: {key} may not be stated by a preset that comes with a data set",
                remedy=f"if you trust it, copy the file to {places.user_providers()}",
            )


# -- from TOML to the classes of the schema ----------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where in which file a value stands."""

    path: Path
    key: str = ""

    def below(self, name: str | int) -> _Place:
        if isinstance(name, int):
            return _Place(self.path, f"{self.key}[{name}]")
        shown = name if name.isprintable() else repr(name)
        return _Place(self.path, f"{self.key}.{shown}" if self.key else shown)

    def fail(self, problem: str) -> Never:
        raise ConfigError(f"{self.path}: {self.key} {problem}")


def _record(kind: type[Any], raw: object, place: _Place) -> object:
    """Build an instance of the dataclass `kind` from a TOML table."""
    table = cast(dict[str, object], _plain(dict, raw, place))
    hints = get_type_hints(kind, include_extras=True)
    for name in sorted(table.keys() - hints.keys()):
        place.below(name).fail(f"is not known{_similar(name, hints)}; known: {', '.join(hints)}")
    for item in fields(kind):
        needed = item.default is MISSING and item.default_factory is MISSING
        if needed and item.name not in table:
            place.below(item.name).fail("is missing")
    return kind(**{name: _value(hints[name], table[name], place.below(name)) for name in table})


def _value(hint: Any, raw: object, place: _Place) -> object:
    """Return `raw` as the type that `hint` states. TOML has no null: None is an absent key."""
    hint = _without_none(hint)
    if hint is Size:
        return _size(raw, place)
    if is_dataclass(hint):
        return _record(cast(type[Any], hint), raw, place)
    match get_origin(hint), get_args(hint):
        case form, choices if form is Literal:
            return _choice(choices, raw, place)
        case form, (item, _) if form is tuple:
            return _items(item, raw, place)
        case form, (_, value) if form is Mapping:
            return _mapping(value, raw, place)
    return _plain(hint, raw, place)


def _without_none(hint: Any) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(hint) else hint


def _plain(kind: type, raw: object, place: _Place) -> object:
    if type(raw) is not kind:  # isinstance would take true for a whole number
        place.fail(f"must be {_TYPE_NAMES[kind]}, not {_TYPE_NAMES.get(type(raw), repr(raw))}")
    if isinstance(raw, str) and not raw.isprintable():
        # shown on terminals and put into one-line messages: no escape sequences, no line breaks
        place.fail("holds a line break or a control character")
    return raw


def _size(raw: object, place: _Place) -> int:
    if isinstance(raw, str):
        return parse_size(raw, setting=f"{place.path}: {place.key}")
    return cast(int, _plain(int, raw, place))


def _choice(choices: tuple[object, ...], raw: object, place: _Place) -> object:
    # the types too: in Python 1 == True
    if not any(type(raw) is type(choice) and raw == choice for choice in choices):
        place.fail(f"is {raw!r}, must be one of {', '.join(map(repr, choices))}")
    return raw


def _items(hint: Any, raw: object, place: _Place) -> tuple[object, ...]:
    items = cast(list[object], _plain(list, raw, place))
    return tuple(_value(hint, item, place.below(at)) for at, item in enumerate(items))


def _mapping(hint: Any, raw: object, place: _Place) -> Mapping[str, object]:
    table = cast(dict[str, object], _plain(dict, raw, place))
    for key in table:
        _plain(str, key, place.below(key))
    return MappingProxyType({key: _value(hint, table[key], place.below(key)) for key in table})


def _check_template(provider: Provider, place: _Place) -> None:
    names = re.findall(r"\{([^}]*)\}", provider.endpoint.template or "")
    for name in names:
        if name != "region" and name not in provider.endpoint.variables:
            place.fail(f"uses {{{name}}}, which stands neither in endpoint.variables nor is region")


def _similar(name: str, names: Mapping[str, object]) -> str:
    from difflib import get_close_matches  # only when something is wrong: it imports slowly

    close = get_close_matches(name, names)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
