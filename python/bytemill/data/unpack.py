"""Unpack a downloaded .zip into its own folder, with limits on size and file names."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

from bytemill.errors import DataError
from bytemill.files import new_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["unpack_zip"]

MAX_FILES = 100
MAX_BYTES = 1 << 30
"""Maximum bytes of all files together."""
_PIECE_BYTES = 1 << 20


def unpack_zip(path: Path) -> list[Path]:
    """Write the missing files of a .zip into its folder; return the paths of all its files.

    Raises:
        DataError: The .zip is damaged, has a name that is not a plain file name, or exceeds the limits.

    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "a.zip", "w") as archive:
    ...     archive.writestr("messages.txt", "ham")
    >>> [path.name for path in unpack_zip(folder / "a.zip")]
    ['messages.txt']
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _refuse(path, entries)
            return [_written(archive, entry, path.parent / entry.filename) for entry in entries]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: incomplete or damaged .zip: {error}; delete it and download it again") from None


def _refuse(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise DataError(f"{path}: holds more than {MAX_FILES} files or {MAX_BYTES:,} bytes, the maximum for unpacking")
    for entry in entries:
        name = entry.filename
        if (
            name != name.replace("\\", "/").rpartition("/")[2]
            or name in (".", "..", path.name)
            or not name.isprintable()
        ):
            raise DataError(f"{path}: holds {name!r}, which is not a plain file name; nothing was unpacked")


def _written(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> Path:
    """Write one file, or nothing if its size or checksum differs from the .zip's entry."""
    if target.exists():
        return target
    with archive.open(entry) as packed, new_file(target) as file:
        n_bytes = 0
        while piece := packed.read(_PIECE_BYTES):
            n_bytes += len(piece)
            if n_bytes > entry.file_size:
                raise zipfile.BadZipFile(f"{entry.filename!r} is larger than its entry in the archive says")
            file.write(piece)
    return target
