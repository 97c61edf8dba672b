"""A bucket as plain HTTP shows it to everybody: a web site or a content delivery network over it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.exceptions import ClientError

from tests.support.servers import Endpoint, boto3_client

Said = tuple[int, Mapping[str, str], bytes]
Instead = Callable[[str], Said | None]
"""Says what to answer for the path of an object, instead of what the bucket has."""


class Cdn:
    """Serves the objects of a bucket, and takes note of who asks how.

    Parameters
    ----------
    ranges, versions
        Whether parts are sent, and old versions.
    """

    def __init__(
        self, endpoint: Endpoint, bucket: str, *, ranges: bool = True, versions: bool = True
    ) -> None:
        self.instead: Instead = lambda _: None
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        """Method, path and headers of each request; names of headers in lower case."""
        outer, client = self, boto3_client(endpoint)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append((self.command, self.path, headers))
                parts = urlsplit(self.path)
                name = unquote(parts.path).lstrip("/")
                version = dict(parse_qsl(parts.query)).get("versionId")
                wanted = {"VersionId": version} if version and versions else {}
                if ranges and "range" in headers:
                    wanted["Range"] = headers["range"]
                status, more, body = outer.instead(name) or self._of_bucket(name, wanted)
                self.send_response(status)
                for header, value in {"Content-Length": str(len(body)), **more}.items():
                    self.send_header(header, value)
                self.end_headers()
                if self.command == "GET":
                    with suppress(OSError):  # who asks may have seen enough
                        self.wfile.write(body)

            def _of_bucket(self, name: str, wanted: Mapping[str, Any]) -> Said:
                try:
                    found = client.get_object(Bucket=bucket, Key=name, **wanted)
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                    return status, {"Content-Type": "text/html"}, b"<h1>Sorry</h1>"
                more = {"ETag": found["ETag"]}
                if version := found.get("VersionId"):
                    more["x-amz-version-id"] = version
                if "Range" in wanted:
                    more["Content-Range"] = found["ContentRange"]
                return 206 if "Range" in wanted else 200, more, found["Body"].read()

            def log_message(self, *_: object) -> None:
                """Be silent."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
