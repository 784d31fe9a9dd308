"""Signals that end a process, processes that run in the background of this one, and how long this one has run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HANG_UP_SIGNALS", "STOP_SIGNALS", "ask_to_stop", "seconds_running", "start_in_background"]


def _existing(*names: str) -> tuple[signal.Signals, ...]:
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


STOP_SIGNALS = _existing("SIGTERM", "SIGINT", "SIGBREAK")
"""Signals by which a user or a scheduler asks a run to stop; Windows has SIGBREAK in place of SIGTERM."""
HANG_UP_SIGNALS = _existing("SIGTERM", "SIGHUP", "SIGBREAK")
"""Signals that end a process without an exception in Python, unless they are handled."""


def seconds_running() -> float | None:
    """Return the seconds since this process started; None if the system does not tell, as outside Linux."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, ValueError):
        return None


def start_in_background(
    command: Sequence[str], *, log: IO[bytes], environment: Mapping[str, str], lock: int
) -> subprocess.Popen[bytes]:
    """Start a process that Ctrl-C in the terminal does not reach.

    Args:
        command: The program and its arguments.
        log: Takes its output and its errors.
        environment: Its environment variables.
        lock: Descriptor of a locked file; the process holds this lock too, until it ends. On Windows it does not.
    """
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,
        pass_fds=[lock],
    )


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Send a process of `start_in_background` one of the `STOP_SIGNALS`; end it if that is impossible."""
    if sys.platform == "win32":
        try:
            process.send_signal(signal.CTRL_BREAK_EVENT)
        except OSError:  # without a console there are no such events
            process.terminate()
        return
    process.terminate()
