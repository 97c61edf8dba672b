"""Send real files to an S3 store and get them back in a fresh clone, checksums compared.

``make demo`` runs this. Every command it uses is printed first and is one that you could type.
The S3 store is a server on this machine that lives in the output folder and is stopped at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BUCKET = "demo-files"


class DemoError(Exception):
    """The demo cannot go on; the message is for the user."""


class Shell:
    """Runs commands as a user would, and shows them.

    The user's configuration stays untouched: who commits, and where the server lives, is said in
    the environment of the commands alone.
    """

    def __init__(self, server_home: Path) -> None:
        self.environment = {
            **os.environ,
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Demo"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "demo@example.org"),
            "S3EXT_SERVER_HOME": str(server_home),
        }
        self.folder = Path.cwd()
        self.count = 0

    def enter(self, folder: Path) -> None:
        """Run what follows in `folder`."""
        show(f"$ cd {shlex.quote(str(folder))}")
        self.folder = folder

    def run(self, *command: str) -> None:
        """Run `command` with its output on the terminal.

        Raises
        ------
        DemoError
            When it cannot be started or its exit code is not 0.
        """
        line = shlex.join(command)
        show(f"$ {line}")
        try:
            subprocess.run(command, cwd=self.folder, env=self.environment, check=True)
        except OSError as exc:
            raise DemoError(f"`{line}` could not be started: {exc}") from exc
        except subprocess.CalledProcessError as exc:
            raise DemoError(f"`{line}` ended with exit code {exc.returncode}") from exc
        self.count += 1

    def stop_server(self, folder: Path) -> None:
        """Stop the server that lives in this output folder; that none runs is fine."""
        self.folder = folder
        self.run("datalad", "s3-serve", "--stop")


def main() -> int:
    """Run the demo; the exit code says whether every file came back the same."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then, too
    output: Path = arguments.output.resolve()
    shell = Shell(output / "server")
    try:
        originals = pick_files(arguments)
        prepare(output, shell)
        seconds = store_and_fetch(output, originals, shell)
        compare(originals, output / "clone")
    except DemoError as exc:
        print(f"\nDEMO FAILED: {exc}", file=sys.stderr, flush=True)
        return 1
    summarise(output, originals, seconds, shell.count)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="a folder of your own; it is only read")
    source.add_argument("--package", type=Path, help="an unpacked Python package: its data files")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "demo-output")
    return parser.parse_args()


# -- the files --------------------------------------------------------------------------------


def pick_files(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return the files to send: name in the data set → original.

    Raises
    ------
    DemoError
        When there are none.
    """
    root = (arguments.package or arguments.data).resolve()
    found = package_files(root) if arguments.package else folder_files(root)
    output = arguments.output.resolve()
    if root.is_relative_to(output) and not arguments.package:
        raise DemoError(f"{root} is where the demo writes; name another folder")
    if output.is_relative_to(root):
        found = {name: path for name, path in found.items() if not path.is_relative_to(output)}
    if not found:
        raise DemoError(f"no files in {root}")
    return found


def package_files(package: Path) -> dict[str, Path]:
    """Return the data files that `package` ships for its tests."""
    files = folder_files(package.parent)
    return {
        name.replace("/tests/data/", "/"): path
        for name, path in files.items()
        if "/tests/data/" in name and path.suffix not in {".py", ".pyc"}
    }


def folder_files(folder: Path) -> dict[str, Path]:
    """Return the files below `folder`, but for what tells git or DataLad something there."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path
        for name, path in files.items()
        if not any(part.startswith((".git", ".datalad")) for part in name.parts)
    }


def threshold(originals: dict[str, Path]) -> int:
    """Return a size so that the files larger than it hold about half of all bytes."""
    sizes = sorted((path.stat().st_size for path in originals.values()), reverse=True)
    rest = sum(sizes) / 2
    for size in sizes:
        rest -= size
        if rest <= 0:
            break
    return max(size - 1, 0)


# -- the steps --------------------------------------------------------------------------------


def prepare(output: Path, shell: Shell) -> None:
    """Make the output folder, without what an earlier demo left in it.

    Raises
    ------
    DemoError
        When the old server cannot be stopped.
    """
    output.mkdir(parents=True, exist_ok=True)
    if (output / "server").exists():
        title("Clear away the last demo")
        shell.stop_server(output)
    for name in ("dataset", "clone", "server"):
        remove(output / name)


