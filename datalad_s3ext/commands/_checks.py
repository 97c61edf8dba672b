"""Is what was asked for possible at all? Found out before anything is contacted or made.

What only the service can know is left to it: the limits here are those that every service of the
preset's kind has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from datalad_s3ext.commands._settings import Wish, normal_prefix, parameters_of
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.remote.settings import read_settings
from datalad_s3ext.remote.storing import check_storage_classes
from datalad_s3ext.repo import remotes
from datalad_s3ext.store.arns import parse_arn
from datalad_s3ext.units import KIB, human_size, parse_size

ENCRYPTIONS = ("none", "shared", "hybrid", "pubkey", "sharedpubkey")
_WITH_KEYID = ENCRYPTIONS[2:]
SMALLEST_CHUNK = 64 * KIB  # each chunk costs a request and an object
_LONGEST_BUCKET = 255  # Ceph and Amazon before 2018; all others stop earlier
_NEVER_IN_BUCKETS = frozenset("/\\?#")
_IN_HOST_NAMES = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check_names(name: str, bucket: str, prefix: str) -> None:
    """Make sure that the names of the remote, the bucket and the prefix can be names.

    Raises
    ------
    ConfigError
        When one cannot, with the one that may be meant.
    """
    if not remotes.is_remote_name(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a git remote",
            remedy="give a --name of letters, digits, - and _",
        )
    _check_bucket(bucket)
    if {".", ".."} & set(prefix.split("/")):
        raise ConfigError(
            f"--prefix {prefix!r} has . or .. between slashes, and a bucket knows no folders above",
            remedy="write it like study-1/raw",
        )


def check_wish(wish: Wish) -> None:
    """Make sure that every parameter of `wish` has a sensible form and fits the service.

    Raises
    ------
    ConfigError
        When one has not; the message names it.
    """
    parameters = parameters_of(wish, normal_prefix(wish.prefix))
    settings = read_settings(lambda name: parameters.get(name, ""))
    _check_bucket_in_url(wish)
    if parameters["encryption"] not in ENCRYPTIONS:
        raise ConfigError(
            f"there is no encryption {parameters['encryption']!r}",
            remedy=f"use one of {', '.join(ENCRYPTIONS)}",
        )
    _check_part_size(parameters, wish.provider)
    check_storage_classes(settings, wish.provider)
    _check_chunk(parameters.get("chunk", ""))
    _check_cost(parameters.get("cost", ""))


def check_new(wish: Wish) -> None:
    """Make sure that a new remote gets what git-annex needs to encrypt.

    Raises
    ------
    ConfigError
        When a key is missing, or there is one too many.
    """
    mode = wish.encryption or "none"
    has_key = any(name.rstrip("+") == "keyid" for name in wish.settings)
    if mode in _WITH_KEYID and not has_key:
        raise ConfigError(
            f"--encryption {mode} needs the gpg key to encrypt to",
            remedy="add keyid=ID; `gpg --list-keys` shows yours",
        )
    if mode not in _WITH_KEYID and has_key:
        raise ConfigError(
            f"keyid= has no use with --encryption {mode}",
            remedy=f"leave it out, or choose one of {', '.join(_WITH_KEYID)}",
        )


def _check_bucket(bucket: str) -> None:
    if not bucket:
        raise ConfigError("the name of the bucket is empty", remedy="give it: --bucket NAME")
    if parse_arn(bucket) is not None:
        return
    scheme, separator, rest = bucket.partition("://")
    name, slash, below = (rest if separator else scheme).partition("/")
    if name and (slash or separator) and not _is_odd(name) and scheme.lower() not in {"http", "https"}:
        prefix = f" --prefix {below.strip('/')}" if below.strip("/") else ""
        raise ConfigError(
            f"{bucket!r} is more than the name of a bucket",
            remedy=f"write the name only: --bucket {name}{prefix}",
        )
    if _is_odd(bucket) or len(bucket) > _LONGEST_BUCKET:
        shown = bucket if len(bucket) <= _LONGEST_BUCKET else f"{bucket[:20]}..."
        raise ConfigError(
            f"{shown!r} cannot be the name of a bucket",
            remedy="use 3 to 63 lower-case letters, digits and hyphens",
        )


def _is_odd(name: str) -> bool:
    """Tell whether no service at all takes this name."""
    return any(not one.isprintable() or one.isspace() or one in _NEVER_IN_BUCKETS for one in name)


def _check_bucket_in_url(wish: Wish) -> None:
    """Refuse what cannot be part of a host name where it must be, and what git-annex would change."""
    if wish.remote_type == "S3" and wish.bucket != wish.bucket.lower():
        raise ConfigError(
            f"git-annex's built-in type=S3 writes bucket names in lower case, and {wish.bucket!r} "
            "is not",
            remedy="use --remote-type s3x, or another bucket",
        )
    if parse_arn(wish.bucket) is not None:
        return
    if wish.connection.addressing == "virtual" and not _IN_HOST_NAMES.fullmatch(wish.bucket):
        host = urlsplit(wish.connection.endpoint_url or "").hostname or wish.provider.name
        raise ConfigError(
            f"{wish.bucket!r} cannot be the name of a bucket at {host}",
            remedy="use 3 to 63 lower-case letters, digits and hyphens; for a bucket that has this "
            "name already, add requeststyle=path",
        )


def _check_part_size(parameters: Mapping[str, str], provider: Provider) -> None:
    text = parameters.get("partsize", "")
    if not text:
        return
    least, most = provider.upload.min_part, provider.upload.max_part
    if not least <= parse_size(text, setting="partsize") <= most:
        raise ConfigError(
            f"{provider.name} takes no parts of partsize={text}",
            remedy=f"choose between {human_size(least)} and {human_size(most)}",
        )


def _check_chunk(text: str) -> None:
    size_bytes = parse_size(text, setting="chunk") if text else 0
    if 0 < size_bytes < SMALLEST_CHUNK:
        raise ConfigError(
            f"--chunk {text} would cut files into pieces of {human_size(size_bytes)}, each an "
            "object and a request of its own",
            remedy=f"choose {human_size(SMALLEST_CHUNK)} or more, as in --chunk 50MiB",
        )


def _check_cost(text: str) -> None:
    try:
        float(text or "0")
    except ValueError:
        raise ConfigError(f"cost={text!r} is not a number", remedy="write it like cost=200") from None
