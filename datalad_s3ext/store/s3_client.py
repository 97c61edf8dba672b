"""From a connection and an identity to a configured botocore client.

Every client has a session of its own and reads of the environment only what the identity calls
for: with explicit keys neither AWS_PROFILE, AWS_SESSION_TOKEN nor ~/.aws has any say. botocore does
not retry (:mod:`.retrying` does) and sends no ``Expect: 100-continue``, which would cost each PUT
one more round trip.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3.session
import botocore.session
from botocore import UNSIGNED, handlers
from botocore.config import Config
from botocore.exceptions import NoCredentialsError, ProfileNotFound

import datalad_s3ext
from datalad_s3ext.credentials.model import Anonymous, Identity, Keys, Profile, SdkChain
from datalad_s3ext.errors import ConfigError, CredentialsError
from datalad_s3ext.providers.resolve import Connection
from datalad_s3ext.store import raw_lists
from datalad_s3ext.store.arns import is_for_sdk_alone, parse_arn
from datalad_s3ext.store.bounded_answers import bound_answers
from datalad_s3ext.store.extras import NO_EXTRAS, Extras
from datalad_s3ext.store.pace import Pace
from datalad_s3ext.store.s3_answers import not_s3
from datalad_s3ext.store.s3_body import note_sending
from datalad_s3ext.store.s3_errors import translated
from datalad_s3ext.store.s3_place import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, place_of
from datalad_s3ext.store.s3_reader import PacedBody

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_SEARCHED = (
    "looked in the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in the profile"
    " {profile!r} of ~/.aws, and for a container or instance role"
)
# botocore's form: (config key, environment variable, default, conversion)
_IGNORED = (None, None, None, None)
_NO_FILE = (None, None, os.devnull, None)
_NO_ENVIRONMENT: dict[str, Any] = {
    "profile": _IGNORED,
    "config_file": _NO_FILE,
    "credentials_file": _NO_FILE,
}


def make_client(
    connection: Connection,
    identity: Identity,
    bucket: str = "",
    *,
    max_connections: int = 16,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    read_timeout_s: float = READ_TIMEOUT_S,
    session: botocore.session.Session | None = None,
    extras: Extras = NO_EXTRAS,
) -> S3Client:
    """Return a client that speaks as the provider's preset says.

    It may be used from any thread and keeps up to `max_connections` connections. Nothing is sent,
    except that :class:`SdkChain` may ask a metadata service on the local network, once and for a
    second or two.

    Raises
    ------
    CredentialsError
        When the profile does not exist, or no keys can be found where the identity says.
    ConfigError
        When the endpoint or another setting is malformed.
    """
    _require_v4a(bucket)
    place = place_of(connection, identity, bucket)
    with translated("connect to", "", place):
        session = session or session_for(identity)
        _require_keys(session, identity)
        try:
            client = boto3.session.Session(botocore_session=session).client(
                "s3",
                region_name=place.region,
                endpoint_url=connection.endpoint_url,
                config=_config(
                    connection, identity, bucket, max_connections,
                    (connect_timeout_s, read_timeout_s), extras,
                ),
                **_explicit_keys(identity),
            )  # fmt: skip
        except ValueError as error:
            raise ConfigError(
                f"{place.endpoint} is no usable endpoint", remedy="write it like https://host:port"
            ) from error
    _adapt(client, connection, bucket)
    _add_headers(client, connection, extras)
    bound_answers(client, 2 * read_timeout_s)
    client.meta.events.register("after-call.s3.GetObject", partial(_keep_pace, read_timeout_s, set()))
    return client


def session_for(identity: Identity) -> botocore.session.Session:
    """Return a session that reads of the environment only what `identity` calls for."""
    if isinstance(identity, Keys | Anonymous):
        return botocore.session.Session(session_vars=_NO_ENVIRONMENT)
    if isinstance(identity, Profile):
        return botocore.session.Session(profile=identity.name)
    return botocore.session.Session()


def _require_v4a(bucket: str) -> None:
    arn = parse_arn(bucket)
    if arn is not None and arn.wants_v4a and importlib.util.find_spec("awscrt") is None:
        raise ConfigError(
            f"requests to {bucket} carry a signature that holds in several regions (v4a), which needs "
            "a package that is not installed",
            remedy="pip install 'botocore[crt]'",
        )


def _require_keys(session: botocore.session.Session, identity: Identity) -> None:
    if isinstance(identity, Keys | Anonymous):
        return
    try:
        found = session.get_credentials()
    except ProfileNotFound as error:
        raise _no_such_profile(session, error) from error
    except NoCredentialsError:
        found = None
    if found is None:
        raise _no_keys(session, identity)


def _no_such_profile(session: botocore.session.Session, error: ProfileNotFound) -> CredentialsError:
    known = ", ".join(sorted(session.available_profiles)) or "none at all"
    return CredentialsError(
        f"there is no AWS profile {error.kwargs['profile']!r}",
        remedy=f"choose another one (~/.aws has: {known}), or correct --profile or AWS_PROFILE",
    )


def _no_keys(session: botocore.session.Session, identity: Profile | SdkChain) -> CredentialsError:
    if isinstance(identity, Profile):
        return CredentialsError(
            f"AWS profile {identity.name!r} holds no keys and no way to get them",
            remedy=f"run: aws configure --profile {identity.name}",
        )
    profile = session.get_config_variable("profile") or "default"
    return CredentialsError(
        "no keys were found: " + _SEARCHED.format(profile=profile),
        remedy="set both variables, or name a profile: AWS_PROFILE=NAME, or --profile NAME with "
        "datalad s3-setup and s3-enable",
    )


def _explicit_keys(identity: Identity) -> dict[str, Any]:
    if not isinstance(identity, Keys):
        return {}
    return {
        "aws_access_key_id": identity.access_key_id,
        "aws_secret_access_key": identity.secret_access_key,
        "aws_session_token": identity.session_token,
    }


def _config(
    connection: Connection,
    identity: Identity,
    bucket: str,
    max_connections: int,
    timeouts_s: tuple[float, float],
    extras: Extras,
) -> Config:
    checksums = connection.provider.requests.checksum_mode
    own_endpoint = connection.endpoint_url is not None
    return Config(  # type: ignore[call-arg]  # the stubs lag behind
        signature_version=_signature(connection, identity, bucket),
        s3=_s3_config(connection, extras),
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        retries={"mode": "legacy", "total_max_attempts": 1},
        max_pool_connections=max_connections,
        connect_timeout=timeouts_s[0],
        read_timeout=timeouts_s[1],
        tcp_keepalive=True,
        user_agent_extra=f"datalad-s3ext/{datalad_s3ext.__version__}",
        # AWS_ENDPOINT_URL may be set for other work: a bucket must not be looked for there
        ignore_configured_endpoint_urls=True,
        # these variants exist at Amazon only; with another host botocore refuses them
        use_fips_endpoint=False if own_endpoint else None,
        use_dualstack_endpoint=False if own_endpoint else extras.dual_stack or None,
    )


def _s3_config(connection: Connection, extras: Extras) -> Any:
    config: dict[str, Any] = {"addressing_style": connection.addressing}
    if extras.accelerate:
        config["use_accelerate_endpoint"] = True
    if connection.provider.requests.unsigned_payload is False:
        config["payload_signing_enabled"] = True  # over TLS botocore would leave the digest out
    return config


def _signature(connection: Connection, identity: Identity, bucket: str) -> Any:
    if isinstance(identity, Anonymous):
        return UNSIGNED
    if is_for_sdk_alone(bucket):
        return None  # botocore knows which signature and service name such a place wants
    return "s3v4" if connection.signature == "v4" else "s3"


def _adapt(client: S3Client, connection: Connection, bucket: str) -> None:
    """Switch off what botocore does and services do not want."""
    events = client.meta.events
    endpoint = connection.endpoint_url or connection.provider.name
    events.unregister("before-call.s3", handlers.add_expect_header)
    events.register("before-send.s3", note_sending)
    # the wildcard comes before botocore's own handler, which takes web pages for cut-off answers
    events.register("before-parse.*.*", partial(_refuse_web_page, endpoint))
    events.register("before-sign.s3", _send_what_is_signed)
    if connection.endpoint_url is not None:
        events.register("before-call.s3", _forbid_redirect)
    if ":" in bucket:  # tenant:bucket of Ceph and OpenStack
        events.unregister("before-parameter-build.s3", handlers.validate_bucket_name)
    if not connection.provider.listing.url_encoding:
        for operation in raw_lists.OPERATIONS:
            events.unregister(
                f"before-parameter-build.s3.{operation}",
                handlers.set_list_objects_encoding_type_url,
            )
        raw_lists.register(events)


def _add_headers(client: S3Client, connection: Connection, extras: Extras) -> None:
    """Send what the preset says besides S3's own headers. Links that are made do not need it."""
    provider, events = connection.provider, client.meta.events
    if provider.requests.headers:
        events.register("before-call.s3", partial(_send_also, provider.requests.headers))
    prefix = provider.bucket.metadata_prefix
    if prefix is not None:
        named = {f"{prefix}{name}": text for name, text in extras.bucket_metadata.items()}
        events.register("before-call.s3.CreateBucket", partial(_send_also, named))


