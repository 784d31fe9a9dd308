"""Download named data sets into a cache; resume interrupted downloads, and check known hashes.

A file is written as `NAME.part` and renamed when complete, so a file with its final name is complete. One process
downloads a data set at a time; others wait and then use its files.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.data.sources import SOURCES
from bytemill.errors import ArgumentError
from bytemill.progress import PhaseProgress

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["cache_folder", "fetch"]

_LOOK_AGAIN_S = 0.1
_WAITING = "waiting for another download of it"


def cache_folder() -> Path:
    """Return the cache folder: `BYTEMILL_CACHE`, or `~/.cache/bytemill`."""
    return Path(os.environ.get("BYTEMILL_CACHE", Path.home() / ".cache" / "bytemill"))


def fetch(name: str, *, cache: str | Path | None = None, progress: bool = False) -> Path:
    """Download the missing files of the data set `name` into the cache; a .zip is unpacked there.

    Args:
        name: A key of `SOURCES`.
        cache: The folder that holds the data sets' folders; `cache_folder()` if None.
        progress: Show progress on stderr.

    Returns:
        The data set's folder.

    Raises:
        ArgumentError: There is no such name; the message lists the names.
        DataError: A downloaded file has the wrong hash and was deleted, or the hub's listing has the wrong format.
        OSError: The server cannot be reached, is too slow or refuses; another call resumes the download.
    """
    if name not in SOURCES:
        raise ArgumentError(f"name is {name!r}, expected one of {', '.join(sorted(SOURCES))}")
    from bytemill.data.download import download
    from bytemill.data.hub_listing import files_of, hub_key
    from bytemill.data.unpack import unpack_zip

    parent = Path(cache or cache_folder())
    folder = parent / name
    units = {_WAITING: "seconds", "downloading": "bytes"}
    with (
        PhaseProgress(units, shown=progress) as shown,
        _alone(parent, name, lambda seconds: shown.update(_WAITING, seconds, 0)),
    ):
        source = SOURCES[name]
        key, key_origin = hub_key() if source.hub_id else (None, "")
        for remote in files_of(source):
            target = folder / remote.name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                download(
                    remote,
                    target,
                    key=key,
                    key_origin=key_origin,
                    on_progress=lambda done, total: shown.update("downloading", done, total),
                )
            if target.suffix == ".zip":
                unpack_zip(target)
    return folder


@contextlib.contextmanager
def _alone(parent: Path, name: str, waited: Callable[[int], None]) -> Iterator[None]:
    """Lock this data set, and wait while another process downloads it; on Windows nothing is locked."""
    parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    lock = os.open(parent / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited(int(time.monotonic() - began))
                time.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        os.close(lock)
