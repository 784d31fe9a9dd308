"""Download one file: interrupted downloads are resumed, and only a complete file gets its final name.

The bytes are written to `NAME.part`, and `NAME.part.json` says which version of the server's file they belong to. A
download is resumed only from the same version: the server compares it (If-Range), or a known SHA-256 is checked at the
end. If the server sends anything else for the remaining bytes, the download starts again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytemill.errors import DataError
from bytemill.json_reader import read_object
from bytemill.network import NetworkError, ask
from bytemill.outside_text import public_url
from bytemill.system.files import open_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedRandom
    from pathlib import Path

    from bytemill.data.hub_listing import RemoteFile
    from bytemill.network import Reply

__all__ = ["MAX_BYTES_OF_UNKNOWN_SIZE", "STALL_TIMEOUT_S", "download"]

STALL_TIMEOUT_S = 60.0
"""Maximum seconds for `network.MIN_PROGRESS_BYTES` to arrive."""
MAX_BYTES_OF_UNKNOWN_SIZE = 64 << 30
"""Maximum bytes of a file if neither the server nor a listing gives its size."""

_NOTHING_MORE = 416  # the range begins at or after the end of the file
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z")


@dataclass(frozen=True)
class _Version:
    """The version of the server's file; both fields are empty if the server sends neither."""

    url: str
    validator: str = ""
    """A strong ETag or the date of the last change, for If-Range."""
    n_bytes: int | None = None

    @classmethod
    def of(cls, url: str, reply: Reply, n_bytes: int | None) -> _Version:
        tag = reply.headers.get("ETag", "")
        strong = tag if tag.startswith('"') else ""
        return cls(public_url(url), strong or reply.headers.get("Last-Modified", ""), n_bytes)

    def differs_from(self, other: _Version) -> bool:
        """Return whether a field known to both differs; some servers send a part regardless of If-Range."""
        pairs = [(self.validator, other.validator), (self.n_bytes, other.n_bytes)]
        return any(own and theirs and own != theirs for own, theirs in pairs)


class _StartAgainError(Exception):
    """The received or offered bytes do not continue the existing part."""


def download(
    remote: RemoteFile, target: Path, *, key: str | None, key_origin: str, on_progress: Callable[[int, int], None]
) -> None:
    """Download a file to `target`, and resume an interrupted download.

    Args:
        remote: The file's address, and its size and hash if known.
        target: The path to write; no other process may download to it at the same time.
        key: Sent to `key_origin` only.
        key_origin: In the spelling of `bytemill.network.origin`.
        on_progress: Called with the bytes written and the total bytes; the total is 0 if not known.

    Raises:
        DataError: The content has the wrong hash; it was deleted.
        NetworkError: The server fails or is too slow; another call resumes the download.
    """
    part, note = (target.with_name(target.name + ending) for ending in (".part", ".part.json"))
    with _opened(part) as file:
        first_byte, version = _resumable(file, note, remote)
        if first_byte:
            with contextlib.suppress(_StartAgainError):
                _transfer(remote, file, note, first_byte, version, (key, key_origin), on_progress)
                return _finish(file, part, note, target, remote, may_start_again=True)
        _transfer(remote, file, note, 0, None, (key, key_origin), on_progress)
        return _finish(file, part, note, target, remote, may_start_again=False)


def _transfer(
    remote: RemoteFile,
    file: BufferedRandom,
    note: Path,
    first_byte: int,
    version: _Version | None,
    key: tuple[str | None, str],
    on_progress: Callable[[int, int], None],
) -> None:
    """Request the file or its remaining bytes, and write them."""
    headers = {"Range": f"bytes={first_byte}-"} if first_byte else {}
    if first_byte and version is not None and version.validator:
        headers["If-Range"] = version.validator
    with ask(
        remote.url,
        timeout_s=STALL_TIMEOUT_S,
        headers=headers,
        key=key[0],
        key_origin=key[1],
        across_origins=True,
        is_download=True,
        accept={_NOTHING_MORE} if first_byte else (),
    ) as reply:
        if reply.status == _NOTHING_MORE:
            if remote.sha256 and _sha256(file) == remote.sha256:
                return
            raise _StartAgainError
        total = _total(reply, first_byte, version, remote)
        if reply.status != 206:
            first_byte = 0
            file.truncate(0)
            _write_note(note, _Version.of(remote.url, reply, total))
        _append(reply, file, first_byte, total, on_progress)


