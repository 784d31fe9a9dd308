"""Opening files without surprises: no link is followed, no pipe is waited for, no newline is translated."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

__all__ = ["flush_folder", "open_descriptor"]

_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NEW_FILES_MODE = 0o666  # less the umask


def open_descriptor(path: str | os.PathLike[str], flags: int, *, links: bool) -> int:
    """Open a file for bytes and return its descriptor; a pipe is opened without waiting for its other end.

    Args:
        path: The file.
        flags: Of `os.open`.
        links: Whether to follow a symbolic link.

    Raises:
        OSError: The system refuses, or the path is a link and `links` is false.
    """
    if not links and not _NO_LINK and Path(path).is_symlink():
        raise OSError(errno.ELOOP, "is a symbolic link", os.fspath(path))
    return os.open(path, flags | _NEVER_WAIT | _BINARY | (0 if links else _NO_LINK), _NEW_FILES_MODE)


def flush_folder(folder: Path) -> None:
    """Flush `folder` to disk, so that new names survive a power failure, if the system and the file system can.

    Windows cannot: NTFS keeps a journal of names, so a file has its old or its new name afterwards.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # this file system cannot flush folders
            raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        os.close(descriptor)
