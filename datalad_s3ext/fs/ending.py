"""How the program that serves a mount ends: at once, whatever it waits for.

libfuse ends when all requests are answered, and a server may be silent for a minute.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from datalad_s3ext.errors import LocalError
from datalad_s3ext.fs.mounted import device_of, unmount

LOOK_S = 1.0
"""So long after the mount has gone its program may still be there."""
BEGIN_S = 0.01
"""Between two looks before it is mounted."""
APPEARING_S = 0.5
"""So long the mount may take to be seen once the kernel asks: what is seen later is another one."""
GRACE_S = 1.0
"""So long it may take to end by itself."""
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def end_at_once(folder: Path) -> None:
    """Have this process end when it is told to, or when the kernel has let go of its mount on `folder`.

    Files that are open below a mount taken out of sight still belong to it, and keep the process.
    To be called in the main thread, before mounting.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in _SIGNALS:  # libfuse leaves a signal alone that has a handler
        signal.signal(number, lambda *_: None)
    Thread(target=_watch, args=(folder, told), daemon=True, name="end-at-once").start()


def _watch(folder: Path, told: int) -> None:
    kernel = device = None
    until_s = 0.0
    while not select.select([told], [], [], BEGIN_S if device is None else LOOK_S)[0]:
        if kernel is None:
            kernel, until_s = _connection(), time.monotonic() + APPEARING_S
        elif not _is_connected(kernel):
            time.sleep(GRACE_S)
            os._exit(0)
        if kernel is not None and device is None:  # the kernel asks a little before it is mounted
            device = device_of(folder) or ("" if time.monotonic() > until_s else None)
    there = device_of(folder)
    if there is not None and device in {None, there}:  # not one that was mounted there later
        with suppress(LocalError):
            unmount(folder, wait_s=0, detach=True)
    os._exit(0)


def _connection() -> int | None:
    """Return the handle by which the kernel asks, once it does."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if os.readlink(entry) == "/dev/fuse" and _is_connected(int(entry.name)):
                return int(entry.name)
    return None


def _is_connected(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, 0)  # errors are told without being asked for
    return not poll.poll(0)
