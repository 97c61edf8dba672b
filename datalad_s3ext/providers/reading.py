"""From the TOML of a preset to the classes of the schema, strictly.

An unknown key, a missing one, or a value of the wrong type is a mistake that is told with its key,
driven by the classes of :mod:`datalad_s3ext.providers.schema`. A misspelt quirk that is silently
ignored would cost somebody a day.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Literal, Never, cast, get_args, get_origin, get_type_hints

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.schema import Provider, Size
from datalad_s3ext.units import parse_size

ID = re.compile(r"[a-z0-9-]+")
_OWN_HEADER = re.compile(r"x-(?!amz-)[a-z0-9-]+")

_TYPE_NAMES = {str: "a string", bool: "true or false", int: "a whole number", dict: "a table",
               list: "a list"}  # fmt: skip


class InvalidPreset(Exception):
    """What is wrong with a preset: all of it, each as "key problem"."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def read_file(path: Path) -> Provider:
    """Return the preset that the file `path` states.

    Raises
    ------
    InvalidPreset
        With everything that is wrong.
    ConfigError
        When it cannot be read, or is no TOML.
    """
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"the preset {path} cannot be read: {exc}") from exc
    provider = cast(Provider, read_table(Provider, raw))
    if provider.id != path.stem or not ID.fullmatch(provider.id):
        _Place("id").fail(f"must be {path.stem!r}, the name of the file; use a-z, 0-9 and -")
    _check_template(provider, _Place("endpoint.template"))
    _check_headers(provider)
    return provider


def read_table(kind: type[Any], raw: Mapping[str, object]) -> object:
    """Return an instance of the dataclass `kind` from the table `raw` of a TOML file.

    Raises
    ------
    InvalidPreset
        With everything that is wrong.
    """
    return _record(kind, raw, _Place())


@dataclass(frozen=True)
class _Place:
    """Where in a file a value stands."""

    key: str = ""

    def below(self, name: str | int) -> _Place:
        if isinstance(name, int):
            return _Place(f"{self.key}[{name}]")
        shown = name if name.isprintable() else repr(name)
        return _Place(f"{self.key}.{shown}" if self.key else shown)

    def fail(self, problem: str) -> Never:
        raise InvalidPreset(f"{self.key} {problem}".lstrip())


def _record(kind: type[Any], raw: object, place: _Place) -> object:
    """Build an instance of the dataclass `kind` from a TOML table."""
    table = cast(dict[str, object], _plain(dict, raw, place))
    hints = _hints(cast(Hashable, kind))
    problems = [
        f"{place.below(name).key} is not known{similar(name, hints)}; known: {', '.join(hints)}"
        for name in sorted(table.keys() - hints.keys())
    ]
    for item in fields(kind):
        needed = item.default is MISSING and item.default_factory is MISSING
        if needed and item.name not in table:
            problems.append(f"{place.below(item.name).key} is missing")
    known = [name for name in hints if name in table]
    values = _each(((hints[name], table[name], place.below(name)) for name in known), problems)
    return kind(**dict(zip(known, values, strict=True)))


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _each(items: Iterable[tuple[Any, object, _Place]], problems: list[str]) -> list[object]:
    """Return the value of each (hint, raw, place); raise all that is wrong, after `problems`."""
    values: list[object] = []
    for hint, raw, place in items:
        try:
            values.append(_value(hint, raw, place))
        except InvalidPreset as exc:
            problems += exc.problems
    if problems:
        raise InvalidPreset(*problems)
    return values


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
        try:
            return parse_size(raw, setting=place.key)
        except ConfigError as exc:
            raise InvalidPreset(str(exc)) from exc
    return cast(int, _plain(int, raw, place))


def _choice(choices: tuple[object, ...], raw: object, place: _Place) -> object:
    # the types too: in Python 1 == True
    if not any(type(raw) is type(choice) and raw == choice for choice in choices):
        place.fail(f"is {raw!r}, must be one of {', '.join(map(repr, choices))}")
    return raw


def _items(hint: Any, raw: object, place: _Place) -> tuple[object, ...]:
    items = cast(list[object], _plain(list, raw, place))
    return tuple(_each(((hint, item, place.below(at)) for at, item in enumerate(items)), []))


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


def _check_headers(provider: Provider) -> None:
    """Refuse headers that could take the place of those that S3 and HTTP know."""
    named = {f"requests.headers.{name}": name for name in provider.requests.headers}
    if provider.bucket.metadata_prefix is not None:
        named["bucket.metadata_prefix"] = provider.bucket.metadata_prefix
    for key, name in named.items():
        if not _OWN_HEADER.fullmatch(name):
            _Place(key).fail("must begin with x-, in lower case, and not with x-amz-")
    for name, value in provider.requests.headers.items():
        if not value.isascii() or value != value.strip():
            _Place(f"requests.headers.{name}").fail("must be ASCII, without blanks around it")


def similar(name: str, names: Mapping[str, object]) -> str:
    """Return " (did you mean ...?)" when some of `names` are like `name`, else nothing."""
    from difflib import get_close_matches  # only when something is wrong: it imports slowly

    close = get_close_matches(name, names)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
