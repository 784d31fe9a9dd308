"""A deadline for network connections: they are shut down when it passes.

A socket's own timeout limits one read, so a peer that sends a byte now and then never exceeds it. Here a
separate thread waits for the deadline and shuts the connections down; the reading thread then gets an error.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Deadline"]

_SHORTEST_WAIT_S = 0.001


class Deadline:
    """Limit the time of requests made inside `with`; pass `trace` to httpx as the request extension "trace".

    Args:
        timeout_s: Seconds from now.
        extended_by: The deadline starts again after every `extended_by` bytes; 0 never extends it.
    """

    def __init__(self, timeout_s: float, *, extended_by: int = 0) -> None:
        self.timeout_s = timeout_s
        self.extended_by = extended_by
        self.expired = False
        """Whether the deadline passed before `with` ended."""
        self._n_bytes = 0
        self._moment = time.monotonic() + timeout_s
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="bytemill-deadline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        for connected in self._sockets:
            connected.close()

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, always more than 0."""
        return max(self._moment - time.monotonic(), _SHORTEST_WAIT_S)

    def note_progress(self, n_bytes: int) -> None:
        """Record the total number of bytes received, and extend the deadline if enough are new."""
        if self.extended_by and n_bytes - self._n_bytes >= self.extended_by:
            self._n_bytes = n_bytes
            self._moment = time.monotonic() + self.timeout_s

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Keep a duplicate handle of each connection: the first moves into another object when TLS begins."""
        if event.endswith(".connect_tcp.complete"):  # also for a connection to a proxy
            connected: socket.socket = info["return_value"].get_extra_info("socket").dup()
            with self._lock:
                self._sockets.append(connected)
                if self.expired:
                    _shut_down(connected)

    def _wait(self) -> None:
        while not self._done.wait(self.seconds_left()):
            with self._lock:
                if time.monotonic() < self._moment:
                    continue
                self.expired = True
                for connected in self._sockets:
                    _shut_down(connected)
                return


def _shut_down(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the connection is already closed
        connected.shutdown(socket.SHUT_RDWR)
