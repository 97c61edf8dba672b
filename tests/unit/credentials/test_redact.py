"""Secrets are taken out of the text of others, in every form that a URL gives them."""

import pytest

from datalad_s3ext.credentials.model import Anonymous, Keys, Profile, SdkChain
from datalad_s3ext.credentials.redact import redacted

KEYS = Keys("AKIDEXAMPLE", "se/cr+et=", "to ken/+")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the key se/cr+et= is wrong", "the key *** is wrong"),
        ("token to ken/+ and se/cr+et=", "token *** and ***"),
        ("?s=se%2Fcr%2Bet%3D&x=1", "?s=***&x=1"),
        ("?s=se%2fcr%2bet%3d&x=1", "?s=***&x=1"),
        ("?s=se/cr%2Bet%3D", "?s=***"),
        ("?t=to+ken%2F%2B", "?t=***"),
        ("?t=to%20ken%2F%2B", "?t=***"),
        ("se/cr+et=se/cr+et=", "******"),
        ("AKIDEXAMPLE stays", "AKIDEXAMPLE stays"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_secret_and_token_are_hidden(text: str, expected: str) -> None:
    assert redacted(text, KEYS) == expected


def test_secret_that_begins_the_token_leaves_no_rest() -> None:
    assert redacted("abcdef", Keys("id", "abc", "abcdef")) == "***"


@pytest.mark.parametrize("keys", [Keys("id", ""), Keys("id", "", "")])
def test_empty_secret_changes_nothing(keys: Keys) -> None:
    assert redacted("text", keys) == "text"


@pytest.mark.parametrize("identity", [Anonymous(), Profile("p"), SdkChain()])
def test_identity_without_a_secret_changes_nothing(
    identity: Anonymous | Profile | SdkChain,
) -> None:
    assert redacted("text", identity) == "text"
