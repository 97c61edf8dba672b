"""From the parameters of a remote to how each object is stored, and what goes with every request."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.remote.settings import CUSTOMER_KEY, RemoteSettings
from datalad_s3ext.remote.values import BY_NAME, class_for
from datalad_s3ext.repo.keys import Key, parse_key
from datalad_s3ext.store.base import PutOptions
from datalad_s3ext.store.extras import Extras
from datalad_s3ext.transfer.source import UploadRules
from datalad_s3ext.transfer.verify import EtagTrust

if TYPE_CHECKING:
    from collections.abc import Collection

    from datalad_s3ext.providers.resolve import Connection
    from datalad_s3ext.providers.schema import Provider
    from datalad_s3ext.remote.local import LocalChoices

_GIT_BACKENDS = frozenset({"GITMANIFEST", "GITBUNDLE"})
"""Keys of git-remote-annex: a clone reads them at once, so they lie in no archive."""
_SHA256_BACKENDS = frozenset({"SHA256", "SHA256E"})
_SHA256_DIGITS = 64


def upload_rules(settings: RemoteSettings, connection: Connection) -> UploadRules:
    """Return how objects are stored that are like any other; see `rules_for` for a certain one."""
    options = _put_options(settings)
    rules = UploadRules.of(
        connection.provider.upload,
        place=f"{connection.endpoint_url or connection.region}/{settings.bucket}"
        f" {settings.storageclass or ''} {settings.sse or ''}{_mark_of(options)}".rstrip(),
        part_size=settings.partsize,
        options=options,
    )
    if settings.checksum in ("md5", "crc32"):
        options = replace(rules.options, part_crc32=settings.checksum == "crc32")
        rules = replace(rules, options=options)
    if settings.sse == CUSTOMER_KEY or (settings.sse or "").startswith("aws:kms"):
        # such an ETag is no digest, so that a different one is no reason to read the object back
        rules = replace(
            rules,
            etags=EtagTrust(known_to_be_md5=False),
            multipart_etags=EtagTrust(known_to_be_md5=False),
        )
    return rules


def rules_for(
    rules: UploadRules,
    settings: RemoteSettings,
    archive_classes: Collection[str],
    *,
    key: str,
    size_bytes: int,
    name: str = "",
) -> UploadRules:
    """Return `rules` for one object.

    Parameters
    ----------
    key : str
        The git-annex key. By the size that it tells, all chunks of a file get one storage class.
    size_bytes : int
        The size of what is stored: counts where the key tells none.
    name : str
        The name of the file, where that is known; by default the end of the key's stands for it.
    """
    is_each_alike = settings.content_type != BY_NAME and settings.checksum != "sha256"
    if is_each_alike and not settings.storage_classes:
        return rules
    options, parsed = rules.options, parse_key(key)
    size = parsed.size_bytes if parsed.size_bytes is not None else size_bytes
    chosen = class_for(settings.storage_classes, size)
    if parsed.backend in _GIT_BACKENDS and chosen in archive_classes:
        chosen = None
    if settings.content_type == BY_NAME:
        options = replace(options, content_type=_type_of(name or key))
    if settings.checksum == "sha256":
        options = replace(options, sha256=_sha256_in(parsed))
    return replace(rules, options=replace(options, storage_class=chosen))


def marker_options(settings: RemoteSettings) -> PutOptions:
    """Return how the marker is stored: as all objects are, but never in an archive."""
    return replace(_put_options(settings), content_type="text/plain")


def archive_classes(provider: Provider) -> frozenset[str]:
    """Return the storage classes whose objects need a restore before they can be read."""
    if not provider.storage_classes:
        from datalad_s3ext.store.archive import ARCHIVE_CLASSES

        return ARCHIVE_CLASSES
    return frozenset(one.name for one in provider.storage_classes if one.restore_needed)


def check_storage_classes(settings: RemoteSettings, provider: Provider) -> None:
    """Make sure that the service has the classes that are asked for.

    Whoever runs a server of his own names his own; a preset without classes knows none.

    Raises
    ------
    ConfigError
        When it has not; the message lists them.
    """
    known = [one.name for one in provider.storage_classes]
    if not known or provider.kind == "self-hosted":
        return
    for wanted in (rule.name for rule in settings.storage_classes if rule.name not in known):
        from difflib import get_close_matches  # it imports slowly

        near = get_close_matches(wanted.upper(), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"{provider.name} has no storage class {wanted!r}",
            remedy=f"{hint}choose from {', '.join(known)}",
        )


def extras_for(settings: RemoteSettings, choices: LocalChoices, connection: Connection) -> Extras:
    """Return what goes with every request to the bucket.

    Raises
    ------
    ConfigError
        When a person here has to agree first, has to name a key, or asks for what the service lacks.
    """
    _check_hosts(settings, connection)
    if settings.requester_pays and not choices.requester_pays:
        raise ConfigError(
            "this bucket charges whoever reads it, and nobody in this clone has agreed to pay",
            remedy="git config remote.NAME.s3x-requester-pays true",
        )
    key, source = _customer_key(settings, choices, connection)
    return Extras(
        requester_pays=choices.requester_pays,
        customer_key=key,
        customer_key_source=source,
        bucket_metadata=settings.metadata,
        dual_stack=settings.dualstack,
        accelerate=settings.accelerate,
    )


def _put_options(settings: RemoteSettings) -> PutOptions:
    typed = settings.content_type not in (None, BY_NAME)
    return PutOptions(
        metadata=settings.metadata,
        tagging=settings.tagging,
        sse=None if settings.sse == CUSTOMER_KEY else settings.sse,
        sse_kms_key_id=settings.sse_kms_key_id,
        bucket_key=settings.sse_bucket_key,
        acl=settings.acl,
        content_type=str(settings.content_type) if typed else PutOptions.content_type,
        content_disposition=settings.content_disposition,
        cache_control=settings.cache_control,
    )


def _mark_of(options: PutOptions) -> str:
    """Return what tells uploads with these options from others; nothing for the plain ones.

    An upload that was begun with other properties must not be gone on with.
    """
    plain = PutOptions(sse=options.sse)
    if options == plain:
        return ""
    return " " + hashlib.sha256(repr(options).encode()).hexdigest()[:12]


def _type_of(name: str) -> str:
    from mimetypes import guess_type

    kind, encoding = guess_type(Path(name).name)
    return kind if kind and not encoding else PutOptions.content_type


def _sha256_in(key: Key) -> bytes | None:
    """Return the digest that the key itself is made of; of a chunk none is known."""
    digits = key.name.partition(".")[0]
    is_whole = key.backend in _SHA256_BACKENDS and key.chunk_number is None
    return bytes.fromhex(digits) if is_whole and len(digits) == _SHA256_DIGITS else None


def _check_hosts(settings: RemoteSettings, connection: Connection) -> None:
    for name, wanted in (("dualstack", settings.dualstack), ("accelerate", settings.accelerate)):
        if wanted and connection.endpoint_url is not None:
            raise ConfigError(
                f"{name}=yes is for Amazon's own hosts, and the endpoint is {connection.endpoint_url}",
                remedy=f"leave out the endpoint, or {name}",
            )


def _customer_key(
    settings: RemoteSettings, choices: LocalChoices, connection: Connection
) -> tuple[bytes | None, str]:
    if settings.sse != CUSTOMER_KEY:
        if choices.customer_key_file or choices.customer_key_command:
            raise ConfigError(
                "a key for SSE-C is named in the git configuration, but this remote does not use it",
                remedy="git annex enableremote NAME sse=customer, or remove "
                "remote.NAME.s3x-sse-c-key-*",
            )
        return None, ""

    from datalad_s3ext.providers.resolve import is_loopback_host
    from datalad_s3ext.remote.customer_key import read_customer_key

    url = urlsplit(connection.endpoint_url or "https://")
    if url.scheme != "https" and not is_loopback_host(url.hostname or ""):
        raise ConfigError(
            f"the key for sse=customer is not sent to {connection.endpoint_url}: everybody on the way "
            "could read it",
            remedy="use https",
        )
    return read_customer_key(choices)
