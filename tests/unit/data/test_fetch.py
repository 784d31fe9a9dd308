"""Downloads: against a small server on 127.0.0.1 that breaks off, ignores ranges, lies about hashes, plays the hub."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bytemill.data import fetch, unpack
from bytemill.data.hub import hub_rows
from bytemill.data.hub_listing import safe_name
from bytemill.data.sources import SOURCES, Source
from bytemill.data.unpack import unpack_zip
from bytemill.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 40_000  # 10 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `breaks_at` cuts the first answer short, `ranges` False ignores what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.breaks_at: int | None = None
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        if self.path.startswith("/api/datasets/"):
            self._reply_with_listing()
            return
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        end, self.server.breaks_at = self.server.breaks_at, None
        self.wfile.write(CONTENT[first:end])

    def _reply_with_listing(self) -> None:
        second = "cursor" in self.path
        entry = {"type": "file", "path": f"data/{'b' if second else 'a'}.parquet", "lfs": {"oid": SHA256}}
        body = json.dumps([entry, {"type": "file", "path": "README.md"}, {"type": "directory", "path": "data"}])
        self.send_response(200)
        if not second:
            self.send_header("Link", f'<{self.server.url}{self.path}&cursor=2>; rel="next"')
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def named(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    source = Source(about="bytes", licence="none", url=f"{server.url}/some+data.bin", sha256=SHA256)
    monkeypatch.setitem(SOURCES, "bytes", source)
    return "bytes"


def test_a_download_is_checked_named_and_not_repeated(server: Server, named: str, tmp_path: Path) -> None:
    folder = fetch(named, cache=tmp_path)
    assert (folder / "some_data.bin").read_bytes() == CONTENT
    fetch(named, cache=tmp_path)
    assert len(server.asked) == 1
    assert [path.name for path in folder.iterdir()] == ["some_data.bin"]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_broke_off_is_resumed(server: Server, named: str, tmp_path: Path, ranges: bool) -> None:
    server.breaks_at, server.ranges = 4_000_000, ranges
    with pytest.raises(OSError, match="run again to continue from there"):
        fetch(named, cache=tmp_path)
    assert not (tmp_path / named / "some_data.bin").exists()
    fetch(named, cache=tmp_path)
    assert (tmp_path / named / "some_data.bin").read_bytes() == CONTENT
    assert server.asked[1][1] == "bytes=4000000-"


def test_a_part_that_is_whole_needs_only_its_name(server: Server, named: str, tmp_path: Path) -> None:
    (tmp_path / named).mkdir()
    (tmp_path / named / "some_data.bin.part").write_bytes(CONTENT)
    assert (fetch(named, cache=tmp_path) / "some_data.bin").read_bytes() == CONTENT


def test_other_content_is_refused_and_deleted(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / named).mkdir()
    (tmp_path / named / "some_data.bin.part").write_bytes(b"others" * 100)
    monkeypatch.setitem(SOURCES, named, replace(SOURCES[named], sha256="0" * 64))
    with pytest.raises(DataError, match=r"SHA-256 is [0-9a-f]{64}, expected"):
        fetch(named, cache=tmp_path)
    assert list((tmp_path / named).iterdir()) == []


def test_the_hub_is_asked_where_hf_endpoint_says(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    source = Source(about="two files", licence="none", hub_id="some/data", hub_folder="data", ending=".parquet")
    monkeypatch.setitem(SOURCES, "hub", source)
    folder = fetch("hub", cache=tmp_path)
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["a.parquet", "b.parquet"]
    assert server.asked[0][0] == "/api/datasets/some/data/tree/main/data?recursive=true"


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def archive(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    content = zipped({"SMSSpamCollection": b"ham\thi\n" * 1000, "readme": b"read me"})
    monkeypatch.setitem(globals(), "CONTENT", content)
    monkeypatch.setitem(
        SOURCES,
        "archive",
        Source(about="a .zip", licence="none", url=f"{server.url}/some+data.zip", unpacked="SMSSpamCollection"),
    )
    return "archive"


def test_an_archive_is_unpacked_next_to_itself(server: Server, archive: str, tmp_path: Path) -> None:
    folder = fetch(archive, cache=tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["SMSSpamCollection", "readme", "some_data.zip"]
    assert (folder / "SMSSpamCollection").read_bytes() == b"ham\thi\n" * 1000
    (folder / "readme").unlink()
    (folder / "SMSSpamCollection").write_bytes(b"mine")
    fetch(archive, cache=tmp_path)
    assert (folder / "readme").read_bytes() == b"read me"
    assert (folder / "SMSSpamCollection").read_bytes() == b"mine"
    assert len(server.asked) == 1


def test_the_file_of_a_data_set_is_also_written_to_a_path(named: str, archive: str, tmp_path: Path) -> None:
    output = tmp_path / "messages.txt"
    assert fetch(archive, cache=tmp_path, output=output) == output
    assert output.read_bytes() == b"ham\thi\n" * 1000


def test_a_file_downloaded_by_other_means_needs_no_network(
    server: Server, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").write_bytes(CONTENT)
    folder = fetch(named, cache=tmp_path, from_file=tmp_path / "mine", output=tmp_path / "book.txt")
    assert folder.read_bytes() == CONTENT == (tmp_path / named / "some_data.bin").read_bytes()
    (tmp_path / "other").write_bytes(CONTENT[1:])
    with pytest.raises(DataError, match=r"other: SHA-256 is [0-9a-f]{64}, but the file at http"):
        fetch(named, cache=tmp_path, from_file=tmp_path / "other")
    assert (tmp_path / named / "some_data.bin").read_bytes() == CONTENT
    assert not server.asked
    monkeypatch.setitem(SOURCES, "hub", Source(about="two files", licence="none", hub_id="some/data"))
    for option in ("from_file", "output"):
        with pytest.raises(ArgumentError, match=f"{option} is for data sets of one file; hub has several"):
            fetch("hub", cache=tmp_path, **{option: tmp_path / "mine"})


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", "..", "a.zip", "a\nb"])
def test_an_archive_whose_names_lead_elsewhere_is_not_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"good": b"good", name: b"bad"}))
    with pytest.raises(DataError, match="which is not a plain file name; nothing was unpacked"):
        unpack_zip(tmp_path / "a.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_an_archive_up_to_the_limits_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"a": b"12345", "b": b"67890"}))
    for files, n_bytes in ((1, 10), (2, 9)):
        monkeypatch.setattr(unpack, "MAX_FILES", files)
        monkeypatch.setattr(unpack, "MAX_BYTES", n_bytes)
        with pytest.raises(DataError, match=f"holds more than {files} files or {n_bytes} bytes"):
            unpack_zip(tmp_path / "a.zip")
    monkeypatch.setattr(unpack, "MAX_BYTES", 10)
    assert [path.name for path in unpack_zip(tmp_path / "a.zip")] == ["a", "b"]


@pytest.mark.parametrize("place", [10, 40, -10])
def test_a_damaged_archive_leaves_no_damaged_file(tmp_path: Path, place: int) -> None:
    content = bytearray(zipped({"a": b"12345" * 100}))
    content[place] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content[:-1] if place < 0 else content)
    try:
        unpack_zip(tmp_path / "a.zip")
    except DataError as error:
        assert "a.zip: incomplete or damaged .zip" in str(error)  # noqa: PT017 - damage to a date changes nothing
        assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    else:
        assert (tmp_path / "a").read_bytes() == b"12345" * 100


def test_a_data_set_s_own_code_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def old(path: str, name: str | None = None, *, split: str, streaming: bool, trust_remote_code: bool = True) -> list:
        asked.append({"trust_remote_code": trust_remote_code})
        return [{"text": "a"}]

    def new(path: str, name: str | None = None, *, split: str, streaming: bool, **more: object) -> list:
        asked.append(more)
        return [{"text": "a"}]

    for load in (old, new):
        monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))
        assert list(hub_rows("hf:some/data")) == [{"text": "a"}]
    assert asked == [{"trust_remote_code": False}, {}]


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ArgumentError, match=r"'x', expected one of alpaca, .*tinyshakespeare"):
        fetch("x")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\\..\\x", ""])
def test_a_listed_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="which is empty or points outside the data set"):
        safe_name(path, "https://hub")


def test_every_source_names_licence_and_place() -> None:
    for name, source in SOURCES.items():
        assert source.licence, name
        assert source.about, name
        assert bool(source.url) != bool(source.hub_id), name
