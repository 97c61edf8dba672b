"""Starts that cannot work: refused in one line, and the next one works again."""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from datalad_s3ext import server
from datalad_s3ext.errors import ConfigError, LocalError, TransientError
from datalad_s3ext.server import Ending, process, seaweed, sigv4, state
from tests.unit.server.test_seaweed import client_of

REMEDY = "name another with --port N"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    server.stop(folder, grace_s=0)
    lost = process.find_in(folder, "weed")
    if lost is not None:
        os.kill(lost, 9)


@pytest.fixture
def stopped(home: Path) -> dict[str, Any]:
    """Return the record of a server that ran in `home` once."""
    state.make_home(home)
    (home / "server.lock").touch()
    ports = dict(zip(seaweed.PORT_NAMES, process.free_ports(8), strict=True))
    state.save(home, replace(state.Record.with_new_keys(), ports=ports))
    return stored(home)


def stored(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "server.json").read_text())
    return found


def ending_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seaweed, "_command", lambda *_: ["/bin/sh", "-c", "exit 1"])


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_number_that_is_no_port_is_refused_before_anything_is_made(home: Path, port: int) -> None:
    with pytest.raises(ConfigError) as refusal:
        server.start(home, port=port)

    assert str(refusal.value) == f"{port} is no port; ports go from 1 to 65535; {REMEDY}"
    assert not home.exists()


@pytest.mark.parametrize(
    ("port", "host"), [(80, "127.0.0.1"), (443, "127.0.0.1:443"), (8080, "127.0.0.1:8080")]
)
def test_host_is_signed_as_clients_send_it(port: int, host: str) -> None:
    record = replace(state.Record.with_new_keys(), ports={"s3": port})

    headers = sigv4._signed_headers(record, "GET", "/", b"", datetime.now(UTC))

    assert headers["host"] == host


@pytest.mark.server
def test_port_80_gets_ready(home: Path) -> None:
    problem = process.bind_error(80)
    if problem is not None:
        pytest.skip(f"port 80: {problem.strerror}")

    info = server.start(home, port=80)

    assert info.endpoint == "http://127.0.0.1:80"
    client_of(info).create_bucket(Bucket="eighty")


def test_port_that_needs_more_rights_is_not_called_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(process, "bind_error", lambda _: denied)

    with pytest.raises(ConfigError) as refusal:
        server.start(home, port=80)

    assert str(refusal.value) == f"cannot listen on port 80: Permission denied; {REMEDY}"


def test_taken_port_names_a_remedy_and_changes_nothing(home: Path, stopped: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError) as refusal:
            server.start(home, port=port)

    assert str(refusal.value) == f"port {port} is taken on this machine; {REMEDY}"
    assert stored(home) == stopped


def test_failed_start_keeps_the_recorded_ports(
    home: Path, stopped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ending_program(monkeypatch)
    (other,) = process.free_ports(1)

    with pytest.raises(TransientError):
        server.start(home, port=other)

    assert stored(home) == stopped


def test_failed_first_start_records_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending_program(monkeypatch)

    with pytest.raises(TransientError):
        server.start(home)

    assert sorted(path.name for path in home.iterdir()) == ["data", "server.lock", "server.log"]
    assert not server.lost_keys(home)


def test_failed_start_does_not_hide_that_keys_were_lost(
    home: Path, stopped: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "server.json").unlink()
    (home / "s3.json").touch()
    ending_program(monkeypatch)

    with pytest.raises(TransientError):
        server.start(home)

    assert server.lost_keys(home)


def test_chosen_port_may_be_one_of_the_inner_ports_of_last_time() -> None:
    before = dict(zip(seaweed.PORT_NAMES, process.free_ports(8), strict=True))

    chosen = seaweed._choose_ports(before, before["filer"])

    assert chosen["s3"] == before["filer"]
    assert len(set(chosen.values())) == 8


def test_port_taken_by_others_after_the_end_is_not_called_a_server_that_does_not_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "wait_until", lambda *_, **__: False)
    record = replace(state.Record.with_new_keys(), ports=dict.fromkeys(seaweed.PORT_NAMES, 1))
    with subprocess.Popen(["true"]) as ended:
        ended.wait()

    seaweed._end(record.running(ended.pid, "gone"), grace_s=0)


