"""`data fetch` against servers that change files, break off, drip, lie in listings and lead elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bytemill import deadline, network
from bytemill.data import download, fetch, hub_listing
from bytemill.data.hub_listing import MAX_NAME_BYTES, files_of
from bytemill.data.sources import SOURCES, Source
from bytemill.errors import ArgumentError, DataError
from bytemill.network import NetworkError
from hostile_server import Exchange, HostileServer, Stopwatch, drips, endless, head, redirects, replies, sends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, NEW = b"o" * 100, b"n" * 100
TOKEN = "hf_token_that_nobody_may_see"


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as found:
        yield found


@pytest.fixture
def other() -> Iterator[HostileServer]:
    with HostileServer(replies(OLD)) as found:
        yield found


@pytest.fixture(autouse=True)
def _named(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setitem(SOURCES, "one", Source("a file", "none", url=f"{server.url}/f.txt"))
    sha256 = hashlib.sha256(NEW).hexdigest()
    monkeypatch.setitem(SOURCES, "hashed", Source("a file", "none", url=f"{server.url}/f.txt", sha256=sha256))
    monkeypatch.setitem(SOURCES, "hub", Source("files", "none", hub_id="some/data", ending=".txt"))


def list_files(server: HostileServer, *entries: dict[str, Any], **headers: object) -> None:
    body = json.dumps([{"type": "file", **entry} for entry in entries]).encode()
    server.on("/api/datasets/some/data/tree/main/", replies(body, headers=headers))


def breaks_off(content: bytes, at: int, **headers: object) -> Callable[[Exchange], object]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return sends(head(200, {"Content-Length": len(content), **names}) + content[:at])


def rest(
    content: bytes, first: int, total: object = None, status: int = 206, **headers: object
) -> Callable[[Exchange], object]:
    said = f"bytes {first}-{len(content) - 1}/{len(content) if total is None else total}"
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return replies(content[first:], status, {"Content-Range": said, **names})


def fetched(name: str, cache: Path) -> bytes:
    folder = fetch(name, cache=cache)
    (path,) = folder.iterdir()  # no .part is left
    return path.read_bytes()


def test_a_file_that_is_the_same_is_resumed(server: HostileServer, tmp_path: Path) -> None:
    server.on("/f.txt", breaks_off(OLD, 40, ETag='"v1"'), rest(OLD, 40, ETag='"v1"'))
    with pytest.raises(OSError, match="at byte 40 of 100; run again to continue from there"):
        fetch("one", cache=tmp_path)
    assert fetched("one", tmp_path) == OLD
    assert server.headers_of("Range") == [None, "bytes=40-"]
    assert server.headers_of("If-Range") == [None, '"v1"']


@pytest.mark.parametrize("before", [{"ETag": '"v1"'}, {"Last_Modified": "Mon, 30 Nov 2026 10:00:00 GMT"}])
def test_a_file_that_changed_is_never_joined(server: HostileServer, tmp_path: Path, before: dict[str, str]) -> None:
    server.on("/f.txt", breaks_off(OLD, 40, **before), replies(NEW))  # the whole, as If-Range says
    with pytest.raises(NetworkError):
        fetch("one", cache=tmp_path)
    assert fetched("one", tmp_path) == NEW
    assert server.headers_of("If-Range")[1] == next(iter(before.values()))


@pytest.mark.parametrize(
    "second",
    [
        rest(NEW, 40, ETag='"v2"'),  # of another version, whatever If-Range says
        rest(NEW, 0),  # from the beginning, as a part
        rest(NEW, 41),
        rest(NEW + b"n", 40),  # of another size
        replies(NEW[40:], 206),  # without Content-Range
        replies(NEW[40:], 206, {"Content-Range": "bytes forty-99/100"}),
        replies(NEW[40:], 206, {"Content-Range": "bytes 40-80/100"}),
        replies(b"", 416, {"Content-Range": "bytes */40"}),  # nothing more, though there is
        replies(b"", 416),
    ],
)
def test_whatever_does_not_continue_a_part_starts_it_again(
    server: HostileServer, tmp_path: Path, second: Callable[[Exchange], object]
) -> None:
    server.on("/f.txt", breaks_off(OLD, 40, ETag='"v1"'), second, replies(NEW))
    with pytest.raises(NetworkError):
        fetch("one", cache=tmp_path)
    assert fetched("one", tmp_path) == NEW
    assert server.headers_of("Range") == [None, "bytes=40-", None]


@pytest.mark.parametrize("tag", [{}, {"ETag": 'W/"v1"'}])
def test_a_part_of_an_unknown_version_starts_again(server: HostileServer, tmp_path: Path, tag: dict[str, str]) -> None:
    server.on("/f.txt", breaks_off(OLD, 40, **tag), replies(NEW))
    with pytest.raises(NetworkError):
        fetch("one", cache=tmp_path)
    assert fetched("one", tmp_path) == NEW
    assert server.headers_of("Range") == [None, None]


def test_a_part_of_another_address_starts_again(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("/f.txt", breaks_off(OLD, 40, ETag='"v1"'))
    with pytest.raises(NetworkError):
        fetch("one", cache=tmp_path)
    monkeypatch.setitem(SOURCES, "one", Source("a file", "none", url=f"{server.url}/new/f.txt"))
    server.on("/new/f.txt", replies(NEW))
    assert fetched("one", tmp_path) == NEW


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"url": 1}', b"[" * 1000, b'{"url": "", "validator": "a\\nb"}'])
def test_a_damaged_note_next_to_a_part_starts_it_again(server: HostileServer, tmp_path: Path, note: bytes) -> None:
    server.on("/f.txt", replies(NEW))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "f.txt.part").write_bytes(OLD[:40])
    (tmp_path / "one" / "f.txt.part.json").write_bytes(note)
    assert fetched("one", tmp_path) == NEW


def test_a_known_hash_decides_whether_a_part_was_of_the_file(server: HostileServer, tmp_path: Path) -> None:
    (tmp_path / "hashed").mkdir()
    (tmp_path / "hashed" / "f.txt.part").write_bytes(OLD[:40])
    server.on("/f.txt", rest(NEW, 40), replies(NEW))
    assert fetched("hashed", tmp_path) == NEW
    assert server.headers_of("Range") == ["bytes=40-", None]


def test_a_file_of_another_hash_is_deleted_with_its_note(server: HostileServer, tmp_path: Path) -> None:
    server.on("/f.txt", replies(OLD, headers={"ETag": '"v1"'}))
    with pytest.raises(DataError, match=r"SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}; the downloaded file was"):
        fetch("hashed", cache=tmp_path)
    assert list((tmp_path / "hashed").iterdir()) == []


def test_a_part_that_was_not_asked_for_is_refused(server: HostileServer, tmp_path: Path) -> None:
    server.on("/f.txt", rest(OLD, 0))
    with pytest.raises(NetworkError, match="it sent only part of the file, although all of it was requested"):
        fetch("one", cache=tmp_path)


def test_two_downloads_of_one_name_end_well(server: HostileServer, tmp_path: Path) -> None:
    def slow(exchange: Exchange) -> None:
        exchange.send(head(200, {"Content-Length": 100}) + OLD[:50])
        exchange.server.closing.wait(0.5)
        exchange.send(OLD[50:])

    server.on("/f.txt", slow)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(fetched("one", tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [OLD] * 4
    assert len(server.asked) == 1


@pytest.mark.parametrize("first", [head(200, {"Content-Length": 1_000}), b"HTTP/1.1 200 As Tested\r\nX: ", b""])
def test_a_download_that_drips_ends_and_is_kept(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(download, "STALL_TIMEOUT_S", 1.0)
    server.on("/f.txt", drips(first))
    with Stopwatch(), pytest.raises(NetworkError, match="less than 64 KiB arrived within 1 s"):
        fetch("one", cache=tmp_path)


def test_a_slow_download_that_gets_on_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    watched, fixed = deadline.Deadline(60, extended_by=100), deadline.Deadline(60)
    for clock[0], n_bytes, left in ((30.0, 99, 30), (40.0, 100, 60), (90.0, 199, 10), (95.0, 200, 60), (99.0, 200, 56)):
        watched.note_progress(n_bytes)
        fixed.note_progress(n_bytes)
        assert watched.seconds_left() == left
    assert fixed.seconds_left() < 0.01  # and one of a whole request is never extended


def test_a_body_without_end_is_left_at_the_size_that_is_known(server: HostileServer, tmp_path: Path) -> None:
    list_files(server, {"path": "a.txt", "size": 1_000_000})
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    server.on("/datasets/some/data/resolve/main/a.txt", endless(head(200, {"Transfer-Encoding": "chunked"}), chunk))
    with Stopwatch(), pytest.raises(NetworkError, match="its reply is longer than 1,000,000 bytes"):
        fetch("hub", cache=tmp_path)
    assert max(path.stat().st_size for path in (tmp_path / "hub").iterdir()) <= 1_000_000


def test_a_body_without_end_of_unknown_size_is_left_at_a_limit(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES_OF_UNKNOWN_SIZE", 1_000_000)
    server.on("/f.txt", endless(head(200)))
    with Stopwatch(), pytest.raises(NetworkError, match="its reply is longer than 1,000,000 bytes"):
        fetch("one", cache=tmp_path)
    server.on("/f.txt", sends(head(200) + b"x" * 1_000_000))
    assert fetched("one", tmp_path) == b"x" * 1_000_000


def test_another_size_than_the_listing_s_is_refused(server: HostileServer, tmp_path: Path) -> None:
    list_files(server, {"path": "a.txt", "size": 99})
    server.on("/datasets/some/data/resolve/main/a.txt", replies(OLD))
    with pytest.raises(NetworkError, match="it sends a file of 100 bytes, the listing says 99"):
        fetch("hub", cache=tmp_path)


def test_a_chunked_body_cut_short_is_resumed(server: HostileServer, tmp_path: Path) -> None:
    first = head(200, {"Transfer-Encoding": "chunked", "ETag": '"v1"'}) + b"28\r\n" + OLD[:40] + b"\r\n3c\r\n"
    server.on("/f.txt", sends(first), rest(OLD, 40, ETag='"v1"'))
    with pytest.raises(NetworkError, match=r"the connection broke: .*at byte 40; run again to continue from there"):
        fetch("one", cache=tmp_path)
    assert fetched("one", tmp_path) == OLD


@pytest.mark.parametrize("length", ["abc", "-1", "100, 99"])
def test_a_length_that_is_no_number_is_one_sentence(server: HostileServer, tmp_path: Path, length: str) -> None:
    server.on("/f.txt", sends(head(200, {"Content-Length": length}) + OLD))
    with pytest.raises(NetworkError, match=rf"^{server.url}/f\.txt: the connection broke: [^\n]*$"):
        fetch("one", cache=tmp_path)


def test_a_refusal_is_one_sentence(server: HostileServer, tmp_path: Path) -> None:
    server.on("/f.txt", replies(b"\x1b[2Jgone\nfor good", 404))
    with pytest.raises(NetworkError, match=rf"^{server.url}/f\.txt: it answers 404 As Tested: \\x1b\[2Jgone for good$"):
        fetch("one", cache=tmp_path)


def test_the_token_goes_to_the_hub_and_not_where_it_redirects(
    server: HostileServer, other: HostileServer, tmp_path: Path
) -> None:
    list_files(server, {"path": "a.txt", "size": 100})
    server.on("/datasets/some/data/resolve/main/a.txt", redirects(f"{other.url}/cdn/a.txt"))
    assert fetched("hub", tmp_path) == OLD
    assert server.headers_of("Authorization") == [f"Bearer {TOKEN}"] * 2
    assert other.headers_of("Authorization") == [None]


def test_the_token_does_not_come_back_from_elsewhere(
    server: HostileServer, other: HostileServer, tmp_path: Path
) -> None:
    list_files(server, {"path": "a.txt", "size": 100})
    server.on("/datasets/some/data/resolve/main/a.txt", redirects(f"{other.url}/a.txt"))
    other.on("/a.txt", redirects(f"{server.url}/back"))
    server.on("/back", replies(OLD))
    assert fetched("hub", tmp_path) == OLD
    assert server.headers_of("Authorization")[-1] is None


def test_the_token_does_not_go_to_an_address_that_begins_like_the_hub_s(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for endpoint in (server.url[:-1], "http://127.0.0.1", server.url.replace("http:", "https:")):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        server.on("/f.txt", replies(OLD))
        fetch("one", cache=tmp_path / hashlib.sha256(endpoint.encode()).hexdigest())
    assert server.headers_of("Authorization") == [None] * 3


def test_a_redirect_from_https_to_http_is_refused() -> None:
    reply = httpx.Response(302, headers={"Location": "http://cdn/a.txt"}, request=httpx.Request("GET", "https://hub/a"))
    asked = network._Request("https://hub/a", None, TOKEN, "https://hub:443", frozenset({TOKEN}))
    with pytest.raises(NetworkError, match=r"it redirects from https to http://cdn/a\.txt, which is not encrypted"):
        network._redirected(asked, reply, across_origins=True)
    reply.headers["Location"] = "https://hub:444/a.txt"  # another port is another origin
    assert network._redirected(asked, reply, across_origins=True).authorization() == {}
    reply.headers["Location"] = "https://HUB:443/b"
    assert network._redirected(asked, reply, across_origins=False).authorization() == asked.authorization() != {}


@pytest.mark.parametrize(
    "link",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "{other}/api/datasets/x",
        "//{other_host}/x",
        "http://{host}@{other_host}/x",
        "http://{host}.evil.invalid/x",
        "https://{host}/x",
        "http://[",
    ],
)
def test_a_next_page_elsewhere_is_not_asked(
    server: HostileServer, other: HostileServer, tmp_path: Path, link: str
) -> None:
    host, other_host = (one.url.removeprefix("http://") for one in (server, other))
    there = link.format(host=host, other=other.url, other_host=other_host)
    list_files(server, {"path": "a.txt"}, Link=f'<{there}>; rel="next"')
    with pytest.raises(DataError, match=r"the listing goes on at '.*', which is not the hub's own address"):
        fetch("hub", cache=tmp_path)
    assert other.asked == []
    assert len(server.asked) == 1


def test_pages_without_end_are_left_at_a_limit(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_listing, "MAX_LISTING_PAGES", 3)
    list_files(server, {"path": "a.txt"}, Link='<?cursor=1>; rel="next"')
    with pytest.raises(DataError, match=r"the listing of some/data has more than 3 pages"):
        fetch("hub", cache=tmp_path)
    assert len(server.asked) == 3


def test_files_and_seconds_of_a_listing_are_limited(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_files(server, {"path": "a.txt"}, {"path": "b.txt"}, Link='<?cursor=1>; rel="next"')
    with monkeypatch.context() as patch:
        patch.setattr(hub_listing, "MAX_LISTED_FILES", 5)
        with pytest.raises(DataError, match=r"the listing of some/data has more than 5 files"):
            fetch("hub", cache=tmp_path)
    assert len(server.asked) == 3
    monkeypatch.setattr(hub_listing, "LISTING_TIMEOUT_S", 1.0)
    pause = threading.Event()

    def slow(exchange: Exchange) -> None:
        pause.wait(0.4)
        replies(b"[]", headers={"Link": '<?cursor=1>; rel="next"'})(exchange)

    server.on("/api/datasets/some/data/tree/main/", slow)
    late = pytest.raises((DataError, NetworkError), match=r"takes more than 1 s|no complete answer within")
    with Stopwatch(), late:
        fetch("hub", cache=tmp_path)


def test_pages_up_to_the_limit_are_read(server: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_listing, "MAX_LISTING_PAGES", 3)
    entry = json.dumps([{"type": "file", "path": "a.txt"}]).encode()
    page = replies(entry, headers={"Link": '<?cursor=1>; rel="next"'})
    server.on("/api/datasets/some/data/tree/main/", page, page, replies(entry))
    assert len(files_of(SOURCES["hub"])) == 3


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{}", "the listing is not a list of files"),
        (b"7", "the listing is not a list of files"),
        (b'"a"', "the listing is not a list of files"),
        (b"null", "the listing is not a list of files"),
        (b"[7]", "the listing: entry 1 has no type or path"),
        (b'[{"type": "file"}]', "the listing: entry 1 has no type or path"),
        (b'[{"path": "a.txt"}]', "the listing: entry 1 has no type or path"),
        (b'[{"type": "file", "path": ["a.txt"]}]', "the listing: entry 1 has no type or path"),
        (b'[{"type": "file", "path": "a.txt", "lfs": 7}]', "lists 'a.txt' with a hash that is not a SHA-256"),
        (b'[{"type": "file", "path": "a.txt", "lfs": {"oid": "x"}}]', "with a hash that is not a SHA-256"),
        (b'[{"type": "file", "path": "a.txt", "size": "big"}]', "with a size that is not a number of bytes"),
        (b'[{"type": "file", "path": "a.txt", "size": -1}]', "with a size that is not a number of bytes"),
        (b"<html>", "the listing: not JSON in UTF-8"),
        (b"[" * 100_000, "the listing: its JSON is nested more than 100 levels deep"),
        (b"\xff", "the listing: not JSON in UTF-8"),
        (b"[]", r"some/data has no file that ends in \.txt"),
    ],
)
def test_a_listing_of_another_form_is_one_sentence(
    server: HostileServer, tmp_path: Path, body: bytes, sentence: str
) -> None:
    server.on("/api/datasets/some/data/tree/main/", replies(body))
    with pytest.raises(DataError, match=rf"^{server.url}[^\n]*{sentence}[^\n]*$"):
        fetch("hub", cache=tmp_path)


NAMES = [
    "",
    ".",
    "..",
    "a/..",
    "../a",
    "/a",
    "a//b",
    "a/./b",
    "a\\b",
    "a\0b",
    "\x1b[31ma",
    "a\nb",
    "\ud800",
    "é" * 121,
    "/".join("a" * 600),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_listed_name_that_cannot_be_used_is_one_sentence(server: HostileServer, tmp_path: Path, name: str) -> None:
    list_files(server, {"path": f"{name}/x.txt" if name else ""})
    with pytest.raises(DataError, match=rf"^{server.url}: names a file '[ -~é…]*', (which|expected) [^\n]*$"):
        files_of(Source("files", "none", hub_id="some/data"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "%2e%2e", "%2Fetc%2Fpasswd", "a%00b", "%1B%5B31m", "x" * 241])
def test_a_name_in_an_address_that_cannot_be_used_is_one_sentence(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(SOURCES, "one", Source("a file", "none", url=f"{server.url}/{name}"))
    with pytest.raises(DataError, match=r"names a file '[ -~…]*', (which|expected) [^\n]*$"):
        fetch("one", cache=tmp_path)
    assert server.asked == []


def test_a_name_of_the_longest_length_is_used(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "x" * MAX_NAME_BYTES
    monkeypatch.setitem(SOURCES, "one", Source("a file", "none", url=f"{server.url}/{name}"))
    server.on(f"/{name}", replies(OLD))
    assert fetched("one", tmp_path) == OLD


@pytest.mark.parametrize("token", ["hf_a\nbcdefgh", "hf_schlüssel", "hf_a bcdefgh"])
def test_a_token_that_no_header_carries_is_refused_and_not_shown(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ArgumentError, match="HF_TOKEN contains a blank, a control or a non-ASCII character") as no:
        fetch("hub", cache=tmp_path)
    assert token not in str(no.value)
    assert server.asked == []


def test_a_token_with_a_newline_at_its_end_is_sent_without_it(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n")
    list_files(server, {"path": "a.txt"})
    server.on("/datasets/some/data/resolve/main/a.txt", replies(OLD))
    assert fetched("hub", tmp_path) == OLD
    assert server.headers_of("Authorization") == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize("endpoint", ["huggingface.co", "file:///etc", "http://"])
def test_an_endpoint_that_is_no_address_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ArgumentError, match="HF_ENDPOINT: the address is"):
        fetch("hub", cache=tmp_path)


def test_a_link_or_pipe_where_a_part_goes_is_refused(server: HostileServer, tmp_path: Path) -> None:
    server.on("/f.txt", replies(OLD))
    (tmp_path / "one").mkdir()
    precious, part = tmp_path / "precious", tmp_path / "one" / "f.txt.part"
    precious.write_bytes(b"mine")
    part.symlink_to(precious)
    with pytest.raises(DataError, match=r"f\.txt\.part: a symbolic link, expected a regular file; remove it"):
        fetch("one", cache=tmp_path)
    part.unlink()
    os.mkfifo(part)
    with Stopwatch(), pytest.raises(DataError, match=r"f\.txt\.part: not a regular file; remove it"):
        fetch("one", cache=tmp_path)
    part.unlink()
    (tmp_path / "one" / "f.txt.part.json").symlink_to(precious)
    assert fetched("one", tmp_path) == OLD
    assert precious.read_bytes() == b"mine"
