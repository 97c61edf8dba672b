"""An upload whose id was lost on its way, on real servers."""

from __future__ import annotations

import pytest

from datalad_s3ext.store.patience import RetryPolicy
from datalad_s3ext.store.retrying import open_patient_store
from tests.integration.store.conftest import connection_to, keys_of
from tests.support import faults
from tests.support.faults import Request, Shaper
from tests.support.relay import Relay
from tests.support.servers import Endpoint, boto3_client

pytestmark = pytest.mark.server

QUICK = RetryPolicy(first_wait_s=0.01)


def begins_an_upload(request: Request) -> bool:
    return request.method == "POST"


@pytest.mark.parametrize("kind", ["seaweed", "rclone"])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.truncate(0, reset=True), id="lost"),
        pytest.param(faults.truncate(40), id="cut"),
        pytest.param(faults.flip_byte(0), id="damaged"),
    ],
)
def test_nothing_is_left_of_it(
    kind: str, fault: Shaper, bucket_name: str, request: pytest.FixtureRequest
) -> None:
    endpoint: Endpoint = request.getfixturevalue(kind)
    client = boto3_client(endpoint)
    client.create_bucket(Bucket=bucket_name)
    other = client.create_multipart_upload(Bucket=bucket_name, Key="name and more")["UploadId"]

    with Relay(endpoint.url) as relay:
        relay.shapers_down.add(begins_an_upload, fault, 1)
        store = open_patient_store(
            connection_to(relay.url), keys_of(endpoint), bucket_name, policy=QUICK
        )
        upload_id = store.create_upload("name")
        begun = sum(method == "POST" for method, _ in relay.requests)
        store.close()

    left = client.list_multipart_uploads(Bucket=bucket_name)["Uploads"]
    assert {row["UploadId"] for row in left} == {other, upload_id}
    assert begun == 2
