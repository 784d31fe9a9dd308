"""A server on 127.0.0.1 that follows or breaks the HTTP protocol as a test requires, and records requests."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass
class Exchange:
    """One request and its connection."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    server: HostileServer = field(repr=False)
    connection: socket.socket = field(repr=False)

    def send(self, data: bytes) -> bool:
        """Send data; return False if the client or the server has closed the connection."""
        if self.server.closing.is_set():
            return False
        try:
            self.connection.sendall(data)
        except OSError:
            return False
        return True


def head(status: int = 200, headers: Mapping[str, object] | None = None) -> bytes:
    """Return the status line and headers of a reply, including the empty line."""
    lines = [f"HTTP/1.1 {status} As Tested", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "".join(f"{line}\r\n" for line in [*lines, "Connection: close", ""]).encode()


def replies(
    body: bytes = b"", status: int = 200, headers: Mapping[str, object] | None = None
) -> Callable[[Exchange], object]:
    """Return a behaviour that sends a correct reply."""
    return lambda exchange: exchange.send(head(status, {"Content-Length": len(body), **(headers or {})}) + body)


def redirects(to: str, status: int = 302) -> Callable[[Exchange], object]:
    return replies(b"", status, {"Location": to})


def sends(data: bytes) -> Callable[[Exchange], object]:
    """Return a behaviour that sends these bytes and closes the connection."""
    return lambda exchange: exchange.send(data)


def drips(first: bytes = b"", *, letter: bytes = b"x", every_s: float = 0.2) -> Callable[[Exchange], object]:
    """Return a behaviour that sends `first`, and then one byte every `every_s` seconds, without end."""

    def behaviour(exchange: Exchange) -> None:
        listens = not first or exchange.send(first)
        while listens:
            listens = exchange.send(letter)
            exchange.server.closing.wait(every_s)

    return behaviour


def endless(first: bytes, piece: bytes = b"x" * 65_536) -> Callable[[Exchange], object]:
    """Return a behaviour that sends `first`, and then `piece` repeatedly, without end."""

    def behaviour(exchange: Exchange) -> None:
        listens = exchange.send(first)
        while listens:
            listens = exchange.send(piece)

    return behaviour


class HostileServer:
    """Answers each path (without query) with its behaviours in turn; the last one is then repeated.

    Args:
        default: Answers all other paths.
        at_connect: Answers every connection without reading anything.
    """

    def __init__(
        self,
        default: Callable[[Exchange], object] | None = None,
        *,
        at_connect: Callable[[Exchange], object] | None = None,
    ) -> None:
        self.default = default or replies(b"nothing here", 404)
        self.at_connect = at_connect
        self.paths: dict[str, list[Callable[[Exchange], object]]] = {}
        self.asked: list[Exchange] = []
        self.closing = threading.Event()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    outer._answer(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

        self._tcp = Server(("127.0.0.1", 0), Handler)
        self.port = self._tcp.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=lambda: self._tcp.serve_forever(poll_interval=0.01), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._tcp.shutdown()
        self._tcp.server_close()
        self._thread.join()

    def on(self, path: str, *behaviours: Callable[[Exchange], object]) -> None:
        self.paths[path] = list(behaviours)

    def headers_of(self, name: str) -> list[str | None]:
        """Return the value of a header in each request; None if it is missing."""
        return [exchange.headers.get(name.lower()) for exchange in self.asked]

    def _answer(self, connection: socket.socket) -> None:
        if self.at_connect is not None:
            self.at_connect(Exchange("", "", {}, b"", self, connection))
            return
        with connection.makefile("rb") as stream:
            method, path, _ = stream.readline().decode("latin-1").split(" ", 2)
            headers = {}
            while line := stream.readline().decode("latin-1").strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
        exchange = Exchange(method, path, headers, body, self, connection)
        self.asked.append(exchange)
        behaviours = self.paths.get(path.partition("?")[0])
        if behaviours is None:
            self.default(exchange)
        else:
            (behaviours.pop(0) if len(behaviours) > 1 else behaviours[0])(exchange)
        # A connection with unread bytes would be reset, and the reply lost.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(1)
            connection.recv(1)


class Stopwatch:
    """Asserts that the code in its context takes at most `bound_s` seconds, and so does not hang."""

    def __init__(self, bound_s: float = 30.0) -> None:
        self.bound_s = bound_s

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self._start < self.bound_s
