"""Is it S3, is the clock right, is it the right region? Said by real servers and by the relay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from datalad_s3ext.credentials.model import Anonymous
from tests.support.faults import Answer, clock_skewed, every, s3_error
from tests.support.hostile import HtmlServer
from tests.support.relay import Relay
from tests.support.servers import Endpoint
from tests.support.wire import Request
from tests.unit.doctor.support import by_stage, examine, keys_of, last

pytestmark = pytest.mark.server

PAGE = b"<html><head><title>Campus network: sign in</title></head></html>"


def is_root(request: Request) -> bool:
    return (request.method, request.path) == ("GET", "/")


def asks_for_bucket(request: Request) -> bool:
    return request.method == "HEAD"


def date(ahead: timedelta) -> str:
    """Return the Date header of a server, so that our clock seems `ahead` of it."""
    return format_datetime(datetime.now(UTC) - ahead, usegmt=True)


def test_each_server_is_known_as_s3(endpoint: Endpoint) -> None:
    findings = examine(endpoint.url, identity=keys_of(endpoint))

    assert by_stage(findings)["s3"].status == "ok"
    assert last(findings) == ("bucket", "skipped")
    assert "--bucket" in findings[-1].remedy


def test_a_web_console_on_the_port_beside() -> None:
    with HtmlServer() as console:
        findings = examine(console.url)

    assert last(findings) == ("s3", "failed")
    assert "a web page with the title 'Console'" in findings[-1].text
    assert "MinIO: 9000, not 9001" in findings[-1].remedy
    assert findings[-1].facts["error"] == 18


@pytest.mark.parametrize(
    ("answer", "text", "remedy"),
    [
        (Answer(302, headers={"Location": "http://login.campus.example/?to=x"}),
         "sends requests on to http://login.campus.example instead", "log in to the network"),
        (Answer(302, headers={"Location": "http://[/"}), "sends requests on to", "log in"),
        (Answer(200, PAGE, {"Content-Type": "text/html"}), "Campus network: sign in", "web browser"),
        (Answer(200, b'{"status": "ok"}', {"Content-Type": "application/json"}),
         "not like S3 (status 200, application/json)", "host and port"),
        (Answer(400, b"Client sent an HTTP request to an HTTPS server.\n", {}),
         "speaks https, not http", "https://"),
        (Answer(503, b"<html>maintenance</html>", {"Content-Type": "text/html"}),
         "status 503", "try again"),
    ],
    ids=["portal redirects", "a redirect to nowhere", "portal answers", "another service", "https port", "maintenance"],
)  # fmt: skip
def test_something_else_answers(seaweed: Endpoint, answer: Answer, text: str, remedy: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(every, answer, times=10)
        findings = examine(relay.url)

    assert last(findings) == ("s3", "failed")
    assert text in findings[-1].text
    assert remedy in findings[-1].remedy


def test_a_server_that_sends_all_to_https(seaweed: Endpoint) -> None:
    with Relay(seaweed.url) as relay:
        secure = relay.url.replace("http:", "https:")
        relay.answer(every, Answer(301, headers={"Location": f"{secure}/"}), times=10)
        findings = examine(relay.url)

    assert last(findings) == ("s3", "failed")
    assert f"--endpoint {secure}" in findings[-1].remedy


@pytest.mark.parametrize(
    ("ahead", "status", "text"),
    [
        (timedelta(minutes=3), "ok", "agrees"),
        (timedelta(minutes=8), "warning", "8 minutes ahead of"),
        (timedelta(minutes=-8), "warning", "8 minutes behind"),
        (timedelta(minutes=40), "failed", "40 minutes ahead of"),
    ],
    ids=str,
)
def test_the_clock_is_compared(seaweed: Endpoint, ahead: timedelta, status: str, text: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(is_root, s3_error(403, "AccessDenied", Date=date(ahead)))
        findings = examine(relay.url, identity=keys_of(seaweed))

    clock = by_stage(findings)["clock"]
    assert (clock.status, text in clock.text) == (status, True)
    assert (last(findings)[0] == "clock") == (status == "failed")
    if status != "ok":
        assert "network time" in clock.remedy


def test_a_server_without_a_date_leaves_the_clock_open(seaweed: Endpoint) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(is_root, s3_error(403, "AccessDenied"))
        findings = examine(relay.url, identity=keys_of(seaweed))

    assert by_stage(findings)["clock"].status == "unknown"


def test_a_clock_that_only_signed_requests_complain_about(seaweed: Endpoint, new_bucket: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(lambda request: "authorization" in request.headers, clock_skewed())
        findings = examine(relay.url, new_bucket, keys_of(seaweed))

    assert last(findings) == ("clock", "failed")
    assert findings[-1].facts["error"] == 21


IN_ANOTHER_REGION = s3_error(403, "", x_amz_bucket_region="eu-central-9")


def test_a_bucket_in_another_region_is_told_before_any_key_is_sent(
    seaweed: Endpoint, new_bucket: str
) -> None:
    sent: list[Request] = []

    def note(request: Request) -> bool:
        sent.append(request)
        return False

    with Relay(seaweed.url) as relay:
        relay.answer(note, Answer(200))
        relay.answer(asks_for_bucket, IN_ANOTHER_REGION)
        findings = examine(
            relay.url, new_bucket, keys_of(seaweed), provider="aws",
            connection={"addressing": "path", "region": "us-east-1"},
        )  # fmt: skip

    assert last(findings) == ("region", "failed")
    assert "in region eu-central-9, but requests are signed for us-east-1" in findings[-1].text
    assert "--region eu-central-9" in findings[-1].remedy
    assert not any("authorization" in request.headers for request in sent)


def test_what_a_server_says_cannot_act_on_a_shell(seaweed: Endpoint, new_bucket: str) -> None:
    said = s3_error(403, "", x_amz_bucket_region="$(rm -rf ~)")
    with Relay(seaweed.url) as relay:
        relay.answer(asks_for_bucket, said)
        findings = examine(
            relay.url, new_bucket, keys_of(seaweed), provider="aws",
            connection={"addressing": "path", "region": "us-east-1"},
        )  # fmt: skip

    assert "--region '$(rm -rf ~)'" in findings[-1].remedy


def test_elsewhere_another_region_may_do(seaweed: Endpoint, new_bucket: str) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(asks_for_bucket, IN_ANOTHER_REGION)
        stages = by_stage(examine(relay.url, new_bucket, keys_of(seaweed), until="signature"))

    assert stages["region"].status == "warning"
    assert stages["signature"].status == "ok"


@pytest.mark.parametrize(
    "root",
    [Answer(412, b"Bad URL", {}), Answer(200, PAGE), Answer(302, headers={"Location": "http://w/"})],
    ids=["Swift", "a page at the root", "a root that leads away"],
)
def test_s3_is_known_although_its_root_is_something_else(seaweed: Endpoint, root: Answer) -> None:
    with Relay(seaweed.url) as relay:
        relay.answer(is_root, root)
        findings = examine(relay.url, identity=keys_of(seaweed))

    assert by_stage(findings)["s3"].status == "ok"


def test_a_region_that_the_server_confirms(moto: Endpoint, bucket_name: str) -> None:
    from tests.support.servers import boto3_client

    boto3_client(moto).create_bucket(Bucket=bucket_name)
    findings = examine(moto.url, bucket_name, keys_of(moto), until="region")

    region = by_stage(findings)["region"]
    assert (region.status, region.facts["region"]) == ("ok", "us-east-1")


def test_requests_that_are_not_signed(rclone: Endpoint) -> None:
    findings = examine(rclone.url, "bucket", Anonymous())

    assert last(findings) == ("signature", "failed")
    assert "takes no requests without keys" in findings[-1].text
    assert "--profile" in findings[-1].remedy


def test_the_name_of_the_bucket_in_the_wrong_place(seaweed: Endpoint, new_bucket: str) -> None:
    """A server that does not see the bucket's name answers with a list of all buckets."""
    body = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"
    everything = Answer(200, body, {"Content-Type": "application/xml"})
    with Relay(seaweed.url) as relay:
        relay.answer(lambda request: "list-type" in request.path, everything)
        findings = examine(relay.url, new_bucket, keys_of(seaweed))

    assert last(findings) == ("bucket", "failed")
    assert "requeststyle=virtual" in findings[-1].remedy
