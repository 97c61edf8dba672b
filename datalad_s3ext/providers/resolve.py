"""From a preset and what the user says to one place on the network.

Nothing here opens a connection. What comes out is checked: an endpoint is a scheme, a host and
perhaps a port, never more, since it is stored in the configuration that everybody can read.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Never
from urllib.parse import SplitResult, urlsplit

from datalad_s3ext import places
from datalad_s3ext.errors import ConfigError
from datalad_s3ext.providers.schema import NOTHING, Addressing, Provider, Region, Signature

if TYPE_CHECKING:
    from datalad_s3ext.providers.measured import Overlay

GIVE_ENDPOINT = "give it with --endpoint URL"
START_SERVER = "start it: datalad s3-serve --background"
LAST_REGION = "us-east-1"  # what S3 clients sign for when nothing is said, and servers expect

ENDPOINT_VARIABLES = ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where platforms (the first) and the SDK name an endpoint, with or without scheme."""
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
_FILLING = re.compile(r"[A-Za-z0-9._-]+")  # what may be put into a template: no /, @, :, ?
_RECORD_KEYS = ("endpoint", "region", "access_key_id", "secret_access_key")


@dataclass(frozen=True)
class Connection:
    """One place where buckets live, and how to speak to it. Holds no keys."""

    provider: Provider
    endpoint_url: str | None
    """Scheme, host and port, no trailing slash; None: the SDK knows it."""
    region: str
    signing_region: str
    addressing: Addressing
    signature: Signature
    measured: Overlay | None = None
    """What `s3-doctor --save` measured at this endpoint; `provider` is corrected by it."""


def resolve(
    provider: Provider,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    variables: Mapping[str, str] = NOTHING,
    environ: Mapping[str, str] = os.environ,
    addressing: Addressing | None = None,
    signature: Signature | None = None,
    use_measured: bool = True,
) -> Connection:
    """Return where and how to reach `provider`; what is given wins over what the preset says.

    What `s3-doctor --save` measured at the endpoint corrects the preset.

    Parameters
    ----------
    endpoint : str, optional
        ``https://host:port``; without a scheme https is meant, http on this machine.
    variables : mapping
        Values for the names in the preset's endpoint template, besides the region.
    use_measured : bool, optional
        False: as the preset says, to measure anew.

    Raises
    ------
    ConfigError
        When the endpoint is malformed or cannot be found, a variable is missing, the region does
        not exist there, the local server does not run, or the file of what was measured is wrong.
    """
    if endpoint is None and region is not None:
        _check_region(provider, region)
    in_record = provider.endpoint.local_server and endpoint is None
    place = _region(provider, region, environ) or (server_record()["region"] if in_record else None)
    connection = Connection(
        provider=provider,
        endpoint_url=(
            _find_endpoint(provider, place, variables, environ)
            if endpoint is None
            else normal_endpoint(endpoint)
        ),
        region=place or LAST_REGION,
        signing_region=_signing_region(provider, place or LAST_REGION),
        addressing=addressing or provider.requests.addressing,
        signature=signature or provider.requests.signature,
    )
    overlay = find_measured(connection) if use_measured else None
    return replace(connection, provider=overlay.provider, measured=overlay) if overlay else connection


def find_measured(connection: Connection) -> Overlay | None:
    """Return what was measured at the endpoint of `connection`, and is kept; usually nothing is.

    Raises
    ------
    ConfigError
        When the file is wrong.
    """
    if connection.endpoint_url is None:
        return None  # found by the SDK: nothing but the region tells which it will be
    path = places.measured_service(connection.endpoint_url)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    from datalad_s3ext.providers.measured import laid_over

    return laid_over(connection.provider, connection.endpoint_url, path)