BROKEN = ["{}", "", "[]", "nonsense", "\udcff", '{"ports": {}}']


@pytest.mark.parametrize("text", BROKEN)
def test_broken_record_is_named_with_a_remedy_that_works(
    home: Path, stopped: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "server.json").write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(ConfigError, match=r"server\.json is not a readable record") as failure:
        server.start(home)

    assert "moving the whole folder away instead puts the data out of sight" in str(failure.value)
    command = str(failure.value).partition("new keys: ")[2].partition(", then")[0]
    subprocess.run(shlex.split(command), check=True)
    ending_program(monkeypatch)
    with pytest.raises(TransientError, match="ended while starting"):
        server.start(home)


@pytest.mark.parametrize(
    "change", [{"ports": 5}, {"ports": {"s3": "80"}}, {"ports": {}}, {"access_key_id": None}]
)
def test_record_with_values_of_another_kind_is_broken(
    home: Path, stopped: dict[str, Any], change: dict[str, Any]
) -> None:
    (home / "server.json").write_text(json.dumps({**stopped, **change}))

    with pytest.raises(ConfigError, match="is not a readable record"):
        server.status(home)
    (home / "server.json").unlink()


def test_secret_of_a_broken_record_is_in_no_traceback(home: Path, stopped: dict[str, Any]) -> None:
    (home / "server.json").write_text(json.dumps(stopped)[:-1])

    with pytest.raises(ConfigError) as failure:
        server.status(home)

    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__
    (home / "server.json").unlink()


@pytest.mark.server
def test_server_whose_record_was_removed_is_found_and_can_be_replaced(home: Path) -> None:
    before = server.start(home)
    client_of(before).create_bucket(Bucket="kept")
    (home / "server.json").unlink()

    with pytest.raises(ConfigError, match=f"a server runs in .* end it: kill {before.pid}, wait"):
        server.start(home)

    os.kill(int(before.pid or 0), 9)
    assert process.wait_until(lambda: process.identity(int(before.pid or 0)) is None, 5)
    assert server.lost_keys(home)
    after = server.start(home)
    assert after.access_key_id != before.access_key_id
    assert [row["Name"] for row in client_of(after).list_buckets()["Buckets"]] == ["kept"]
    assert not server.lost_keys(home)


@pytest.mark.parametrize("tail", ["", "below", "below/deeper"])
@pytest.mark.parametrize("act", [server.start, server.stop, server.status, server.is_alive])
def test_file_instead_of_a_folder_is_named(tmp_path: Path, act: Any, tail: str) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(ConfigError) as refusal:
        act(file / tail)

    assert str(refusal.value) == f"{file} is not a folder; name one with --home DIR"


def test_folder_that_cannot_be_made_names_the_remedy(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(LocalError) as failure:
        server.start(home)

    assert str(failure.value) == (
        f"cannot use the server's folder {home}: Read-only file system;"
        " name a folder that you can write to: --home DIR, or S3EXT_SERVER_HOME=DIR"
    )


@pytest.mark.parametrize("act", [server.start, lambda home: server.finish(home, 1)])
def test_full_disk_is_one_line(
    home: Path, stopped: dict[str, Any], monkeypatch: pytest.MonkeyPatch, act: Any
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuse)
        with pytest.raises(LocalError, match="No space left on device; name a folder"):
            act(home)


@pytest.mark.server
def test_finish_tells_who_ended_the_server(home: Path) -> None:
    first = server.start(home)
    server.stop(home, grace_s=0)
    assert server.finish(home, first.pid) is Ending.BY_ANOTHER

    second = server.start(home)
    assert server.finish(home, first.pid) is Ending.BY_ANOTHER
    assert server.status(home) == second, "the server of somebody else is left running"

    os.kill(int(second.pid or 0), 9)
    assert process.wait_until(lambda: not server.is_alive(home), 5)
    assert server.finish(home, second.pid) is Ending.BY_ITSELF

    third = server.start(home)
    assert server.finish(home, third.pid) is Ending.STOPPED
    assert server.status(home) is None


def test_finish_without_a_record_names_the_process(home: Path, stopped: dict[str, Any]) -> None:
    (home / "server.json").unlink()

    with pytest.raises(LocalError, match="was removed while the server ran; end the server: kill 77"):
        server.finish(home, 77)
    shutil.rmtree(home)
