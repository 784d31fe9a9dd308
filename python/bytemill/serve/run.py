"""Open the address and serve until Ctrl-C or SIGTERM: answers in progress end with an error, then the process ends."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bytemill.errors import ArgumentError
from bytemill.train.signals import StopSignals

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from bytemill.inference import Engine

__all__ = ["address_of", "is_this_machine", "listen", "make_server", "serve"]

_MAX_HEAD_SECONDS = 10.0
"""Maximum seconds until the head of a request has arrived."""
_MAX_CONNECTIONS = 2000
_MAX_CLOSING_SECONDS = 5
"""Maximum seconds for the last replies after a signal."""


def is_this_machine(host: str) -> bool:
    """Return whether only programs on this machine can reach an address.

    >>> is_this_machine("localhost"), is_this_machine("127.0.0.1"), is_this_machine("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        ArgumentError: The address is not one of this machine's, or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_MAX_CONNECTIONS)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArgumentError(f"cannot listen on {host}, port {port}: {reason}; give another --port or --host") from None


def address_of(opened: socket.socket) -> str:
    """Return the address for clients, such as http://127.0.0.1:8000/v1."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def serve(app: ASGIApp, engine: Engine, opened: socket.socket, *, ready: Callable[[], Any] = lambda: None) -> None:
    """Serve until a signal.

    Args:
        app: The application; see `bytemill.serve.app.make_app`.
        engine: The application's engine; it is started and closed here.
        opened: See `listen`; it is closed at the end.
        ready: Called as soon as requests are answered.

    Raises:
        Interrupted: A signal ended the server.
    """
    with opened, StopSignals() as stop:
        engine.start()
        try:
            make_server(app, engine, ready=ready).run(sockets=[opened])
        finally:
            engine.close()
            engine.join()
        stop.check()


def make_server(app: ASGIApp, engine: Engine, *, ready: Callable[[], Any]) -> uvicorn.Server:
    """Return a server that is not yet running; see `serve`."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_MAX_CLOSING_SECONDS,
    )
    return _Server(config, engine, ready)


class _Server(uvicorn.Server):
    """A server that ends the answers in progress as soon as it is asked to stop."""

    def __init__(self, config: uvicorn.Config, engine: Engine, ready: Callable[[], Any]) -> None:
        super().__init__(config)
        self._engine, self._ready = engine, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the answers in progress, then close."""
        self._engine.close()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1 with a limit on the time until the head of a request has arrived."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head, or stop waiting when a request has begun."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(_MAX_HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self.transport.close()