def normal_endpoint(text: str, *, source: str = "endpoint") -> str:
    """Return `text` as scheme, host and port, without a trailing slash.

    Raises
    ------
    ConfigError
        When it holds anything else. A user name, password, path or query is not repeated in the
        message: it may be a secret.
    """
    parts, port = _split_url(text if "://" in text else f"{_usual_scheme(text)}://{text}", source)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
        raise _malformed(source, "is no URL of a host")
    if "@" in parts.netloc:
        raise _malformed(source, "holds a user name or password, which would be stored for all")
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise _malformed(source, f"of host {parts.hostname} has more than host and port")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def server_record() -> Mapping[str, str]:
    """Return endpoint, region, access_key_id and secret_access_key of the running local server.

    Raises
    ------
    ConfigError
        When no server runs, or its record is damaged.
    """
    import json

    path = places.server_record()
    try:
        raw = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError("the local S3 server does not run", remedy=START_SERVER) from None
    except (OSError, ValueError) as exc:
        # `from None`: the text of the file, with the secret, must not stand in a traceback
        kind = type(exc).__name__
        raise ConfigError(f"{path} cannot be read ({kind})", remedy=START_SERVER) from None
    if isinstance(raw, dict) and "pid" in raw and raw["pid"] is None:
        raise ConfigError("the local S3 server is stopped", remedy=START_SERVER)
    missing = [key for key in _RECORD_KEYS if not isinstance(raw, dict) or key not in raw]
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}", remedy=START_SERVER)
    return {key: str(raw[key]) for key in _RECORD_KEYS}


def builtin_parameters(connection: Connection, bucket: str, fileprefix: str) -> dict[str, str]:
    """Return the parameters with which git-annex's built-in ``type=S3`` reaches the same objects.

    Everything it would otherwise guess is stated: its own defaults are plain http, signature v2,
    and host names made of bucket names.
    """
    chosen: dict[str, str] = {"bucket": bucket, "fileprefix": fileprefix}
    chosen["signature"] = connection.signature
    if connection.endpoint_url is None:
        chosen |= {"protocol": "https", "datacenter": _datacenter(connection)}
    else:
        chosen |= _builtin_host(connection.endpoint_url)
        chosen["region"] = connection.signing_region
    if connection.addressing == "path":
        chosen["requeststyle"] = "path"
    return {name: value for name, value in chosen.items() if value}


def _builtin_host(endpoint_url: str) -> dict[str, str]:
    parts = urlsplit(endpoint_url)
    usual_port = 443 if parts.scheme == "https" else 80
    port = parts.port or usual_port
    chosen = {"host": parts.hostname or "", "port": str(port), "protocol": parts.scheme}
    if port != usual_port:
        # Its v4 signs the Host header without the port, but sends it with the port: every server
        # answers SignatureDoesNotMatch. Recomputed from a captured request, git-annex 10.20261026,
        # 2026-11-22. v2 signs no Host.
        chosen["signature"] = "v2"
    return chosen


def location_constraint(connection: Connection) -> str | None:
    """Return the LocationConstraint that a new bucket needs, or None when it needs none."""
    rule, region = connection.provider.bucket.location_constraint, connection.region
    # AWS refuses the constraint us-east-1 (InvalidLocationConstraint)
    if rule == "none" or (rule == "region-unless-us-east-1" and region == "us-east-1"):
        return None
    row = _row(connection.provider, region)
    return (row and row.location) or region


def _datacenter(connection: Connection) -> str:
    # git-annex sends its datacenter as LocationConstraint, except for its own name "US"
    rule = connection.provider.bucket.location_constraint
    unnamed = rule != "none" and location_constraint(connection) is None
    return "US" if unnamed else connection.region


# -- region ------------------------------------------------------------------------------------


def _row(provider: Provider, region: str | None) -> Region | None:
    return next((row for row in provider.regions if row.id == region), None)


def _signing_region(provider: Provider, region: str) -> str:
    row = _row(provider, region)
    rule = (row and row.signing) or provider.region.signing or "{region}"
    return rule.replace("{region}", region)


