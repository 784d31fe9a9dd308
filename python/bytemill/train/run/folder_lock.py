"""A lock on a folder, one holder at a time; the system frees it when its holder ends, in any way."""

from __future__ import annotations

import contextlib
import sys
from typing import IO, TYPE_CHECKING

from bytemill.errors import ConfigError
from bytemill.files import open_to_append

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["alone_in"]


@contextlib.contextmanager
def alone_in(folder: Path, *, others: str) -> Iterator[IO[bytes]]:
    """Hold the folder's lock, making the folder when it is missing.

    Args:
        folder: Gets a file `lock`, which stays.
        others: Who must be at work there if it is held already, for the error.

    Yields:
        The open lock; a child process that inherits it holds it too, as long as it lives.

    Raises:
        ConfigError: It is held already, or the lock is a link or no file. (On Windows nothing is locked.)
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = open_to_append(folder / "lock")
    except OSError as error:
        raise ConfigError(f"{folder / 'lock'}: the folder cannot be locked: {error.strerror}") from None
    with lock:
        if sys.platform != "win32":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    f"{folder}: {others} is using this folder; wait for it to finish or stop it"
                ) from None
            except OSError:  # a file system without locks: one at a time is the user's care
                pass
        yield lock
