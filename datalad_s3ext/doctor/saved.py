"""Keep what was measured of one endpoint, in a file beside the user's presets.

The file has the tables of a preset, so that lines can be copied into one, and is named after the host.
:mod:`datalad_s3ext.providers.measured` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from datalad_s3ext import places
from datalad_s3ext.errors import ConfigError, LocalError
from datalad_s3ext.providers.schema import Provider


def save(base: str, provider: Provider, bucket: str, measured: Mapping[str, object]) -> Path:
    """Write what was measured at the URL `base`, and return the file; an older one is replaced.

    Raises
    ------
    ConfigError
        When nothing was measured.
    LocalError
        When the file cannot be written.
    """
    if not measured:
        raise ConfigError(
            "no capability was measured, so nothing was kept",
            remedy="name a bucket that you may write into: --bucket NAME",
        )
    path = places.measured_service(base)
    text = "\n".join(_lines(base, provider, bucket, measured)) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror}") from error
    return path


def _lines(base: str, provider: Provider, bucket: str, measured: Mapping[str, object]) -> Iterator[str]:
    yield "# Measured by `datalad s3-doctor --save`; transfers to this endpoint follow it."
    yield "# The tables are those of a preset. To let the preset count again, delete this file."
    yield f"endpoint = {_toml(base)}"
    yield f"preset = {_toml(provider.id)}"
    yield f"bucket = {_toml(bucket)}"
    yield f"measured = {_toml(datetime.now(UTC).date().isoformat())}"
    tables: dict[str, dict[str, object]] = {}
    for field, value in measured.items():
        table, _, name = field.rpartition(".")
        tables.setdefault(table or "other", {})[name] = value
    for table, values in tables.items():
        yield f"\n[{table}]"
        yield from (f"{name} = {_toml(value)}" for name, value in values.items())


def _toml(value: object) -> str:
    """Return a string, a truth value, a number or a list of strings as TOML writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
