"""Download named data sets into a cache; resume interrupted downloads, and check known hashes.

A file is written as `NAME.part` and renamed when complete, so a file with its final name is complete. One process
downloads a data set at a time; others wait and then use its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.data.sources import SOURCES
from bytemill.errors import ArgumentError, DataError
from bytemill.files import new_file
from bytemill.progress import PhaseProgress
from bytemill.system.files import open_descriptor
from bytemill.system.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bytemill.data.hub_listing import RemoteFile
    from bytemill.data.sources import Source

__all__ = ["cache_folder", "fetch"]

_LOOK_AGAIN_S = 0.1
_PIECE_BYTES = 1 << 20
_WAITING = "waiting for another download of it"


def cache_folder() -> Path:
    """Return the cache folder: `BYTEMILL_CACHE`, or `~/.cache/bytemill`."""
    return Path(os.environ.get("BYTEMILL_CACHE", Path.home() / ".cache" / "bytemill"))


def fetch(
    name: str,
    *,
    cache: str | Path | None = None,
    from_file: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool = False,
) -> Path:
    """Download the missing files of the data set `name` into the cache; a .zip is unpacked there.

    Args:
        name: A key of `SOURCES`.
        cache: The folder that holds the data sets' folders; `cache_folder()` if None.
        from_file: Use this file, which was downloaded by other means, and no network.
        output: Also write the data set's file here; only for a data set of one file.
        progress: Show progress on stderr.

    Returns:
        `output`, or the data set's folder if it is None.

    Raises:
        ArgumentError: There is no such name (the message lists the names), or `from_file` or `output` is given for a
            data set of several files.
        DataError: A file has the wrong hash (a downloaded one was deleted), or the hub's listing has the wrong format.
        OSError: The server cannot be reached, is too slow or refuses; another call resumes the download.
    """
    if name not in SOURCES:
        raise ArgumentError(f"name is {name!r}, expected one of {', '.join(sorted(SOURCES))}")
    source = SOURCES[name]
    for option, path in (("from_file", from_file), ("output", output)):
        if path is not None and not source.url:
            raise ArgumentError(f"{option} is for data sets of one file; {name} has several, which stay in the cache")
    parent = Path(cache or cache_folder())
    folder = parent / name
    units = {_WAITING: "seconds", "downloading": "bytes"}
    with (
        PhaseProgress(units, shown=progress) as shown,
        _alone(parent, name, lambda seconds: shown.update(_WAITING, seconds, 0)),
    ):
        fetched = _fetch_files(source, folder, from_file, lambda done, total: shown.update("downloading", done, total))
    if output is None:
        return folder
    _copy(folder / source.unpacked if source.unpacked else fetched[0], Path(output))
    return Path(output)


def _fetch_files(
    source: Source, folder: Path, from_file: str | Path | None, on_progress: Callable[[int, int], None]
) -> list[Path]:
    """Get the missing files of a data set; return the paths of all of them."""
    from bytemill.data.download import download
    from bytemill.data.hub_listing import files_of, hub_key
    from bytemill.data.unpack import unpack_zip

    key, key_origin = hub_key() if source.hub_id else (None, "")
    targets = []
    for remote in files_of(source):
        target = folder / remote.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if from_file is not None:
            _take(Path(from_file), remote, target)
        elif not target.exists():
            download(remote, target, key=key, key_origin=key_origin, on_progress=on_progress)
        if target.suffix == ".zip":
            unpack_zip(target)
        targets.append(target)
    return targets


def _take(file: Path, remote: RemoteFile, target: Path) -> None:
    """Copy a file that was downloaded by other means into the cache, after comparing its hash if one is known."""
    if remote.sha256:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != remote.sha256:
            raise DataError(f"{file}: SHA-256 is {found}, but the file at {remote.url} has {remote.sha256}")
    _copy(file, target)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as content, new_file(target) as copy:
        while piece := content.read(_PIECE_BYTES):
            copy.write(piece)


@contextlib.contextmanager
def _alone(parent: Path, name: str, waited: Callable[[int], None]) -> Iterator[None]:
    """Lock this data set, and wait while another process downloads it."""
    parent.mkdir(parents=True, exist_ok=True)
    lock = open_descriptor(parent / f".{name}.lock", os.O_RDWR | os.O_CREAT, links=False)
    try:
        began = time.monotonic()
        while not try_lock(lock):
            waited(int(time.monotonic() - began))
            time.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        os.close(lock)
