"""Is a preset right, beyond its form? Everything that is wrong with it at once, for its author."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import IN_DATASET, refused_in_clone
from datalad_s3ext.providers.reading import InvalidPreset, read_file
from datalad_s3ext.providers.resolve import is_loopback_host, normal_endpoint
from datalad_s3ext.providers.schema import Provider
from datalad_s3ext.units import human_size

_BRACES = re.compile(r"\{([^}]*)\}")
_IN_PUBLIC_URL = {"bucket", "region", "key"}


def check_file(path: Path) -> list[str]:
    """Return what is wrong with the preset in the file `path`, each as "key problem".

    An empty list means that it can be used, and says nothing that contradicts itself. A file in the
    folder for presets of a data set is checked for what those may not say, too.

    Raises
    ------
    ConfigError
        When it cannot be read, or is no TOML.
    """
    try:
        provider = read_file(path)
    except InvalidPreset as exc:
        return list(exc.problems)
    problems = [*_endpoints(provider), *_regions(provider), *_upload(provider), *_rest(provider)]
    if path.absolute().parent.parts[-2:] == IN_DATASET.parts:
        problems += [
            f"{key} may not be stated by a preset that comes with a data set"
            for key in refused_in_clone(provider)
        ]
    return problems


def _endpoints(provider: Provider) -> Iterator[str]:
    rule = provider.endpoint
    stated = {"endpoint.default": rule.default, "endpoint.template": rule.template}
    stated |= {f"regions[{at}].endpoint": row.endpoint for at, row in enumerate(provider.regions)}
    stated |= {f"endpoint.aliases[{at}]": url for at, url in enumerate(rule.aliases)}
    for key, url in stated.items():
        if url is not None:
            yield from _url(key, url, may_be_open=key.startswith("endpoint.aliases"))
    in_template = set(_BRACES.findall(rule.template or ""))
    for name in sorted(rule.variables.keys() - in_template):
        yield f"endpoint.variables.{name} is not used by endpoint.template"
    if _BRACES.search(rule.default or ""):
        yield "endpoint.default has names in braces: it should be endpoint.template"
    if rule.unconfirmed and not _states_host(provider):
        yield "endpoint.unconfirmed is stated, but no host"


def _states_host(provider: Provider) -> bool:
    hosts = (provider.endpoint.default, provider.endpoint.template, *provider.regions)
    return any(host for host in hosts if isinstance(host, str)) or any(
        row.endpoint for row in provider.regions
    )


def _url(key: str, url: str, *, may_be_open: bool) -> Iterator[str]:
    filled = _BRACES.sub("x", url)
    try:
        normal = normal_endpoint(filled, source=key)
    except ConfigError as exc:
        yield f"{exc}".removeprefix("the ").replace(key, f"{key} {url!r}", 1)
        return
    if normal != filled:
        yield f"{key} {url!r} must be written in full: {normal if filled == url else 'https://host'}"
    if url.startswith("http://") and not (
        may_be_open or is_loopback_host(urlsplit(filled).hostname or "")
    ):
        yield f"{key} {url!r} is not https: plain http is for this machine only"


def _regions(provider: Provider) -> Iterator[str]:
    ids = [row.id for row in provider.regions]
    yield from (f"regions: {name!r} stands there twice" for name in _twice(ids))
    if provider.region.default is not None and ids and provider.region.default not in ids:
        yield f"region.default {provider.region.default!r} is none of the regions"
    known = "{region}" in (provider.endpoint.template or "")
    if known and not ids and provider.region.default is None:
        yield "regions are missing: endpoint.template needs one, and nobody could know which there are"
    for name in _BRACES.findall(provider.region.signing or ""):
        if name != "region":
            yield f"region.signing uses {{{name}}}: only {{region}} is filled in"


def _upload(provider: Provider) -> Iterator[str]:
    upload = provider.upload
    if not 0 < upload.min_part <= upload.max_part:
        yield "upload.min_part must be between 1 byte and upload.max_part"
    if upload.max_parts < 1:
        yield "upload.max_parts must be 1 at least"
    largest = max(upload.max_put, upload.max_part * upload.max_parts)
    if upload.max_object > largest:
        yield (
            f"upload.max_object is {human_size(upload.max_object)}, but upload.max_parts parts of "
            f"upload.max_part are {human_size(largest)}"
        )


def _rest(provider: Provider) -> Iterator[str]:
    classes = [row.name for row in provider.storage_classes]
    yield from (f"storage_classes: {name!r} stands there twice" for name in _twice(classes))
    for name in _BRACES.findall(provider.help.public_url or ""):
        if name not in _IN_PUBLIC_URL:
            yield f"help.public_url uses {{{name}}}; known: {', '.join(sorted(_IN_PUBLIC_URL))}"
    links: Mapping[str, str | None] = {
        "help.console": provider.help.console,
        "help.docs": provider.help.docs,
        "help.public_url": provider.help.public_url,
    }
    for key, url in links.items():
        if url is not None and not url.startswith("https://"):
            yield f"{key} must begin with https://"
    if not _is_date(provider.evidence.checked):
        yield f"evidence.checked is {provider.evidence.checked!r}, must be a date like 2026-11-22"


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]
