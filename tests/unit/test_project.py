"""What holds for the project as a whole."""

import configparser
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import datalad_s3ext

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "datalad_s3ext"
MODULES = sorted(PACKAGE.rglob("*.py"))


def setup_cfg():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    return parser


def changelog_builder():
    spec = importlib.util.spec_from_file_location("b", CHECKOUT / "docs" / "build_changelog.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_version_stands_in_one_place():
    assert setup_cfg()["metadata"]["version"] == "attr: datalad_s3ext.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", datalad_s3ext.__version__)
    assert importlib.metadata.version("datalad-s3ext") == datalad_s3ext.__version__


def test_importing_the_package_is_light():
    code = (
        "import sys, datalad_s3ext;"
        "print(*sorted({'boto3', 'botocore', 'git', 'datalad', 'annexremote'} & set(sys.modules)))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )

    assert answer.stdout == "\n"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_longer_than_400_lines(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


def test_extras_in_the_documentation_exist():
    extras = set(setup_cfg()["options.extras_require"])
    texts = [CHECKOUT / "README.md", CHECKOUT / "Makefile", *CHECKOUT.glob("docs/**/*.rst")]

    named = {
        extra
        for text in texts
        for group in re.findall(
            r"(?:'\.|datalad-s3ext|\.venv/\.has-)(?:\[([a-z,]+)\]|([a-z,]+))",
            text.read_text(encoding="utf-8"),
        )
        for extra in "".join(group).split(",")
    }

    assert named == {"annex", "local", "test", "check", "docs", "bench", "fs", "mount"}
    assert named <= extras


def test_every_command_of_the_suite_has_its_module():
    from datalad_s3ext.commands import command_suite

    missing = [
        name
        for name, *_ in command_suite[1]
        if not (CHECKOUT / f"{name.replace('.', '/')}.py").exists()
    ]

    assert missing == []


def test_fragments_of_the_changelog_are_well_formed():
    builder = changelog_builder()

    texts = builder.fragments(builder.FRAGMENTS)

    assert set(texts) == {"added", "changed", "fixed"}


@pytest.mark.parametrize(
    "name", ["2-word.new.md", "word.fixed.md", "2.fixed.md", "2-Word.fixed.md", "2-word.fixed.txt"]
)
def test_a_fragment_with_another_name_is_refused(name, tmp_path):
    (tmp_path / name).write_text("Something.")

    with pytest.raises(ValueError, match=re.escape(name)):
        changelog_builder().fragments(tmp_path)


def test_an_empty_fragment_is_refused(tmp_path):
    (tmp_path / "2-word.fixed.md").write_text(" \n")

    with pytest.raises(ValueError, match="2-word"):
        changelog_builder().fragments(tmp_path)


def test_changelog_keeps_released_parts_and_renews_the_unreleased_one(tmp_path):
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text("# C\n\n## Unreleased\n\n* old\n\n## 0.1.0 (2026-11-30)\n\n### Added\n\n* a\n")
    builder = changelog_builder()

    text = builder.changelog(
        {"added": ["b"], "changed": [], "fixed": []}, builder.released(changelog), None
    )

    _, _, parts = text.partition("by hand.\n")
    assert parts == (
        "\n## Unreleased\n\n### Added\n\n* b\n\n## 0.1.0 (2026-11-30)\n\n### Added\n\n* a\n"
    )


def test_changelog_is_up_to_date():
    builder = changelog_builder()

    wanted = builder.changelog(
        builder.fragments(builder.FRAGMENTS), builder.released(builder.CHANGELOG), None
    )

    assert builder.CHANGELOG.read_text(encoding="utf-8") == wanted


def test_licence_is_mit_and_the_gpl_part_is_named():
    assert (CHECKOUT / "LICENSE").read_text().startswith("MIT License")
    for name in ("README.md", "CONTRIBUTING.md"):
        text = " ".join((CHECKOUT / name).read_text(encoding="utf-8").split())
        assert "annexremote" in text
        assert re.search(r"governed by the GPL, version 3", text)


def test_tests_that_the_acceptance_table_names_exist():
    table = (CHECKOUT / "docs" / "acceptance.rst").read_text(encoding="utf-8")

    named = re.findall(r"``(tests/[\w/.]+\.py)(?:::(\w+))?``", table)

    assert named
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (CHECKOUT / path).exists()
        or (name and f"def {name}(" not in (CHECKOUT / path).read_text(encoding="utf-8"))
    ]
    assert missing == []
