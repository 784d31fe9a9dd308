"""What every request must pass: the right Host, the key, a body of JSON that is neither too large nor too slow.

A page of any website can make a browser send requests to this machine. Its scripts cannot send JSON without asking
first, which this server does not answer, so other types of bodies are refused. If the website's name is pointed to
this machine (DNS rebinding), the Host header still has that name, so names that are not this server's are refused.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from typing import TYPE_CHECKING

from bytemill.serve.faults import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["check_host", "check_key", "read_body"]

_MAX_DISCARDED_BYTES = 64 << 20
"""Maximum bytes of a body that are read, not kept, so that its sender gets the error instead of a closed connection."""


def check_host(request: Request, *, own_name: str) -> None:
    """Refuse a Host header with a foreign name. Addresses are allowed, because rebinding needs a name.

    Raises:
        ApiError: The name is neither `own_name` nor localhost.
    """
    name = _host_name(request.headers.get("host", ""))
    if name not in ("localhost", own_name.lower()) and not _is_address(name):
        raise ApiError(
            403,
            "the request's Host header names another machine; use localhost, this machine's address, or the name "
            "given with --host",
            code="wrong_host",
        )


def check_key(request: Request, key: str | None) -> None:
    """Compare the request's key, in a time that does not depend on where the two differ.

    Raises:
        ApiError: There is no key or a wrong one.
    """
    if key is None:
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), key.encode()):
        raise ApiError(401, "the key is missing or wrong; send it as Authorization: Bearer KEY", code="invalid_api_key")


async def read_body(request: Request, *, max_bytes: int, max_seconds: float) -> bytes:
    """Return a body of JSON.

    Raises:
        ApiError: It has another type, is too large, or does not arrive in time.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "the body must have the header Content-Type: application/json")
    body, n_bytes = bytearray(), 0
    try:
        async with asyncio.timeout(max_seconds):
            async for part in request.stream():
                n_bytes += len(part)
                if n_bytes <= max_bytes:
                    body += part
                elif n_bytes > _MAX_DISCARDED_BYTES:
                    break
    except TimeoutError:
        raise ApiError(408, f"the body did not arrive within {max_seconds:g} seconds") from None
    if n_bytes > max_bytes:
        raise ApiError(413, f"the body has more than {max_bytes:,} bytes, the maximum; send fewer prompts at a time")
    return bytes(body)


def _host_name(host: str) -> str:
    """Return a Host header without its port.

    >>> [_host_name(host) for host in ("LocalHost:8000", "[::1]:80", "127.0.0.1")]
    ['localhost', '::1', '127.0.0.1']
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
