"""What a stranger can do to those who clone: a git-annex branch of any content, and a port that listens."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from tests.support.raw_server import answer, read_request, refusal
from tests.support.repos import AnnexRepo

UUID = "5c1a7e00-0000-4000-8000-00000000e711"


class Listener:
    """Writes down every byte that reaches it, and answers like the S3 server that was expected.

    It has the marker object, so that a remote there is enabled without keys, and no other object.
    """

    def __init__(self) -> None:
        self.heard = b""
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            while request := read_request(connection):
                self.heard += request
                if b"\r\n\r\n" not in request:  # a TLS greeting
                    return
                connection.sendall(_answer(request.split(b" ", 2)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def _answer(words: list[bytes]) -> bytes:
    method, path = words[0], words[1]
    if path.strip(b"/").count(b"/") == 0:  # the bucket
        return answer("200 OK")
    if path.endswith(b"annex-uuid"):
        body = b"" if method == b"HEAD" else UUID.encode()
        return answer("200 OK", body, 'ETag: "e"')
    return answer("404 Not Found") if method == b"HEAD" else refusal("404 Not Found", "NoSuchKey")


def write_remote_log(repo: AnnexRepo, *lines: str) -> None:
    """Make `lines` the remote.log of the git-annex branch of `repo`, as any program could."""
    env = {"GIT_INDEX_FILE": str(repo.path / ".git" / "poisoned-index")}
    text = repo.path / ".git" / "lines"
    text.write_text("".join(f"{line}\n" for line in lines))
    blob = repo.run("git", "hash-object", "-w", str(text)).stdout.strip()
    repo.run("git", "read-tree", "git-annex", env=env)
    repo.run("git", "update-index", "--add", "--cacheinfo", f"100644,{blob},remote.log", env=env)
    tree = repo.run("git", "write-tree", env=env).stdout.strip()
    commit = repo.run("git", "commit-tree", "-p", "git-annex", "-m", "update", tree).stdout.strip()
    repo.run("git", "update-ref", "refs/heads/git-annex", commit)


def remote_line(parameters: dict[str, str], uuid: str = UUID) -> str:
    """Return the line of remote.log for a remote called "store"; ``""`` leaves a parameter out."""
    given = {
        "autoenable": "true", "encryption": "none", "externaltype": "s3x", "name": "store",
        "type": "external", "bucket": "lab", "provider": "other", **parameters,
    }  # fmt: skip
    words = " ".join(f"{name}={value}" for name, value in sorted(given.items()) if value)
    return f"{uuid} {words} timestamp=1700000000s"
