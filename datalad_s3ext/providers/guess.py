"""Which provider is behind an endpoint? Answered from what the presets say about their hosts.

Every preset is read for it: this is for commands that a person waits for, not for the remote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.load import find_all
from datalad_s3ext.providers.resolve import normal_endpoint
from datalad_s3ext.providers.schema import Provider

_BRACES = re.compile(r"\{[^}]*\}")
_ANYTHING = "[a-z0-9-]+(?:[.][a-z0-9-]+)*"


def guess(endpoint_url: str) -> Provider | None:
    """Return the one provider whose hosts fit `endpoint_url` best; None when none or several do.

    Presets of the user and packaged ones are asked. Those of a data set are not: a clone must not
    pass itself off as a known service. A preset that cannot be read is left out.

    Raises
    ------
    ConfigError
        When `endpoint_url` is no endpoint.
    """
    found = candidates(endpoint_url, _readable())
    return found[0] if len(found) == 1 else None


def candidates(endpoint_url: str, providers: Iterable[Provider]) -> list[Provider]:
    """Return those of `providers` whose hosts fit `endpoint_url` best.

    A host that is spelled out fits better than a template, and a template the better the more of it
    is spelled out. Several are returned when they fit equally well.

    Raises
    ------
    ConfigError
        When `endpoint_url` is no endpoint.
    """
    place = _place(normal_endpoint(endpoint_url))
    fits = [(fit, provider) for provider in providers if (fit := _fit(provider, place))]
    best = max((fit for fit, _ in fits), default=0)
    return [provider for fit, provider in fits if fit == best]


def is_own_host(provider: Provider, endpoint_url: str) -> bool:
    """Tell whether `provider` itself names the host of `endpoint_url`, and TLS protects the way.

    Raises
    ------
    ConfigError
        When `endpoint_url` is no endpoint.
    """
    url = normal_endpoint(endpoint_url)
    return url.startswith("https:") and _fit(provider, _place(url)) > 0


def _readable() -> Iterator[Provider]:
    for file in find_all().values():
        try:
            yield file.load()
        except ConfigError:
            continue


def _fit(provider: Provider, place: str) -> int:
    """Return how many characters of `place` the best form of `provider` spells out; 0: no fit."""
    return max((_spelled_out(form) for form in _forms(provider) if _matches(form, place)), default=0)


def _forms(provider: Provider) -> Iterator[str]:
    """Yield host and port of all endpoints of `provider`, with names in braces where they vary."""
    rule = provider.endpoint
    urls = [url for url in (rule.default, rule.template, *rule.aliases) if url]
    urls += [row.endpoint for row in provider.regions if row.endpoint]
    for url in urls:
        yield _place(url)
        for row in provider.regions if "{region}" in url else ():
            yield _place(url.replace("{region}", row.id))


def _place(url: str) -> str:
    """Return host and port in lower case; the usual port of the scheme is left out."""
    scheme, _, place = url.lower().partition("://")
    return place.removesuffix(":443" if scheme == "https" else ":80")


def _spelled_out(form: str) -> int:
    """Return how much of `form` is no placeholder; nothing where any host of all would fit."""
    after = _BRACES.split(form)[-1]
    return len(_BRACES.sub("", form)) if after == form or "." in after else 0


def _matches(form: str, place: str) -> bool:
    if "{" not in form:
        return form == place
    spelled = (re.escape(part) for part in _BRACES.split(form))
    return re.fullmatch(_ANYTHING.join(spelled), place) is not None