def _send_also(headers: Mapping[str, str], params: dict[str, Any], **_: object) -> None:
    params["headers"].update(headers)


def _forbid_redirect(params: dict[str, Any], **_: object) -> None:
    """Keep botocore from looking for the bucket in another region of Amazon.

    After a redirect of any kind it asks HEAD of the bucket, whose redirect it follows in the same
    way: at a login page, which redirects everything, that is an endless recursion (botocore 1.44).
    """
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _keep_pace(
    window_s: float, line: set[Pace], http_response: Any, parsed: dict[str, Any], **_: object
) -> None:
    if "Body" in parsed:
        parsed["Body"] = PacedBody(http_response.raw, Pace(window_s, line))


def _send_what_is_signed(request: Any, signature_version: str, **_: object) -> None:
    """Let signature v2 of a request for the bucket itself be one of the path that is sent.

    botocore sends ``/bucket`` and signs ``/bucket/`` (1.44). A server that takes the path as it came,
    as SeaweedFS 4 does, then refuses all lists. git-annex and others send ``/bucket/``.
    """
    parts = urlsplit(request.url)
    if signature_version == "s3" and request.auth_path == f"{parts.path}/":
        request.url = parts._replace(path=request.auth_path).geturl()


def _refuse_web_page(endpoint: str, response_dict: dict[str, Any], **_: object) -> None:
    body = response_dict.get("body")
    if response_dict["status_code"] != 200 or not isinstance(body, bytes):
        return
    if body[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise not_s3(endpoint, "it sends a web page")
