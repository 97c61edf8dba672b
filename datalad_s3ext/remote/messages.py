"""Lines of the external special remote protocol, on bytes-safe text.

Source: git-annex's pages "external_special_remote_protocol" and its async appendix. Lines are bytes;
names that are not UTF-8 pass through by surrogate escapes.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Lock
from typing import BinaryIO

VERSION = "VERSION 2"
"""2 asks for git-annex 10.20230329 or later; older ones sent EXPORT to the wrong process."""
EXTENSIONS = (
    "INFO",
    "GETGITREMOTENAME",
    "UNAVAILABLERESPONSE",
    "TRANSFER-RETRIEVE-URL",
    "IMPORTKEY",
    "ASYNC",
)


def decode(line: bytes) -> str:
    """Return a received line as text, without its line break."""
    return line.decode("utf-8", "surrogateescape").removesuffix("\n")


class HungUp(Exception):
    """git-annex closed its end in the middle of a question."""


def split_job(line: str) -> tuple[str, str] | None:
    """Return job number and message of ``J <number> <message>``; ``None`` for any other line."""
    word, _, rest = line.partition(" ")
    number, separator, message = rest.partition(" ")
    return (number, message) if word == "J" and number.isdigit() and separator else None


class Wire:
    """The one writer of standard output. Its lock makes each line whole, whichever thread sends it."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._lock = Lock()

    def send(self, line: str) -> None:
        """Write one line at once. A reader that has gone is no error: the end of input says so too."""
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        with self._lock:
            view = memoryview(data)
            try:
                while view:
                    view = view[self._output.write(view) :]
            except BrokenPipeError:
                return


class Channel:
    """One conversation with git-annex, as the pair of text streams that annexremote works on.

    `write` sends every completed line through the wire, with the job's number in front. `readline`
    returns what `deliver` put in, and ``""`` after `hang_up`.
    """

    def __init__(self, wire: Wire, job: str | None = None) -> None:
        self._wire = wire
        self._prefix = f"J {job} " if job is not None else ""
        self._begun = ""
        self._incoming: SimpleQueue[str] = SimpleQueue()
        self._ended = False

    def write(self, text: str) -> int:
        """Take text; send each line that it completes."""
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._wire.send(self._prefix + line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: lines leave as soon as they are complete."""

    def deliver(self, line: str) -> None:
        """Put in a line for `readline`."""
        self._incoming.put(line + "\n")

    def hang_up(self) -> None:
        """Make `readline` return ``""`` once all delivered lines are read."""
        self._incoming.put("")

    def readline(self) -> str:
        """Return the next line with its line break, waiting for it; ``""`` from the end on."""
        line = "" if self._ended else self._incoming.get()
        self._ended = not line
        return line


class DirectChannel(Channel):
    """The conversation before, or without, ASYNC: it reads standard input itself."""

    def __init__(self, wire: Wire, source: BinaryIO) -> None:
        super().__init__(wire)
        self._source = source

    def readline(self) -> str:
        """Return the next line of standard input."""
        line = self._source.readline()
        return decode(line) + "\n" if line else ""
