"""A temporary folder of a command; it is deleted when the command ends, also by SIGTERM or SIGHUP."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bytemill.errors import Interrupted
from bytemill.system.processes import HANG_UP_SIGNALS

__all__ = ["temporary_folder"]


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is created if missing.

    Raises:
        Interrupted: SIGTERM or SIGHUP was received; the folder is deleted first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    before: dict[Any, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, _stop) for number in HANG_UP_SIGNALS}
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=".bytemill-") as folder:
            yield Path(folder)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _: object) -> None:
    raise Interrupted(f"stopped by {signal.Signals(number).name}", exit_code=128 + number)
