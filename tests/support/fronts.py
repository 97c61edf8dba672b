"""What can stand between a client and a server: TLS, and proxies."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit


class TlsFront:
    """Speaks TLS with a certificate of the test's choice, and passes everything on to a server."""

    def __init__(self, upstream_url: str, certificate: Path, address: str = "127.0.0.1") -> None:
        target = urlsplit(upstream_url)
        self._upstream = (target.hostname or "", target.port or 80)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(10)
            with (
                self._context.wrap_socket(client, server_side=True) as secured,
                socket.create_connection(self._upstream) as server,
            ):
                secured.settimeout(None)
                down = threading.Thread(target=_pass, args=(server, secured), daemon=True)
                down.start()
                _pass(secured, server)
                down.join()


class Proxy:
    """A forward proxy: CONNECT and whole URLs.

    Parameters
    ----------
    refuse_with
        A status for everything.
    leads_to
        The port on this machine that all names lead to, whatever they are.
    """

    def __init__(self, refuse_with: int | None = None, leads_to: int | None = None) -> None:
        self.seen: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                proxy.seen.append(f"CONNECT {self.path}")
                self.close_connection = True
                if refuse_with is not None:
                    self.send_error(refuse_with)
                    return
                host, _, port = self.path.rpartition(":")
                address = ("127.0.0.1", leads_to) if leads_to else (host, int(port))
                with socket.create_connection(address) as server:
                    self.send_response(200)
                    self.end_headers()
                    down = threading.Thread(target=_pass, args=(server, self.connection), daemon=True)
                    down.start()
                    _pass(self.connection, server)
                    down.join()

            def _forward(self) -> None:
                proxy.seen.append(f"{self.command} {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if refuse_with is not None:
                    self.send_error(refuse_with)
                    return
                target = urlsplit(self.path)
                server = http.client.HTTPConnection(target.hostname or "", target.port or 80)
                path = target._replace(scheme="", netloc="").geturl() or "/"
                server.request(self.command, path, body, dict(self.headers))
                answer = server.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"transfer-encoding", "content-length", "date", "server"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                server.close()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until the source ends, then end the target."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
