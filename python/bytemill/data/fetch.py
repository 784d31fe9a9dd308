"""Downloads of named data sets into a cache: resumed where they broke off, checked where a hash is known.

The hub is asked at `HF_ENDPOINT`, as its own clients do, with the token in `HF_TOKEN` if there is one. A file is
written as `NAME.part` and renamed when it is whole, so what has its name is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bytemill.data.sources import SOURCES, Source
from bytemill.errors import ArgumentError, DataError
from bytemill.progress import PhaseProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

__all__ = ["cache_folder", "fetch"]

_PIECE_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60
_NOTHING_MORE = 416  # the server's answer when the file is as long as what we have


@dataclass(frozen=True)
class _Remote:
    url: str
    name: str
    """Path in the cache, relative to the data set's folder."""
    sha256: str


def cache_folder() -> Path:
    """`BYTEMILL_CACHE`, or `~/.cache/bytemill`."""
    return Path(os.environ.get("BYTEMILL_CACHE", Path.home() / ".cache" / "bytemill"))


def fetch(name: str, *, cache: str | Path | None = None, progress: bool = False) -> Path:
    """Download the data set `name` of `SOURCES`, as far as it is not in the cache.

    Args:
        name: One of `SOURCES`.
        cache: The folder that holds the data sets' folders; `cache_folder()` if None.
        progress: Show progress on stderr.

    Returns:
        The data set's folder.

    Raises:
        ArgumentError: There is no such name; lists those there are.
        DataError: What was downloaded has another hash than it must have; it is deleted.
        OSError: The server cannot be reached or refuses; running again goes on where this broke off.
    """
    if name not in SOURCES:
        raise ArgumentError(f"name is {name!r}, expected one of {', '.join(sorted(SOURCES))}")
    folder = Path(cache or cache_folder()) / name
    with PhaseProgress({"downloading": "bytes"}, shown=progress) as shown:
        for remote in _files(SOURCES[name]):
            target = folder / remote.name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _download(remote, target, lambda done, total: shown.update("downloading", done, total))
    return folder


def _files(source: Source) -> list[_Remote]:
    if source.url:
        name = urllib.parse.unquote_plus(PurePosixPath(urllib.parse.urlsplit(source.url).path).name)
        return [_Remote(source.url, name.replace(" ", "_"), source.sha256)]
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    listing: str | None = f"{endpoint}/api/datasets/{source.hub_id}/tree/main/{source.hub_folder}?recursive=true"
    entries: list[dict[str, Any]] = []
    while listing:
        with _open(listing) as reply:
            entries += json.load(reply)
            listing = _next_page(reply)
    return [
        _Remote(
            f"{endpoint}/datasets/{source.hub_id}/resolve/main/{urllib.parse.quote(entry['path'])}",
            _inside(entry["path"]),
            entry.get("lfs", {}).get("oid", ""),
        )
        for entry in entries
        if entry["type"] == "file" and entry["path"].endswith(source.ending)
    ]


def _next_page(reply: HTTPResponse) -> str | None:
    """The hub lists 1,000 files a page, and the next page in a header."""
    link = reply.headers.get("Link", "")
    return link[link.index("<") + 1 : link.index(">")] if 'rel="next"' in link else None


def _inside(path: str) -> str:
    """A path that a server told, refused where it leads out of the folder."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or path.startswith("/") or "\\" in path:
        raise DataError(f"the hub lists a file {path!r}, which leads out of the data set's folder")
    return path


def _open(url: str, first_byte: int = 0) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "bytemill"})
    if first_byte:
        request.add_header("Range", f"bytes={first_byte}-")
    token = os.environ.get("HF_TOKEN")
    if token and url.startswith(os.environ.get("HF_ENDPOINT", "https://huggingface.co")):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    reply: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    return reply


def _download(remote: _Remote, target: Path, heard: Callable[[int, int], None]) -> None:
    part = target.with_name(f"{target.name}.part")
    have = part.stat().st_size if part.exists() else 0
    try:
        reply = _open(remote.url, have)
    except urllib.error.HTTPError as refusal:
        if refusal.code != _NOTHING_MORE or not have:
            raise
        refusal.close()
    else:
        _append(reply, part, have, heard)
    if remote.sha256 and (found := _sha256(part)) != remote.sha256:
        part.unlink()
        raise DataError(f"{remote.url}: SHA-256 is {found}, expected {remote.sha256}; what came was deleted")
    part.rename(target)


def _append(reply: HTTPResponse, part: Path, have: int, heard: Callable[[int, int], None]) -> None:
    with reply, part.open("ab") as file:
        if reply.status != 206:  # the server sends the whole file, whatever it was asked
            have = 0
            file.truncate(0)
        left = int(reply.headers.get("Content-Length", 0))
        total = have + left
        while piece := reply.read(_PIECE_BYTES):
            file.write(piece)
            have += len(piece)
            heard(have, total)
        file.flush()
        os.fsync(file.fileno())
    if have < total:
        raise OSError(f"{part}: the connection broke off at byte {have:,} of {total:,}; run again to go on from there")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
