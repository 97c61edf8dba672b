"""The page of parameters says something about each one of built-in S3, and of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from datalad_s3ext.remote.settings import COMMON, SETTINGS
from tests.support.repos import AnnexRepo

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def pages(tmp_path: Path) -> tuple[str, str]:
    target = tmp_path / "parameters.rst"
    code = f"import generate_settings, pathlib; generate_settings.write_settings(pathlib.Path({str(target)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=DOCS, check=True)
    return target.read_text(), (tmp_path / "remote-parameters-compared.rst").read_text()


def test_each_parameter_of_ours_stands_on_the_page(pages: tuple[str, str]) -> None:
    for setting in SETTINGS:
        assert (f"``{setting.name}``\n" in pages[0]) is not bool(setting.instead)
        assert f"* - ``{setting.name}``\n" in pages[1]


def test_each_parameter_of_built_in_is_compared(pages: tuple[str, str], annex: AnnexRepo) -> None:
    told = annex.annex("initremote", "x", "type=S3", "--whatelse").stdout
    names = {line for line in told.splitlines() if line and not line.startswith("\t")}

    assert {"bucket", "x-amz-meta-*", "mac"} <= names
    for name in names - COMMON:
        assert f"* - ``{name}``\n      - yes\n" in pages[1], name
