"""Read a file of rows as text: unpack gzip, decode UTF-8 and UTF-16, and report any other encoding.

A byte order mark decides between the encodings; without one the text is UTF-8.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from typing import TYPE_CHECKING

from bytemill.errors import DataError
from bytemill.json_reader import MAX_ROWS_BYTES, read_regular_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_text"]

_GZIP = b"\x1f\x8b"  # UTF-8 text never begins with these bytes
_MAX_GROWTH = 1000
"""Maximum expansion factor of a compressed file, as in the core; typical rows expand 5 to 50 times."""
_PIECE_BYTES = 1 << 20
_FIRST_BYTES = 64
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, because its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """Return the text of a file of rows, without its byte order mark.

    Raises:
        OSError: The file is missing or cannot be read.
        DataError: The file is not regular, is too large, is damaged gzip, or has another encoding; the message names
            line and byte.
    """
    data = read_regular_file(path, max_bytes=MAX_ROWS_BYTES, error=DataError)
    if data.startswith(_GZIP):
        data = _unpacked(data, path)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    if not mark and b"\0" in data[:_FIRST_BYTES]:
        raise DataError(f"{path}: begins with NUL bytes, like UTF-16 without a byte order mark; save it as UTF-8")
    try:
        return data[len(mark) :].decode(encoding) if mark else data.decode()
    except UnicodeDecodeError as error:
        raise _not_text(path, data[len(mark) :], error) from None


def _not_text(path: Path, data: bytes, error: UnicodeDecodeError) -> DataError:
    if error.encoding != "utf-8":
        return DataError(f"{path}: its byte order mark says {error.encoding}, but it is not; save it as UTF-8")
    line = data.count(b"\n", 0, error.start) + 1
    place = error.start - data.rfind(b"\n", 0, error.start)
    return DataError(
        f"{path}:{line}: byte {place} of this line, {data[error.start]:#04x}, is not UTF-8; save it as UTF-8 "
        "(in Excel: CSV UTF-8)"
    )


def _unpacked(data: bytes, path: Path) -> bytes:
    most = min(MAX_ROWS_BYTES, _MAX_GROWTH * len(data) + _PIECE_BYTES)
    found = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while piece := file.read(_PIECE_BYTES):
                found += piece
                if len(found) > most:
                    raise DataError(f"{path}: grows to more than {most:,} bytes, the maximum for such a file")
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: incomplete or damaged gzip file: {error}") from None
    return bytes(found)
