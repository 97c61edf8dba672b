"""git-annex as the remote sees it: starts the program, sends lines, expects lines, answers questions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Self

PROGRAM = Path(sys.executable).parent / "git-annex-remote-s3x"
LINE_TIMEOUT_S = 20.0


class FakeAnnex:
    """One running special remote and the conversation with it.

    Questions of the remote (GETCONFIG, GETCREDS ...) are answered from `config` and `creds` by
    `expect`, so that a test reads as the part of the dialogue it is about.
    """

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        creds: tuple[str, str] = ("", ""),
        uuid: str = "11111111-2222-3333-4444-555555555555",
        remote_name: str = "s3x-test",
        stderr: Path | None = None,
    ) -> None:
        self.config = dict(config or {})
        self.creds = creds
        self.uuid = uuid
        self.remote_name = remote_name
        self.asked: list[str] = []
        self.urls: dict[str, list[str]] = {}
        """What is recorded for each key."""
        self.answers_questions = True
        if not (cwd / ".git").exists():
            subprocess.run(["git", "init", "-q", str(cwd)], check=True)
        self.progress: list[int] = []
        with (stderr or Path(os.devnull)).open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors if stderr else None,
                cwd=cwd,
                env={**os.environ, **(env or {})},
            )
        self._lines: Queue[str | None] = Queue()
        self._put_back: deque[str | None] = deque()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.decode("utf-8", "surrogateescape").removesuffix("\n"))
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def hang_up(self) -> int:
        """Close our end, as git-annex does when it is done; return the exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(20)

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode("utf-8", "surrogateescape") + b"\n")
        self._process.stdin.flush()

    def has_line(self) -> bool:
        """Tell whether `receive` would return at once; questions and progress are dealt with."""
        while not self._put_back and not self._lines.empty():
            line = self._lines.get()
            if line is None or not self._handled(line):
                self._put_back.append(line)
        return bool(self._put_back)

    def receive(self) -> str:
        """Return the next line that is no question, no PROGRESS and no DEBUG."""
        while True:
            try:
                line = (
                    self._put_back.popleft()
                    if self._put_back
                    else self._lines.get(timeout=LINE_TIMEOUT_S)
                )
            except Empty:
                raise AssertionError("the remote says nothing") from None
            if line is None:
                raise AssertionError("the remote has ended")
            if not self._handled(line):
                return line

    def expect(self, expected: str) -> None:
        assert self.receive() == expected

    def start(self, extensions: str = "INFO GETGITREMOTENAME UNAVAILABLERESPONSE") -> Self:
        """Do the greetings; without ASYNC unless asked for."""
        self.expect("VERSION 2")
        self.send(f"EXTENSIONS {extensions}")
        self.expect(f"EXTENSIONS {extensions}")
        return self

    def ask(self, request: str) -> str:
        self.send(request)
        return self.receive()

    def _handled(self, line: str) -> bool:
        prefix, message = "", line
        if line.startswith("J "):
            _, job, message = line.split(" ", 2)
            prefix = f"J {job} "
        word, _, rest = message.partition(" ")
        if word == "PROGRESS":
            self.progress.append(int(rest))
            return True
        if word in ("DEBUG", "INFO", "SETCREDS", "SETURIMISSING", "SETURIPRESENT"):
            self.asked.append(message)
            return True
        answers = {
            "GETCONFIG": f"VALUE {self.config.get(rest, '')}",
            "GETCREDS": "CREDS {} {}".format(*self.creds),
            "GETUUID": f"VALUE {self.uuid}",
            "GETGITDIR": "VALUE .git",
            "GETGITREMOTENAME": f"VALUE {self.remote_name}",
        }
        if word == "GETURLS" and self.answers_questions:
            self.asked.append(message)
            key, _, beginning = rest.partition(" ")
            found = [url for url in self.urls.get(key, []) if url.startswith(beginning)]
            for url in [*found, ""]:
                self.send(f"{prefix}VALUE {url}")
            return True
        if word not in answers or not self.answers_questions:
            return False
        self.asked.append(message)
        self.send(prefix + answers[word])
        return True