def _total(reply: Reply, first_byte: int, version: _Version | None, remote: RemoteFile) -> int | None:
    """Return the size of the whole file if known; start again if a part does not continue the existing bytes."""
    if reply.status != 206:
        total = reply.n_bytes
    else:
        found = _CONTENT_RANGE.match(reply.headers.get("Content-Range", ""))
        if not first_byte:
            raise NetworkError(
                reply.url, "it sent only part of the file, although all of it was requested", again=False
            )
        if not found or int(found[1]) != first_byte or (found[3] != "*" and int(found[2]) + 1 != int(found[3])):
            raise _StartAgainError
        total = None if found[3] == "*" else int(found[3])
        if version is not None and version.differs_from(_Version.of(remote.url, reply, total)):
            raise _StartAgainError
    if remote.n_bytes is None or total is None or total == remote.n_bytes:
        return remote.n_bytes if total is None else total
    fault = f"it sends a file of {total:,} bytes, the listing says {remote.n_bytes:,}"
    raise NetworkError(reply.url, fault, again=False)


def _append(
    reply: Reply, file: BufferedRandom, have: int, total: int | None, on_progress: Callable[[int, int], None]
) -> None:
    file.seek(have)
    most = MAX_BYTES_OF_UNKNOWN_SIZE if total is None else total
    try:
        for piece in reply.pieces(max_bytes=most - have):
            file.write(piece)
            on_progress(file.tell(), total or 0)
        if total is not None and file.tell() < total:
            raise NetworkError(reply.url, "the connection broke", again=True)
    except NetworkError as error:
        if not error.again:
            raise
        place = f"at byte {file.tell():,}" + (f" of {total:,}" if total else "")
        raise NetworkError(reply.url, f"{error.fault}, {place}; run again to continue from there", again=True) from None
    finally:
        file.flush()
        os.fsync(file.fileno())


def _finish(
    file: BufferedRandom, part: Path, note: Path, target: Path, remote: RemoteFile, *, may_start_again: bool
) -> None:
    if remote.sha256 and (found := _sha256(file)) != remote.sha256:
        if may_start_again:
            raise _StartAgainError
        part.unlink()
        note.unlink(missing_ok=True)
        raise DataError(
            f"{public_url(remote.url)}: SHA-256 is {found}, expected {remote.sha256}; the downloaded file was deleted"
        )
    part.replace(target)
    note.unlink(missing_ok=True)


def _resumable(file: BufferedRandom, note: Path, remote: RemoteFile) -> tuple[int, _Version | None]:
    """Return the number of existing bytes that can be continued, and their version."""
    have = os.fstat(file.fileno()).st_size
    version = _read_note(note)
    if version is None or version.url != public_url(remote.url):
        version = None
    if remote.n_bytes is not None and have > remote.n_bytes:
        return 0, None
    if remote.sha256 or (version is not None and version.validator):
        return have, version
    return 0, None


def _read_note(note: Path) -> _Version | None:
    try:
        return _checked(read_object(note))
    except (OSError, ValueError):
        return None


def _checked(fields: dict[str, object]) -> _Version | None:
    url, validator, n_bytes = fields.get("url"), fields.get("validator"), fields.get("n_bytes")
    if not isinstance(url, str) or not isinstance(validator, str) or not (n_bytes is None or isinstance(n_bytes, int)):
        return None
    sendable = validator.isascii() and validator.isprintable()
    return _Version(url, validator, n_bytes) if sendable else None


def _write_note(note: Path, version: _Version) -> None:
    note.unlink(missing_ok=True)  # a planted link is not followed
    fields = {"url": version.url, "validator": version.validator, "n_bytes": version.n_bytes}
    with note.open("x", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[BufferedRandom]:
    """Open the existing part or a new file; refuse a link or a pipe."""
    if part.is_symlink():
        raise DataError(f"{part}: a symbolic link, expected a regular file; remove it")
    opened = open_descriptor(part, os.O_RDWR | os.O_CREAT, links=False)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise DataError(f"{part}: not a regular file; remove it")
    with os.fdopen(opened, "r+b") as file:
        yield file


def _sha256(file: BufferedRandom) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
