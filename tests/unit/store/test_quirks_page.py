"""The page about quirks names tests and fields of presets that exist."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from datalad_s3ext.providers import schema

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs" / "explanation" / "quirks.rst").read_text("utf-8")
TABLES = {
    "endpoint": schema.EndpointRule,
    "region": schema.RegionRule,
    "regions": schema.Region,
    "requests": schema.Requests,
    "listing": schema.Listing,
    "upload": schema.Upload,
    "bucket": schema.Bucket,
    "capabilities": schema.Capabilities,
    "storage_classes": schema.StorageClass,
}


def test_every_line_names_tests_that_exist() -> None:
    lines = re.split(r"^    \* - ", PAGE, flags=re.MULTILINE)[1:]
    lines = [line for line in lines if not line.startswith("some\n")]

    for line in lines:
        named = re.findall(r"``(tests/[\w/]+\.py)(?:::(\w+))?``", line)
        assert named, line
        for path, name in named:
            text = (CHECKOUT / path).read_text("utf-8")
            assert not name or f"def {name}(" in text, f"{path}::{name}"


def test_every_field_exists() -> None:
    named = re.findall(rf"``({'|'.join(TABLES)})\.(\w+)``", PAGE)

    assert len(named) > 10
    for table, field in named:
        assert field in {one.name for one in dataclasses.fields(TABLES[table])}, f"{table}.{field}"


def test_every_habit_that_a_preset_can_state_has_its_line() -> None:
    stated = {f"requests.{one.name}" for one in dataclasses.fields(schema.Requests)}
    stated |= {f"listing.{one.name}" for one in dataclasses.fields(schema.Listing)}

    assert {field for field in stated if f"``{field}``" not in PAGE} == set()