def _region(provider: Provider, given: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the region, or None when nothing at all states one."""
    if given is not None and not _FILLING.fullmatch(given):
        raise ConfigError(f"region={given!r} is no region", remedy="use letters, digits, . _ and -")
    preset = provider.region.default
    in_environment = _region_of_environment(provider, environ)
    if provider.endpoint.local_server:
        return given or preset  # else the server says it; the variables mean other services
    # The variables are Amazon's: for them they win over the preset, elsewhere they only fill a gap.
    order = (in_environment, preset) if provider.endpoint.by_sdk else (preset, in_environment)
    return given or order[0] or order[1]


def _region_of_environment(provider: Provider, environ: Mapping[str, str]) -> str | None:
    known = {region.id for region in provider.regions}
    for variable in REGION_VARIABLES:
        value = environ.get(variable, "")
        # a region of Amazon's, set for other work, must not become a host name of somebody else
        fits = value in known or provider.endpoint.by_sdk or not known
        if fits and _FILLING.fullmatch(value):
            return value
    return None


def _check_region(provider: Provider, region: str) -> None:
    known = [row.id for row in provider.regions]
    rule = provider.endpoint
    takes_any = not known or rule.by_sdk or "{region}" in (rule.template or "")
    if not takes_any and region not in known:
        raise ConfigError(
            f"{provider.name} has no region {region!r}", remedy=f"choose from {', '.join(known)}"
        )


# -- endpoint ----------------------------------------------------------------------------------


def _find_endpoint(
    provider: Provider,
    region: str | None,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> str | None:
    rule = provider.endpoint
    sources: tuple[tuple[str, Callable[[], str | None]], ...] = (
        (f"endpoint of region {region}", lambda: _region_endpoint(provider, region)),
        (_variable_set(provider, environ) or "environment",
         lambda: environ.get(_variable_set(provider, environ) or "")),
        ("record of the local server",
         lambda: server_record()["endpoint"] if rule.local_server else None),
        ("endpoint template", lambda: _filled_template(provider, region, variables)),
        ("endpoint default", lambda: rule.default),
    )  # fmt: skip
    for source, look in sources:
        found = look()
        if found:
            return normal_endpoint(found, source=source)
    if rule.by_sdk:
        return None
    if region is None and any(row.endpoint for row in provider.regions):
        _ask_region(provider)
    unset = f" ({' and '.join(rule.env)} not set)" if rule.env else ""
    raise ConfigError(f"the endpoint of {provider.name} is not known{unset}", remedy=GIVE_ENDPOINT)


def _region_endpoint(provider: Provider, region: str | None) -> str | None:
    row = _row(provider, region)
    return row.endpoint if row else None


def _variable_set(provider: Provider, environ: Mapping[str, str]) -> str | None:
    return next((name for name in _variables(provider) if environ.get(name)), None)


def _variables(provider: Provider) -> tuple[str, ...]:
    """Return the variables that may name the endpoint: the usual ones where the preset knows none."""
    rule = provider.endpoint
    elsewhere = [rule.template, *(row.endpoint for row in provider.regions)]
    own_host = urlsplit(rule.default or "http://localhost").hostname or ""
    has_place = rule.by_sdk or rule.local_server or any(elsewhere) or not is_loopback_host(own_host)
    return rule.env or (() if has_place else ENDPOINT_VARIABLES)


def _filled_template(
    provider: Provider, region: str | None, variables: Mapping[str, str]
) -> str | None:
    template = provider.endpoint.template
    if template is None:
        return None
    filling = dict(variables)
    if "{region}" in template:
        filling["region"] = region or _ask_region(provider)
    for name in re.findall(r"\{([^}]*)\}", template):
        value = filling.get(name) or _ask_variable(provider, name)
        if not _FILLING.fullmatch(value):
            raise ConfigError(f"{name}={value!r} cannot be part of a host name")
        template = template.replace(f"{{{name}}}", value)
    return template


def _ask_region(provider: Provider) -> Never:
    known = ", ".join(row.id for row in provider.regions)
    raise ConfigError(f"{provider.name} needs a region", remedy=f"give --region, one of: {known}")


def _ask_variable(provider: Provider, name: str) -> Never:
    raise ConfigError(
        f"{provider.name} needs {name}: {provider.endpoint.variables[name]}",
        remedy=f"give it on the command line as {name}=VALUE",
    )


def _usual_scheme(text: str) -> str:
    """Plain http is for this machine only."""
    host = _split_url(f"https://{text}", "endpoint")[0].hostname or ""
    return "http" if is_loopback_host(host) else "https"


def is_loopback_host(host: str) -> bool:
    """Tell whether the host name or address `host` means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split_url(text: str, source: str) -> tuple[SplitResult, int | None]:
    if not text.isprintable() or " " in text or "\\" in text:
        raise _malformed(source, "holds characters that no URL has")
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError:
        # `from None`: the text of the error repeats what may be a password
        raise _malformed(source, "is no URL of a host") from None


def _malformed(source: str, problem: str) -> ConfigError:
    return ConfigError(f"the {source} {problem}", remedy="write it like https://host:port")
