"""The judge against servers that redirect, stream without end, drip, and break HTTP or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bytemill.errors import ArgumentError, ServiceError
from bytemill.evaluate.judge import Judge
from bytemill.network import MAX_REDIRECTS, MAX_REPLY_BYTES
from hostile_server import HostileServer, Stopwatch, drips, endless, head, redirects, replies, sends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = json.dumps({"message": {"content": "70"}}).encode()
KEY = "KEY-that-nobody-may-see"


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as found:
        yield found


@pytest.fixture
def other() -> Iterator[HostileServer]:
    with HostileServer(replies(GOOD)) as found:
        yield found


def ask(url: str, **settings: Any) -> str:
    return Judge(url, "m", **({"timeout_s": 30.0, "tries": 1, "first_wait_s": 0.0} | settings)).ask("Score?")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_key_is_not_sent_to_another_origin(server: HostileServer, other: HostileServer, status: int) -> None:
    server.on("/api/chat", redirects(f"{other.url}/steal?key=1", status))
    with pytest.raises(ServiceError) as failed:
        ask(server.url, api_key=KEY, tries=3)
    assert other.asked == []
    assert len(server.asked) == 1  # asking again would not help
    if status != 303:
        assert f"it redirects to {other.url}/steal?key=…, another origin, where nothing was sent" in str(failed.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_in_one_origin_keeps_question_and_key(server: HostileServer, status: int) -> None:
    server.on("/api/chat", redirects("/v2/chat", status))
    server.on("/v2/chat", replies(GOOD))
    assert ask(server.url, api_key=KEY) == "70"
    assert server.headers_of("Authorization") == [f"Bearer {KEY}"] * 2
    assert [exchange.method for exchange in server.asked] == ["POST", "POST"]
    assert server.asked[0].body == server.asked[1].body


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "http://a:b/"])
def test_a_redirect_to_what_is_not_http_is_refused(server: HostileServer, to: str) -> None:
    server.on("/api/chat", redirects(to))
    with pytest.raises(
        ServiceError, match=r"it redirects to '.*', which is not an http|Invalid URL in location header"
    ):
        ask(server.url)


def test_redirects_in_a_circle_end(server: HostileServer) -> None:
    server.on("/api/chat", redirects("/api/chat"))
    with pytest.raises(ServiceError, match=f"it redirects more than {MAX_REDIRECTS} times"):
        ask(server.url)
    assert len(server.asked) == MAX_REDIRECTS + 1


def test_redirects_up_to_the_limit_are_followed(server: HostileServer) -> None:
    server.on("/api/chat", *[redirects("/api/chat")] * MAX_REDIRECTS, replies(GOOD))
    assert ask(server.url) == "70"


def test_a_redirect_without_a_place_is_one_sentence(server: HostileServer) -> None:
    server.on("/api/chat", replies(b"", 302))
    with pytest.raises(ServiceError, match="it answers 302 As Tested, which leads to no reply"):
        ask(server.url)


@pytest.mark.parametrize(
    "first",
    [
        head(200, {"Content-Length": 1_000_000}),  # in the body
        head(200, {"Transfer-Encoding": "chunked"}) + b"fffff\r\n",
        head(200),  # a body that ends with the connection
        b"HTTP/1.1 200 As Tested\r\nX-Long: ",  # in a header
        b"",  # in the status line
        head(503),  # in the text of a refusal
    ],
)
def test_a_byte_now_and_then_does_not_extend_the_deadline(server: HostileServer, first: bytes) -> None:
    server.on("/api/chat", drips(first, letter=b"1"))
    with Stopwatch(), pytest.raises(ServiceError, match=r"no complete answer within 1 s|it answers 503"):
        ask(server.url, timeout_s=1.0)


def test_interim_replies_without_end_do_not_extend_the_deadline(server: HostileServer) -> None:
    server.on("/api/chat", endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"))
    with Stopwatch(), pytest.raises(ServiceError, match="no complete answer within 1 s"):
        ask(server.url, timeout_s=1.0)


def test_a_deadline_holds_for_all_redirects_together(server: HostileServer) -> None:
    def slow(exchange: Any) -> None:
        exchange.server.closing.wait(0.6)
        redirects("/api/chat")(exchange)

    server.on("/api/chat", slow)
    with Stopwatch(), pytest.raises(ServiceError, match="no complete answer within 1 s"):
        ask(server.url, timeout_s=1.0)


@pytest.mark.parametrize("length", [{}, {"Content-Length": 10**12}, {"Transfer-Encoding": "chunked"}])
def test_a_reply_without_end_is_left_at_the_limit(server: HostileServer, length: dict[str, object]) -> None:
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n" if "Transfer-Encoding" in length else b"x" * 65_536
    server.on("/api/chat", endless(head(200, length), piece))
    with pytest.raises(ServiceError, match=rf"its reply is longer than {MAX_REPLY_BYTES:,} bytes$"):
        ask(server.url, tries=3, timeout_s=60)
    assert len(server.asked) == 1


def test_a_reply_of_the_limit_is_read(server: HostileServer) -> None:
    server.on("/api/chat", replies(GOOD + b" " * (MAX_REPLY_BYTES - len(GOOD))))
    assert ask(server.url, timeout_s=60) == "70"


def test_a_packed_reply_is_not_unpacked(server: HostileServer) -> None:
    server.on("/api/chat", replies(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(ServiceError, match=r"it compresses its reply \(gzip\), which was not requested"):
        ask(server.url)
    assert server.headers_of("Accept-Encoding") == ["identity"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (head(200, {"Content-Length": "abc"}) + b"{}", "the connection broke: .*Content-Length"),
        (head(200, {"Content-Length": "9" * 5000}) + b"{}", "the connection broke|breaks HTTP's rules"),
        (head(200, {"Content-Length": -1}) + b"{}", "the connection broke: .*Content-Length"),
        (head(200, {"Content-Length": 100}) + GOOD[:20], "the connection broke: .*complete message body"),
        (head(200, {"Transfer-Encoding": "chunked"}) + b"5\r\n{", "the connection broke: .*complete message body"),
        (head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n{}", "the connection broke: "),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the connection broke: "),
        (b"", "the connection broke: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "the connection broke: "),
    ],
)
def test_broken_http_is_one_sentence(server: HostileServer, data: bytes, sentence: str) -> None:
    server.on("/api/chat", sends(data))
    with Stopwatch(), pytest.raises(ServiceError, match=rf"^{server.url}/api/chat: {sentence}[^\n]*$"):
        ask(server.url)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"[" * 200_000, "its reply: its JSON is nested more than 100 levels deep"),
        (b'{"message":' * 5_000 + b"1" + b"}" * 5_000, "its reply: its JSON is nested more than 100 levels deep"),
        (b"7", r"its reply has no text in message\.content: 7"),
        (b"null", r"its reply has no text in message\.content: null"),
        (b'"message"', r"its reply has no text in message\.content"),
        (b'{"message": {"content": ["70"]}}', r"its reply has no text in message\.content"),
        (b"\xff{}", "its reply: not JSON in UTF-8: byte 0xff"),
        (b"9" * 10_000, "its reply: line 1 of its JSON has an integer of more than 4,300 digits"),
    ],
)
def test_json_that_is_no_reply_is_one_sentence(server: HostileServer, body: bytes, sentence: str) -> None:
    server.on("/api/chat", replies(body))
    with pytest.raises(ServiceError, match=rf"^{server.url}/api/chat: {sentence}[^\n]*$"):
        ask(server.url)


def test_what_a_server_says_is_shown_without_control_characters(server: HostileServer) -> None:
    server.on("/api/chat", replies(b"\x1b[31mno\x1b]0;owned\x07\r\n  second line " + KEY.encode(), 403))
    with pytest.raises(ServiceError) as failed:
        ask(server.url, api_key=KEY)
    assert str(failed.value).endswith(r"it answers 403 As Tested: \x1b[31mno\x1b]0;owned\x07 second line …")


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX-Evil: 1", "schlüssel", "a bc", "a\x00b", " \n"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(server: HostileServer, key: str) -> None:
    with pytest.raises(ArgumentError, match="the judge's key") as failed:
        ask(server.url, api_key=key)
    assert not key.strip() or key.strip() not in str(failed.value)
    assert server.asked == []


def test_a_key_is_stripped(server: HostileServer) -> None:
    server.on("/api/chat", replies(GOOD))
    assert ask(server.url, api_key=f" {KEY}\n") == "70"
    assert server.headers_of("Authorization") == [f"Bearer {KEY}"]
    assert KEY not in repr(Judge(server.url, "m", api_key=KEY))


def test_a_password_in_the_address_is_sent_and_not_shown(server: HostileServer) -> None:
    url = server.url.replace("//", "//me:PASSWORD%21@") + "/?key=K123"
    server.on("/api/chat", replies(b"no", 404))
    with pytest.raises(ServiceError) as failed:
        ask(url)
    assert str(failed.value) == f"{server.url}/api/chat?key=…: it answers 404 As Tested: no"
    assert server.asked[0].path == "/api/chat?key=K123"
    assert server.headers_of("Authorization") == ["Basic bWU6UEFTU1dPUkQh"]
    judge = Judge(url, "m")
    assert "PASSWORD" not in f"{judge!r}{judge.endpoint}"
    assert "K123" not in f"{judge!r}{judge.endpoint}"
    with pytest.raises(ArgumentError, match="contains a user name or password, and a key is given too"):
        Judge(url, "m", api_key=KEY)


PACKED = "bWU6UEFTU1dPUkQh"
"""me:PASSWORD! as Basic authorization sends it."""
SENT = ("PASSWORD!", "PASSWORD%21", PACKED, "QUERY VALUE", "QUERY+VALUE", "QUERY%20VALUE")
"""The password and the query's value, in the spellings that a server may repeat."""


