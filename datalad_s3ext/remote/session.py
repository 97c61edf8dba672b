"""The conversation with git-annex: annexremote's protocol, made concurrent.

annexremote (GPL-3.0) holds one conversation in one thread. With git-annex's ASYNC extension many run
in one process, told apart by a job number. So each job gets an annexremote `Master` and `Protocol`
of its own, on its own :class:`~datalad_s3ext.remote.messages.Channel` and thread; all of them share
what `make_remote` closes over. A failing request is answered by its own FAILURE: `ERROR`, which would
fail every job in flight, is never sent.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO

from annexremote import Master, RemoteError, UnsupportedRequest
from annexremote.annexremote import Protocol, UnexpectedMessage

from datalad_s3ext.errors import one_line
from datalad_s3ext.remote.import_messages import ImportMessages
from datalad_s3ext.remote.links import LinkMessages
from datalad_s3ext.remote.messages import (
    EXTENSIONS,
    VERSION,
    Channel,
    DirectChannel,
    HungUp,
    Wire,
    decode,
    split_job,
)

if TYPE_CHECKING:
    from datalad_s3ext.remote.handlers import S3xRemote

UNSUPPORTED = "UNSUPPORTED-REQUEST"
UNADDRESSED = ("EXTENSIONS ", "ERROR ")
"""What git-annex sends without a job's number when there are jobs."""
END_WAIT_S = 10.0
"""How long running requests may take to clean up after git-annex has gone."""


class Requests(LinkMessages, ImportMessages, Protocol):  # type: ignore[misc]
    """Answers requests, including those that annexremote 1.6.6 does not know."""

    def __init__(self, remote: S3xRemote, offered: list[str]) -> None:
        super().__init__(remote)
        self.version = VERSION
        self.extensions = offered

    def command(self, line: str) -> str | None:
        """Return the answer to one request. Nothing escapes from here: the process must go on.

        Unlike annexremote's own, it keeps blanks at the end of file names.
        """
        word, separator, rest = line.partition(" ")
        method = self.lookupMethod(word)
        if method is None:
            self.exporting = ""
            return UNSUPPORTED
        try:
            reply: str | None = method(rest) if separator else method()
        except HungUp:
            raise
        except Exception:  # noqa: BLE001 - the border: an unanswered request would never end
            self.remote.debug(traceback.format_exc())
            return UNSUPPORTED
        finally:
            if word.upper() != "EXPORT":
                self.exporting = ""  # EXPORT names the file of the next request only
            if word.upper() != "IMPORT":
                self.importing = ""  # and so does IMPORT
        return reply

    def do_EXPORT(self, name: str = "") -> None:  # noqa: N802
        """Take note of a file's name. There is no answer to this, not even to one without a name."""
        self.exporting = name

    def do_RENAMEEXPORT(self, param: str) -> str:  # noqa: N802
        """Rename; unlike annexremote's own, keep blanks at both ends of the new name."""
        key, _, name = param.partition(" ")
        if not self.exporting or not key:
            return UNSUPPORTED
        try:
            self.remote.renameexport(key, self.exporting, name)
        except UnsupportedRequest:
            return UNSUPPORTED
        except RemoteError:
            return f"RENAMEEXPORT-FAILURE {key}"
        return f"RENAMEEXPORT-SUCCESS {key}"

    def do_ERROR(self, message: str) -> None:  # noqa: N802
        """Take note of git-annex's complaint. Answering with ERROR would fail every job."""
        self.remote.debug(f"git-annex says: {message}")

    def do_EXTENSIONS(self, param: str) -> str:  # noqa: N802 (named by annexremote)
        """Agree on the extensions that both sides know."""
        self.extensions[:] = [name for name in EXTENSIONS if name in param.split()]
        return " ".join(["EXTENSIONS", *self.extensions])

    def do_GETORDERED(self) -> str:  # noqa: N802
        """Files grow in order, so a proxy may stream them on."""
        return "ORDERED"

    def do_GETINFO(self) -> str:  # noqa: N802
        """Describe the remote, in the remote's own order."""
        fields = self.remote.describe().items()
        lines = [f"INFOFIELD {name}\nINFOVALUE {one_line(value)}" for name, value in fields]
        return "\n".join([*lines, "INFOEND"])

    def do_GETAVAILABILITY(self) -> str:  # noqa: N802
        """Also tell that the remote cannot be reached now, which annexremote does not know."""
        reply = self.remote.getavailability()
        if reply == "unavailable" and "UNAVAILABLERESPONSE" not in self.extensions:
            reply = "local"
        return f"AVAILABILITY {reply.upper()}"


class Conversation(Master):  # type: ignore[misc]
    """One annexremote master on one channel."""

    def __init__(
        self, channel: Channel, make_remote: Callable[[Master], S3xRemote], offered: list[str]
    ) -> None:
        super().__init__(output=channel)
        self.input = channel
        self.remote = make_remote(self)
        self.protocol = Requests(self.remote, offered)

    def answer(self, line: str) -> None:
        """Answer one request."""
        try:
            reply = self.protocol.command(line)
        except HungUp:
            return
        if reply:
            self._send(reply)

    def serve(self) -> None:
        """Answer requests until the channel ends."""
        while line := self.input.readline():
            self.answer(line.removesuffix("\n"))

    def _ask(self, request: str, reply_keyword: str, reply_count: int) -> list[str]:
        """Ask git-annex; unlike annexremote's own, keep blanks at the end of a value."""
        self._send(request)
        line = self.input.readline()
        if not line:
            raise HungUp
        words = line.removesuffix("\n").split(" ", reply_count)
        if words[0] != reply_keyword:
            raise UnexpectedMessage(f"expected {reply_keyword}")
        return words[1:] + [""] * (reply_count + 1 - len(words))


class Session:
    """Everything between git-annex's first line and its last; VERSION has been said before."""

    def __init__(
        self,
        source: BinaryIO,
        wire: Wire,
        make_remote: Callable[[Master], S3xRemote],
        stop: Callable[[], None],
    ) -> None:
        self._source = source
        self._wire = wire
        self._make_remote = make_remote
        self._stop = stop
        self._extensions: list[str] = []
        self._jobs: dict[str, tuple[Channel, Thread]] = {}

    def run(self) -> None:
        """Talk until git-annex closes its end, then stop what is still under way."""
        direct = self._conversation(DirectChannel(self._wire, self._source))
        try:
            while line := self._source.readline():
                self._take(decode(line), direct)
        finally:
            self._stop()
            for channel, _ in self._jobs.values():
                channel.hang_up()
            for _, thread in self._jobs.values():
                thread.join(END_WAIT_S)

    def _take(self, line: str, direct: Conversation) -> None:
        """Give a line to the job it is for, or answer it here when it names none."""
        addressed = split_job(line) if "ASYNC" in self._extensions else None
        if addressed is None and "ASYNC" in self._extensions and not line.startswith(UNADDRESSED):
            # whoever answers this could have to wait for a job, whose lines come after it
            self._wire.send(UNSUPPORTED)
            return
        if addressed is None:
            direct.answer(line)
            return
        job, message = addressed
        if job not in self._jobs:
            self._jobs[job] = self._start(job)
        self._jobs[job][0].deliver(message)

    def _start(self, job: str) -> tuple[Channel, Thread]:
        channel = Channel(self._wire, job)
        serve = self._conversation(channel).serve
        thread = Thread(target=serve, name=f"s3x-job-{job}", daemon=True)
        thread.start()
        return channel, thread

    def _conversation(self, channel: Channel) -> Conversation:
        return Conversation(channel, self._make_remote, self._extensions)
