"""Telling a connection that moves from one that only pretends to.

A time-out between two packets does not see a body that drips: one byte every ten seconds, and a file
takes years. So a connection must also move `LEAST_BYTES_PER_S` on average while it is waited for.

The rule must not strike where nobody is to blame:

* Only the time spent inside the system's send and receive calls counts. Who limits the bandwidth,
  writes to a slow disk or waits for other work does not wait for the network meanwhile.
* Connections share the line, so they share what is asked of them: with 16 under way each must move
  a sixteenth. Together they need 1 KiB/s, less than a telephone line of 1990 has. One that drips
  behind fifteen good ones is found out when those are done: then it alone is asked for 1 KiB/s, and
  then it is what everybody waits for.
"""

from __future__ import annotations

from datalad_s3ext.units import KIB

LEAST_BYTES_PER_S = KIB


class TooSlow(TimeoutError):
    """A connection moves, but not so that it will ever be done."""


class Pace:
    """How fast one connection moves while it is used. Not for several threads at once.

    Parameters
    ----------
    window_s
        Judged each time so many seconds have been waited for it.
    line
        The connections that are in use and share the line, this one included while it is used.
    """

    def __init__(self, window_s: float, line: set[Pace]) -> None:
        self._window_s = window_s
        self._line = line
        self._waited_s = 0.0
        self._moved_bytes = 0
        self._is_on = True

    def begin(self) -> None:
        """Note that the connection is used from now on."""
        self._is_on = True
        self._waited_s, self._moved_bytes = 0.0, 0
        self._line.add(self)

    def end(self) -> None:
        """Note that it is used no longer, or that it may be slow from now on."""
        self._is_on = False
        self._line.discard(self)

    def note(self, size_bytes: int, waited_s: float) -> None:
        """Count `size_bytes` that were moved after a wait.

        Raises
        ------
        TooSlow
            When too few came in the time that was waited for them.
        """
        self._waited_s += waited_s
        self._moved_bytes += size_bytes
        if self._waited_s < self._window_s or not self._is_on:
            return
        needed = LEAST_BYTES_PER_S * self._waited_s / max(1, len(self._line))
        if self._moved_bytes < needed:
            raise TooSlow(f"{self._moved_bytes} bytes in {self._waited_s:.0f} s")
        self._waited_s, self._moved_bytes = 0.0, 0