@pytest.mark.parametrize(
    "answer",
    [
        replies(json.dumps({"error": f"Authorization: Basic {PACKED}\r\n{' '.join(SENT)}"}).encode(), 401),
        replies(json.dumps({"echo": SENT}).encode()),
        redirects(f"/{PACKED}?", 303),
        redirects(f"http://{PACKED}.example.org/PASSWORD%21", 307),
        redirects(f"file:///{PACKED}", 307),
        sends(f"HTTP/1.1 403 Not with {' '.join(SENT)}\r\nContent-Length: 0\r\n\r\n".encode()),
        sends(f"POST /api/chat?k=QUERY+VALUE {PACKED}\r\n\r\n".encode()),
        sends(head(b"200 OK", {"Content-Encoding": PACKED})),
    ],
)
def test_secrets_that_a_server_repeats_are_not_shown(server: HostileServer, answer: Any) -> None:
    server.on("/api/chat", answer)
    with pytest.raises(ServiceError) as failed:
        ask(server.url.replace("//", "//me:PASSWORD%21@") + "/?k=QUERY+VALUE")
    assert server.headers_of("Authorization") == [f"Basic {PACKED}"]
    assert not [secret for secret in SENT if secret in str(failed.value)], str(failed.value)


def test_secrets_that_a_reply_repeats_are_not_kept(server: HostileServer) -> None:
    server.on("/api/chat", replies(json.dumps({"message": {"content": f"70, says {KEY}"}}).encode()))
    assert ask(server.url, api_key=KEY) == "70, says …"


