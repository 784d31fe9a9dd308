"""List the files of a named data set: one at an address, or several from the Hugging Face hub.

The hub's address is `HF_ENDPOINT`, as in its own clients, and its token is `HF_TOKEN` if set. The token and requests
for further pages are sent only to the endpoint's origin. The listing's contents are checked before use.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError, DataError
from bytemill.json_reader import parse_json
from bytemill.network import ask, origin
from bytemill.outside_text import checked_key, one_line, printable, public_url

if TYPE_CHECKING:
    from bytemill.data.sources import Source

__all__ = [
    "LISTING_TIMEOUT_S",
    "MAX_LISTED_FILES",
    "MAX_LISTING_PAGES",
    "MAX_NAME_BYTES",
    "MAX_PATH_BYTES",
    "PAGE_TIMEOUT_S",
    "RemoteFile",
    "files_of",
    "hub_key",
    "safe_name",
]

MAX_LISTING_PAGES = 200
"""Maximum pages of one listing; the hub lists 1,000 files per page."""
MAX_LISTED_FILES = 200_000
"""Maximum files and folders of one listing."""
PAGE_TIMEOUT_S = 60.0
"""Maximum seconds for one page."""
LISTING_TIMEOUT_S = 600.0
"""Maximum seconds for all pages together."""
MAX_NAME_BYTES = 240
"""Maximum bytes of a file's or folder's name; file systems allow 255, and a download adds an ending."""
MAX_PATH_BYTES = 1024
"""Maximum bytes of a file's path in its data set."""

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class RemoteFile:
    """A file to download."""

    url: str
    name: str
    """Path in the cache, relative to the data set's folder."""
    sha256: str = ""
    """SHA-256 of the file; empty if not known."""
    n_bytes: int | None = None


def files_of(source: Source) -> list[RemoteFile]:
    """Return the files of a data set; for the hub, the files in its folder with its ending.

    Raises:
        DataError: The listing has the wrong format, is too long, leads to another origin, has no such file, or a file
            name cannot be used here.
        ArgumentError: `HF_ENDPOINT` is not an address, or `HF_TOKEN` is not a valid key.
        NetworkError: The hub cannot be reached or refuses.
    """
    if source.url:
        name = urllib.parse.unquote_plus(urllib.parse.urlsplit(source.url).path.rpartition("/")[2])
        return [RemoteFile(source.url, safe_name(name.replace(" ", "_"), source.url), source.sha256)]
    endpoint = _endpoint()
    found = [
        _remote(f"{endpoint}/datasets/{source.hub_id}/resolve/main", endpoint, entry)
        for entry in _listing(endpoint, source)
        if entry["type"] == "file" and entry["path"].endswith(source.ending)
    ]
    if not found:
        wanted = f"file that ends in {source.ending}" if source.ending else "file"
        raise DataError(f"{public_url(endpoint)}: {source.hub_id} has no {wanted}")
    return found


def hub_key() -> tuple[str | None, str]:
    """Return the hub's token (None if there is none) and the only origin that may receive it."""
    token = os.environ.get("HF_TOKEN", "")
    return checked_key(token, name="HF_TOKEN") if token.strip() else None, origin(_endpoint())


def safe_name(path: str, source: str) -> str:
    """Return a relative path from a server if it is safe to use here.

    Raises:
        DataError: The path leads out of the folder, is empty or too long, or contains control characters.
    """
    place = public_url(source)
    shown = one_line(path)
    parts = path.split("/")
    if not path or ".." in parts or path.startswith("/") or "\\" in path:
        raise DataError(f"{place}: names a file '{shown}', which is empty or points outside the data set's folder")
    if "" in parts or "." in parts:
        raise DataError(f"{place}: names a file '{shown}', expected a path without empty parts and dots")
    if printable(path) != path or "\n" in path or "\t" in path:
        raise DataError(f"{place}: names a file '{shown}', expected a name without control characters")
    if max(len(part.encode()) for part in parts) > MAX_NAME_BYTES:
        raise DataError(f"{place}: names a file '{shown}', expected names of at most {MAX_NAME_BYTES} bytes")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise DataError(f"{place}: names a file '{shown}', expected paths of at most {MAX_PATH_BYTES:,} bytes")
    return path


def _endpoint() -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"
    try:
        origin(endpoint)
    except ArgumentError as error:
        raise ArgumentError(f"HF_ENDPOINT: {error}") from None
    return endpoint


def _listing(endpoint: str, source: Source) -> list[dict[str, Any]]:
    key, key_origin = hub_key()
    page: str | None = f"{endpoint}/api/datasets/{source.hub_id}/tree/main/{source.hub_folder}?recursive=true"
    entries: list[dict[str, Any]] = []
    end = time.monotonic() + LISTING_TIMEOUT_S
    n_pages = 0
    while page is not None:
        n_pages += 1
        seconds_left = end - time.monotonic()
        if fault := _endless(n_pages, len(entries), seconds_left):
            raise DataError(f"{public_url(endpoint)}: the listing of {source.hub_id} {fault}")
        with ask(page, timeout_s=min(PAGE_TIMEOUT_S, seconds_left), key=key, key_origin=key_origin) as reply:
            place = f"{public_url(reply.url)}: the listing"
            entries += _entries(parse_json(reply.read(), place, error=DataError), place)
            page = _next_page(reply.url, reply.next_page, endpoint)
    return entries


def _endless(n_pages: int, n_files: int, seconds_left: float) -> str:
    """Return which limit a listing exceeds; empty if none."""
    if seconds_left <= 0:
        return f"takes more than {LISTING_TIMEOUT_S:g} s"
    if n_pages > MAX_LISTING_PAGES:
        return f"has more than {MAX_LISTING_PAGES:,} pages"
    return f"has more than {MAX_LISTED_FILES:,} files" if n_files > MAX_LISTED_FILES else ""


def _entries(value: Any, place: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise DataError(f"{place} is not a list of files")
    for number, entry in enumerate(value, start=1):
        names = (entry.get("type"), entry.get("path")) if isinstance(entry, dict) else (None, None)
        if not all(isinstance(name, str) for name in names):
            raise DataError(f"{place}: entry {number} has no type or path, expected an object with both")
    return value


def _next_page(page: str, link: str | None, endpoint: str) -> str | None:
    if link is None:
        return None
    try:
        there = urllib.parse.urljoin(page, link)
        allowed = origin(there) == origin(endpoint)
    except (ArgumentError, ValueError):
        allowed = False
    if not allowed:
        shown = one_line(public_url(link))
        raise DataError(f"{public_url(page)}: the listing goes on at '{shown}', which is not the hub's own address")
    own = urllib.parse.urlsplit(endpoint).netloc  # keep a user name and password in it
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(there)._replace(netloc=own))


def _remote(folder: str, endpoint: str, entry: dict[str, Any]) -> RemoteFile:
    name = safe_name(entry["path"], endpoint)
    large, n_bytes = entry.get("lfs") or {}, entry.get("size")
    sha256 = large.get("oid", "") if isinstance(large, dict) else None
    if not isinstance(sha256, str) or (sha256 and not _SHA256.match(sha256)):
        raise DataError(f"{public_url(endpoint)}: lists '{one_line(name)}' with a hash that is not a SHA-256")
    if n_bytes is not None and (not isinstance(n_bytes, int) or isinstance(n_bytes, bool) or n_bytes < 0):
        raise DataError(f"{public_url(endpoint)}: lists '{one_line(name)}' with a size that is not a number of bytes")
    return RemoteFile(f"{folder}/{urllib.parse.quote(str(PurePosixPath(name)))}", name, sha256, n_bytes)