def remove(folder: Path) -> None:
    """Delete `folder`, in which git-annex has made content read-only."""
    if not folder.exists():
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def store_and_fetch(output: Path, originals: dict[str, Path], shell: Shell) -> float:
    """Send the files to the store and get them in a clone; return the seconds it took.

    The server is stopped whatever happens.

    Raises
    ------
    DemoError
        When a command fails; the first one that did is named.
    """
    began = time.monotonic()
    try:
        create_dataset(output / "dataset", originals, shell)
        send(originals, shell)
        fetch(output / "dataset", output / "clone", shell)
    except BaseException:
        with contextlib.suppress(DemoError):
            shell.stop_server(output)
        raise
    title("7. Stop the server")
    shell.stop_server(output)
    return time.monotonic() - began


def create_dataset(dataset: Path, originals: dict[str, Path], shell: Shell) -> None:
    """Make a data set that holds a copy of every original."""
    title(f"1. A data set with {describe(originals)}")
    shell.run("datalad", "create", str(dataset))
    show("(the demo copies the files into it)")
    for name, original in originals.items():
        (dataset / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original, dataset / name)
    shell.enter(dataset)
    shell.run("datalad", "save", "--message", "Add files")


def send(originals: dict[str, Path], shell: Shell) -> None:
    """Set up the store and bring everything there, half by git-annex and half by DataLad."""
    title("2. An S3 server on this machine; in life, a service such as AWS, mdx or your MinIO")
    shell.run("datalad", "s3-serve", "--background")

    title("3. Connect the data set to it: one command, which first tries the store out")
    shell.run("datalad", "s3-setup", "local", "--bucket", BUCKET)

    title("4. Send content: the largest files by git-annex, the rest by DataLad")
    size = f"{threshold(originals)}B"
    shell.run("git", "annex", "copy", "--to", "local", "--jobs", "4", f"--largerthan={size}", ".")
    shell.run("datalad", "push", "--to", "local")


def fetch(dataset: Path, clone: Path, shell: Shell) -> None:
    """Clone the data set and get all content from the store."""
    title("5. Somebody else clones the data set: names and history, no content yet")
    shell.run("datalad", "clone", str(dataset), str(clone))
    shell.enter(clone)
    show("\nThe clone lies beside its origin, so content could come from there. This forbids it:")
    shell.run("git", "config", "remote.origin.annex-ignore", "true")

    title("6. Enable the store in the clone and get everything from it")
    shell.run("datalad", "s3-enable", "--name", "local")
    shell.run("datalad", "get", ".")


def compare(originals: dict[str, Path], clone: Path) -> None:
    """Compare what came back with the originals.

    Raises
    ------
    DemoError
        When a file is missing or differs.
    """
    title("8. Compare the SHA-256 of every file in the clone with the original")
    bad = [name for name, path in originals.items() if not same(path, clone / name)]
    if bad:
        raise DemoError(f"{len(bad)} of {len(originals)} files differ or are missing: {bad[:5]}")
    show(f"all {len(originals)} are identical")


def same(original: Path, copy: Path) -> bool:
    """Tell whether both files are there with the same bytes."""
    return copy.is_file() and sha256(original) == sha256(copy)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- what is shown ----------------------------------------------------------------------------


def summarise(output: Path, originals: dict[str, Path], seconds: float, commands: int) -> None:
    """Say what was done and where everything is."""
    start = shlex.join(["env", f"S3EXT_SERVER_HOME={output / 'server'}"])
    title("Done")
    show(
        f"{describe(originals)} went to the S3 store and came back in a fresh clone,\n"
        f"every one identical, in {seconds:.0f} s ({commands} commands, shown above).\n"
        f"\n"
        f"  data set   {output / 'dataset'}\n"
        f"  clone      {output / 'clone'}\n"
        f"  S3 server  {output / 'server'}  (stopped; bucket {BUCKET})\n"
        f"\n"
        f"To play on, start the server again (datalad stands in .venv/bin):\n"
        f"  {start} datalad s3-serve --background\n"
        f"To clean up, stop it if it runs, and delete {output}\n"
        f"  (`chmod -R u+w` first: git-annex protects content)."
    )


def describe(originals: dict[str, Path]) -> str:
    """Return how many files there are and how large they are."""
    size = sum(path.stat().st_size for path in originals.values())
    return f"{len(originals)} files ({size / 1e6:.1f} MB)"


def title(text: str) -> None:
    """Begin a step."""
    show(f"\n== {text}")


def show(text: str) -> None:
    """Print at once, so that lines keep their place among those of the commands."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
