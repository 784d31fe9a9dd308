"""Locks a folder for one process; the system releases the lock when the process ends, even if it is killed."""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING

from bytemill.errors import ConfigError
from bytemill.files import open_to_append
from bytemill.system.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["alone_in"]


@contextlib.contextmanager
def alone_in(folder: Path, *, others: str) -> Iterator[IO[bytes]]:
    """Hold the folder's lock while the context is open; create the folder if it is missing.

    Args:
        folder: The folder; its file `lock` is created and stays.
        others: What uses the folder if the lock is already held, for the error.

    Yields:
        The open lock file; a child process that inherits it holds the lock too, until it ends (on Windows it does not).

    Raises:
        ConfigError: The lock is already held, or is a link or not a regular file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = open_to_append(folder / "lock")
    except OSError as error:
        raise ConfigError(f"{folder / 'lock'}: the folder cannot be locked: {error.strerror}") from None
    with lock:
        if not try_lock(lock.fileno()):
            raise ConfigError(f"{folder}: {others} is using this folder; wait for it to finish or stop it")
        yield lock