@pytest.mark.parametrize(
    "url", ["localhost:11434", "ftp://h/", "http://", "http://h:port/", "http://u:a/b@h/", "http:// h"]
)
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError, match="expected http:// or https:// and a host") as failed:
        Judge(url, "m")
    assert "u:a" not in str(failed.value)


def test_a_proxy_of_the_environment_is_used(
    server: HostileServer, other: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", other.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert ask("http://judge.invalid", api_key=KEY) == "70"
    assert other.asked[0].path == "http://judge.invalid/api/chat"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.on("/api/chat", replies(GOOD))
    assert ask(server.url) == "70"
    assert len(other.asked) == 1


def test_a_proxy_that_drips_does_not_extend_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    late = pytest.raises(ServiceError, match="no complete answer within 1 s")
    with HostileServer(drips(head(200))) as proxy, Stopwatch(), late:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        ask("http://judge.invalid", timeout_s=1.0)


@pytest.mark.parametrize(
    ("proxy", "sentence"),
    [
        (
            "ftp://user:PASSWORD@127.0.0.1:1",
            "the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not the address of one",
        ),
        ("http://user:PASSWORD@127.0.0.1:port", "the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not the address"),
    ],
)
def test_a_proxy_that_cannot_work_is_one_sentence(proxy: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(ServiceError, match=sentence) as failed:
        ask("http://judge.invalid")
    assert "PASSWORD" not in str(failed.value)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for name in ("none.pem", "missing.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
        with pytest.raises(ServiceError, match=r"the certificates that SSL_CERT_FILE.* cannot be read"):
            ask("https://127.0.0.1:9")


def test_a_handshake_that_drips_does_not_extend_the_deadline() -> None:
    record_of_16_kib = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"
    late = pytest.raises(ServiceError, match="no complete answer within 1 s")
    with HostileServer(at_connect=drips(record_of_16_kib)) as server, Stopwatch(), late:
        ask(server.url.replace("http:", "https:"), timeout_s=1.0)


def test_a_server_that_never_answers_a_connection_ends() -> None:
    late = pytest.raises(ServiceError, match="no complete answer within 1 s")
    with HostileServer(at_connect=lambda exchange: exchange.server.closing.wait(20)) as server, Stopwatch(), late:
        ask(server.url, timeout_s=1.0)
