"""No secret leaves the place it was given to: everything that is written or shown is searched."""

from __future__ import annotations

import base64
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.helpers import add_all, log_starts
from tests.support import faults
from tests.support.faults import has_method
from tests.support.relay import Relay
from tests.support.repos import AnnexRepo
from tests.support.servers import Endpoint

pytestmark = [pytest.mark.annex, pytest.mark.server]

TOKEN = "FwoGZXIvYXdzEXAMPLE+token/with=signs0123456789"
ODD_SECRET = "odd/secret+with=signs/of+all=kinds0123456"


def forms(secret: str) -> set[bytes]:
    """Return how a secret could be written: as it is, for a URL, and in base64 at any offset."""
    found = {secret, quote(secret), quote(secret, safe="")}
    for lead in range(3):
        code = base64.b64encode(b"x" * lead + secret.encode()).decode()
        found.add(code[4:-4])
    return {form.encode() for form in found}


def places_with(repo: AnnexRepo, secret: str) -> list[str]:
    """Return the files of a repository, and the objects of its git history, that hold a secret."""
    wanted = forms(secret)
    found = []
    for path in sorted(repo.path.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if any(form in data for form in wanted):
                found.append(str(path.relative_to(repo.path)))
    history = repo.run("git", "cat-file", "--batch-all-objects", "--batch").stdout
    data = history.encode("utf-8", "surrogateescape")
    return found + (["git history"] if any(form in data for form in wanted) else [])


def leaks(said: str, secret: str) -> list[str]:
    """Return the lines that show a secret in any form."""
    wanted = [form.decode() for form in forms(secret)]
    return [line for line in said.splitlines() if any(form in line for form in wanted)]


class Watch(threading.Thread):
    """Looks at the arguments of all processes again and again."""

    def __init__(self, wanted: set[bytes]) -> None:
        super().__init__(daemon=True)
        self.wanted = wanted
        self.seen: list[bytes] = []
        self.rounds = 0
        self._stop_now = threading.Event()

    def run(self) -> None:
        while not self._stop_now.is_set():
            self.rounds += 1
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    try:
                        words = (folder / "cmdline").read_bytes()
                    except OSError:
                        continue
                    if any(form in words for form in self.wanted):
                        self.seen.append(words)
            self._stop_now.wait(0.05)

    def end(self) -> None:
        self._stop_now.set()
        self.join()


@contextmanager
def watched(*secrets: str) -> Iterator[None]:
    """Fail when a secret is in the arguments of any process while the block runs."""
    watch = Watch({form for secret in secrets for form in forms(secret)})
    watch.start()
    yield
    watch.end()
    assert watch.rounds > 1
    assert watch.seen == []


def everything(repo: AnnexRepo, endpoint: Endpoint, bucket: str, *parameters: str) -> str:
    """Use a remote in all ways, also while it fails; return all that was said."""
    said: list[str] = []

    def run(*arguments: str, env: dict[str, str] | None = None) -> None:
        done = repo.annex(*arguments, check=False, env=env)
        said.extend([done.stdout, done.stderr])

    with Relay(endpoint.url) as relay:
        done = repo.init_s3x(endpoint.at(relay.url), bucket, *parameters, check=False)
        said += [done.stdout, done.stderr]
        add_all(repo, {"a": b"content" * 1000, "b": b"other" * 1000})
        run("copy", "--to", "s3", "a", "--json", "--json-progress", "--json-error-messages")
        run("drop", "a")
        run("get", "a")
        run("info", "--json", "s3")
        run("whereis", "--json", ".")
        run("enableremote", "s3")
        for answer in (
            faults.s3_error(403, "AccessDenied"),
            faults.s3_error(403, "SignatureDoesNotMatch"),
            faults.s3_error(400, "Odd"),
        ):
            relay.answer(has_method("GET", "PUT", "DELETE", "POST"), answer, times=1000)
            run("copy", "--to", "s3", "b")
            run("enableremote", "s3")
            relay.heal()
    run("copy", "--to", "s3", "b")  # nobody listens there any more
    return "".join(said)


def kept_by_git_annex(repo: AnnexRepo) -> list[str]:
    """Return the one place where a lasting secret may be."""
    return [f".git/annex/creds/{repo.uuid('s3')}-s3xcreds"]


@pytest.mark.parametrize("parameters", [(), ("encryption=shared",)], ids=["plain", "encrypted"])
def test_a_lasting_secret_is_kept_in_one_private_file_only(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, tmp_path: Path, parameters: tuple[str, ...]
) -> None:
    secret = seaweed.secret_access_key
    starts = log_starts(annex, tmp_path / "bin")

    with watched(secret):
        said = everything(annex, seaweed, bucket_name, *parameters)

    assert leaks(said, secret) == []
    assert secret not in starts.read_text()
    (kept,) = kept_by_git_annex(annex)
    assert places_with(annex, secret) == [kept]
    assert stat.S_IMODE((annex.path / kept).stat().st_mode) == 0o600
    log = annex.run("git", "show", "git-annex:remote.log").stdout
    assert "s3xcreds" not in log
    assert seaweed.access_key_id not in log


def test_a_secret_with_signs_is_kept_as_safely(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    annex.use_keys(moto)
    odd = type(moto)(moto.url, moto.access_key_id, ODD_SECRET, moto.region, moto.kind)  # moto takes any

    with watched(ODD_SECRET):
        said = everything(annex, odd, bucket_name)

    assert leaks(said, ODD_SECRET) == []
    assert places_with(annex, ODD_SECRET) == kept_by_git_annex(annex)


def test_a_session_token_and_its_keys_are_not_kept_at_all(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str
) -> None:
    annex.env["AWS_SESSION_TOKEN"] = TOKEN

    with watched(moto.secret_access_key, TOKEN):
        said = everything(annex, moto, bucket_name)

    for secret in (moto.secret_access_key, TOKEN):
        assert leaks(said, secret) == []
        assert places_with(annex, secret) == []
    assert not list((annex.path / ".git" / "annex").glob("creds/*"))


@pytest.mark.parametrize("what", ["secret", "token"])
@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "ExpiredToken", "SomethingNew"])
def test_what_a_server_repeats_of_our_secrets_is_not_shown(
    annex: AnnexRepo, moto: Endpoint, bucket_name: str, what: str, code: str
) -> None:
    secret = moto.secret_access_key if what == "secret" else TOKEN
    annex.env["AWS_SESSION_TOKEN"] = TOKEN
    with Relay(moto.url) as relay:
        annex.init_s3x(moto.at(relay.url), bucket_name)
        annex.add("a", b"content")
        answer = faults.s3_error(400, code, f"cannot do this with {secret}")
        relay.answer(has_method("GET", "PUT"), answer, times=1000)

        done = annex.annex("copy", "--to", "s3", "a", check=False)

    assert done.returncode != 0
    assert leaks(done.stdout + done.stderr, secret) == []


@pytest.mark.parametrize("command", ["initremote", "copy", "get"])
def test_debug_output_shows_no_secret(
    annex: AnnexRepo, seaweed: Endpoint, bucket_name: str, command: str
) -> None:
    if command == "initremote":
        annex.use_keys(seaweed)
        done = annex.annex(
            "initremote", "s3", "--debug", "type=external", "externaltype=s3x", "encryption=none",
            "provider=seaweedfs", f"endpoint={seaweed.url}", f"bucket={bucket_name}",
        )  # fmt: skip
    else:
        annex.init_s3x(seaweed, bucket_name)
        annex.forget_keys()
        annex.add("a", b"content")
        if command == "get":
            annex.annex("move", "--to", "s3", "a")
        done = annex.annex(command, "--debug", "--to" if command == "copy" else "--from", "s3", "a")

    assert "git-annex-remote-s3x" in done.stderr  # it was a debug output
    assert seaweed.secret_access_key not in done.stdout + done.stderr
