"""``datalad s3-serve`` as people type it: what it says, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext import places, server
from datalad_s3ext.commands.s3_serve import S3Serve
from datalad_s3ext.errors import LocalError
from datalad_s3ext.server import process
from tests.integration.commands.helpers import QUIET

pytestmark = pytest.mark.server

START_TIMEOUT_S = 90  # a server has 60 s to get ready
END_TIMEOUT_S = 30


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a server; afterwards none runs there, and its secret was never said."""
    folder = tmp_path / "a server"
    yield folder
    server.stop(folder, grace_s=0)


def serve(home: Path | None, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; whatever it printed, the secret is not in it."""
    where = [] if home is None else ["--home", str(home)]
    done = subprocess.run(
        ["datalad", "-f", "json", "s3-serve", *where, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
        timeout=100,
    )
    require_no_secret(home, done.stdout + done.stderr)
    return done


def require_no_secret(home: Path | None, text: str) -> None:
    info = None if home is None or not home.is_dir() else server.read_info(home)
    assert info is None or info.secret_access_key not in text


def record(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the only record; nothing else is on stdout, and no traceback on stderr."""
    assert "Traceback" not in done.stderr
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert found["action"] == "s3_serve"
    assert "\n" not in found["message"]
    return dict(found)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    found = record(done)
    assert (found["status"], done.returncode) == ("error", 1)
    return str(found["message"])


@contextmanager
def foreground(home: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command in the foreground of a terminal of its own, so to say, until it is ready."""
    command = ["datalad", "-f", "json", "s3-serve", "--home", str(home), *options]
    pipe = subprocess.PIPE
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
        env={**env, "PYTHONFAULTHANDLER": "1"},
    ) as running:
        try:
            first = json.loads(first_line(running))
            assert first["status"] == "ok"
            assert "stop it: Ctrl-C" in first["message"]
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def first_line(running: subprocess.Popen[str]) -> str:
    """Return the first line; one that does not come ends the process, which shows its stacks."""
    assert running.stdout is not None
    assert running.stderr is not None
    overdue = threading.Timer(START_TIMEOUT_S, running.send_signal, [signal.SIGABRT])
    overdue.start()
    line = running.stdout.readline()
    overdue.cancel()
    assert line, f"no line within {START_TIMEOUT_S} s:\n{running.stderr.read()}"
    return line


def hear_ctrl_c() -> None:
    """Undo that a test run in the background has SIGINT ignored, as its children would inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(home: Path, running: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, err = running.communicate(timeout=END_TIMEOUT_S)
    assert "Traceback" not in err
    require_no_secret(home, out + err)
    return running.returncode, json.loads(out)


def test_background_status_and_stop(home: Path) -> None:
    started = record(serve(home, "--background"))
    running = record(serve(home, "--status"))
    again = record(serve(home, "--background"))
    stopped = record(serve(home, "--stop"))
    after = record(serve(home, "--status"))
    stopped_again = record(serve(home, "--stop"))

    url = started["endpoint"]
    assert started["status"] == "ok"
    assert started["path"] == str(home)
    assert started["message"] == (
        f"S3 server at {url}, keys in {home}/server.json;"
        f" next: export S3EXT_SERVER_HOME='{home}'; datalad s3-setup local --bucket my-bucket;"
        f" stop it: datalad s3-serve --home '{home}' --stop"
    )
    assert (running["status"], running["message"]) == ("ok", f"running at {url}")
    assert (again["status"], again["message"]) == ("notneeded", f"runs already at {url}")
    assert (stopped["status"], stopped["message"]) == ("ok", "stopped; its data stay in the folder")
    for found in (after, stopped_again):
        assert (found["status"], found["message"]) == ("notneeded", "not running")


def test_keys_in_a_result_are_the_public_one_only(home: Path) -> None:
    found = record(serve(home, "--background"))

    info = server.read_info(home)
    assert info is not None
    assert found["access_key_id"] == info.access_key_id
    assert info.secret_access_key not in json.dumps(found)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_foreground_ends_on_request(home: Path, number: signal.Signals) -> None:
    with foreground(home) as running:
        os.killpg(running.pid, number)  # as a terminal does on Ctrl-C

        status, last = ended(home, running)

    assert (status, last["status"]) == (0, "ok")
    assert last["message"] == "stopped; its data stay in the folder"
    assert server.is_alive(home) is False


def test_foreground_that_another_command_stops_ends_well(home: Path) -> None:
    with foreground(home) as running:
        stopped = record(serve(home, "--stop"))

        status, last = ended(home, running)

    assert stopped["status"] == "ok"
    assert (status, last["status"]) == (0, "ok")
    assert last["message"] == "stopped by another command; its data stay in the folder"


def test_foreground_leaves_a_server_that_another_command_started_since(home: Path) -> None:
    with foreground(home) as running:
        os.kill(running.pid, signal.SIGSTOP)
        serve(home, "--stop")
        serve(home, "--background")
        os.kill(running.pid, signal.SIGCONT)

        status, last = ended(home, running)

    assert (status, last["status"]) == (0, "ok")
    assert server.status(home) is not None


def test_foreground_reports_a_server_that_ends_by_itself(home: Path) -> None:
    with foreground(home) as running:
        info = server.read_info(home)
        assert info is not None
        os.kill(int(info.pid or 0), signal.SIGKILL)

        status, last = ended(home, running)

    assert (status, last["status"]) == (1, "error")
    assert last["message"] == f"ended before it was asked to; see {home}/server.log"


def test_foreground_next_to_a_running_server_is_not_needed(home: Path) -> None:
    serve(home, "--background")

    found = record(serve(home))

    assert found["status"] == "notneeded"
    assert server.status(home) is not None


@pytest.mark.parametrize("port", ["0", "-1", "99999", "abc", "80.5", ""])
def test_port_that_is_none_is_refused_in_one_line(home: Path, port: str) -> None:
    message = refusal(serve(home, "--background", "--port", port))

    assert message.endswith("is no port; ports go from 1 to 65535; name another with --port N")
    assert port in message
    assert not home.exists()


def test_port_taken_by_somebody_else_is_replaced_and_that_is_said(home: Path) -> None:
    (old,) = process.free_ports(1)
    serve(home, "--background", "--port", str(old))
    serve(home, "--stop")

    with socket.create_server(("127.0.0.1", old)):
        found = record(serve(home, "--background"))

    new = found["endpoint"].rsplit(":", 1)[1]
    assert int(new) != old
    assert (
        f"; port changed from {old} to {new}: each remote of --remote-type S3 needs datalad s3-setup"
        " local --bucket BUCKET --name NAME --remote-type S3 --existing reconfigure; next: "
    ) in found["message"]


def test_keys_made_anew_are_mentioned(home: Path) -> None:
    serve(home, "--background")
    serve(home, "--stop")
    (home / "server.json").unlink()

    found = record(serve(home, "--background"))

    assert found["status"] == "ok"
    assert "its server.json was gone, so keys were made anew for the data" in found["message"]


def test_file_as_home_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    for option in ("--background", "--stop", "--status"):
        assert refusal(serve(file, option)) == f"{file} is not a folder; name one with --home DIR"


def test_empty_home_of_the_user_is_that_of_the_password_database() -> None:
    done = serve(None, "--status", HOME="", S3EXT_SERVER_HOME="")

    account = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert record(done)["path"] == str(account / ".local/share/datalad-s3ext/server")


def test_user_without_a_home_folder_is_told_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise LocalError("this user has no home folder", remedy="set the variable HOME")

    monkeypatch.setattr(places, "server_home", unknown)

    (found,) = S3Serve()(status=True, **QUIET)

    assert found["status"] == "error"
    assert found["message"] == "this user has no home folder; set the variable HOME"


def test_home_of_an_unknown_user_is_refused(home: Path) -> None:
    message = refusal(serve(Path("~no-such-user-here/server"), "--background"))

    assert message.startswith("~no-such-user-here/server: ")
    assert message.endswith("; name a folder with --home DIR")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc to fail in")
def test_home_of_the_user_that_cannot_be_written_names_the_remedy() -> None:
    message = refusal(serve(None, "--background", HOME="/proc", S3EXT_SERVER_HOME=""))

    assert message.startswith("cannot use the server's folder /proc/.local/share/")
    assert message.endswith("name a folder that you can write to: --home DIR, or S3EXT_SERVER_HOME=DIR")


def test_help_fits_the_screen() -> None:
    shown = subprocess.run(
        ["datalad", "s3-serve", "--help-np"], capture_output=True, text=True, check=True
    )

    assert [line for line in shown.stdout.splitlines() if len(line) > 100] == []
