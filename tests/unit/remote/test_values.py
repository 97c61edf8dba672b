import pytest

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.values import ClassRule, class_for, class_rules, is_yes, media_type, tags

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        ("STANDARD_IA", (ClassRule("STANDARD_IA"),)),
        ("GLACIER_IR>=1MiB STANDARD", (ClassRule("GLACIER_IR", MIB), ClassRule("STANDARD"))),
        ("A>=2MiB,B>=1MiB", (ClassRule("A", 2 * MIB), ClassRule("B", MIB))),
        (" A>=2MiB , B ", (ClassRule("A", 2 * MIB), ClassRule("B"))),
    ],
)
def test_a_storage_class_may_depend_on_the_size(text: str, rules: tuple[ClassRule, ...]) -> None:
    assert class_rules(text) == rules


@pytest.mark.parametrize(
    ("text", "size_bytes", "expected"),
    [
        ("A>=1MiB B", MIB, "A"),
        ("A>=1MiB B", MIB - 1, "B"),
        ("A>=1MiB", MIB - 1, None),
        ("A", 0, "A"),
        ("", 5, None),
    ],
)
def test_the_first_rule_that_fits_counts(text: str, size_bytes: int, expected: str | None) -> None:
    assert class_for(class_rules(text), size_bytes) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A>=", "is not known"),
        (">=1MiB", "is not known"),
        ("A>1MiB", "is not known"),
        ("A>=big", "storageclass"),
        ("A B", "B never gets its turn"),
        ("A B>=1MiB", "B never gets its turn"),
        ("A>=1MiB B>=1MiB", "B never gets its turn"),
        ("A>=1MiB B>=2MiB", "B never gets its turn"),
    ],
)
def test_rules_that_mean_nothing_are_refused(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        class_rules(text)


@pytest.mark.parametrize("text", ["project", "a=1&a=2", "=", "&".join(f"t{n}=1" for n in range(11))])
def test_what_is_no_list_of_tags_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="x-amz-tagging"):
        tags(text)


def test_tags_stay_as_they_are_written() -> None:
    assert tags("a=1%202&b=") == "a=1%202&b="
    assert tags("") is None


@pytest.mark.parametrize("text", ["plain", "text/", "text/ plain", "/x", "téxt/plain"])
def test_what_is_no_media_type_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="content-type"):
        media_type(text)


@pytest.mark.parametrize("text", ["text/plain", "text/plain; charset=utf-8", "by-name"])
def test_media_types_are_taken(text: str) -> None:
    assert media_type(text) == text


def test_yes_and_no_are_not_guessed() -> None:
    assert [is_yes("x", text) for text in ("", "no", "false", "yes", "true")] == [
        False, False, False, True, True,
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="x='on'"):
        is_yes("x", "on")
