"""Values of parameters that have a form of their own: what they mean, or why they mean nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import parse_qsl

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.units import parse_size

TAG_LIMIT = 10
BY_NAME = "by-name"
_CLASS_RULE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(?:>=(.+))?")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;.*)?", re.ASCII)


@dataclass(frozen=True)
class ClassRule:
    """One word of ``storageclass``: a class, and from which size on."""

    name: str
    least_bytes: int = 0


def class_rules(text: str) -> tuple[ClassRule, ...]:
    """Return the rules in the value of ``storageclass``, in their order: the first that fits counts.

    ``STANDARD_IA`` alone is for all objects; ``GLACIER_IR>=1MiB STANDARD`` tells large from small.
    Words are separated by blanks or commas.

    Raises
    ------
    ConfigError
        When a word has another form, or can never count.
    """
    rules = tuple(_class_rule(word) for word in re.split(r"[\s,]+", text) if word)
    for rule, later in pairwise(rules):
        if later.least_bytes >= rule.least_bytes:
            raise ConfigError(
                f"in storageclass={text!r}, {later.name} never gets its turn behind {rule.name}",
                remedy="put the largest size first, and a class without size last",
            )
    return rules


def class_for(rules: Sequence[ClassRule], size_bytes: int) -> str | None:
    """Return the storage class of content of `size_bytes`; ``None``: the provider's own choice."""
    return next((rule.name for rule in rules if size_bytes >= rule.least_bytes), None)


def tags(text: str) -> str | None:
    """Return the value of ``x-amz-tagging`` when it has the form ``a=1&b=2``.

    Raises
    ------
    ConfigError
        When it has not, or holds more tags than S3 takes.
    """
    if not text:
        return None
    try:
        found = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        found = []
    names = {name for name, _ in found}
    if not found or "" in names or len(names) < len(found):
        raise ConfigError(
            f"x-amz-tagging={text!r} is no list of tags", remedy="write it like project=brain&grant=7"
        )
    if len(found) > TAG_LIMIT:
        raise ConfigError(
            f"x-amz-tagging holds {len(found)} tags, and S3 takes {TAG_LIMIT}",
            remedy="use x-amz-meta for the others",
        )
    return text


def media_type(text: str) -> str | None:
    """Return the value of ``content-type``: a type, or `BY_NAME`.

    Raises
    ------
    ConfigError
        When it is neither.
    """
    if text and text != BY_NAME and not _MEDIA_TYPE.fullmatch(text):
        raise ConfigError(
            f"content-type={text!r} is no media type",
            remedy=f"write it like text/plain, or {BY_NAME}",
        )
    return text or None


def is_yes(name: str, value: str) -> bool:
    """Return the meaning of ``yes`` or ``no``; not given is no.

    Raises
    ------
    ConfigError
        When it is something else.
    """
    if value not in ("", "yes", "no", "true", "false"):
        raise ConfigError(f"{name}={value!r} is not known", remedy="use yes or no")
    return value in ("yes", "true")


def _class_rule(word: str) -> ClassRule:
    found = _CLASS_RULE.fullmatch(word)
    if found is None:
        raise ConfigError(
            f"storageclass={word!r} is not known",
            remedy="write a class, or rules like: GLACIER_IR>=1MiB STANDARD",
        )
    least = parse_size(found[2], setting="storageclass") if found[2] else 0
    return ClassRule(found[1], least)
