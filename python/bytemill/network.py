"""HTTP requests with deadlines, size limits, redirects, and keys that are sent to one origin only (uses httpx).

httpx limits the time of one read only, so a server that sends a byte now and then could hold a request without end,
even in its headers. `Deadline` limits the whole request.
Redirects are followed here, not by httpx: a key is sent only to its own origin (scheme, host and port). httpx handles
proxies and certificates with these variables: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE,
SSL_CERT_DIR.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import string
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytemill.deadline import Deadline
from bytemill.errors import ArgumentError, ServiceError
from bytemill.outside_text import one_line, public_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterator, Mapping

    import httpx

__all__ = ["MAX_REDIRECTS", "MAX_REPLY_BYTES", "MIN_PROGRESS_BYTES", "NetworkError", "Reply", "ask", "origin"]

MAX_REPLY_BYTES = 8 << 20
"""Maximum bytes of a reply that is read whole: from a judge, or a page of a hub listing."""
MAX_REDIRECTS = 5
"""Maximum number of redirects of one request."""
MIN_PROGRESS_BYTES = 64 << 10
"""Minimum bytes of a download that must arrive within each `timeout_s`."""

_KEPT_REDIRECTS = {301, 302, 307, 308}
"""Redirects that repeat the request unchanged; 303 changes it to a GET."""
_PORTS = {"http": 80, "https": 443}
_ERROR_BYTES = 2048
_SHORTEST_SECRET = 8
"""Minimum characters of a query value that may be a secret; a shorter value is an ordinary setting."""


class NetworkError(ServiceError, OSError):
    """A request failed; the message has the address without secrets, and the fault.

    Attributes:
        fault: The message without the address.
        again: Whether the same request may succeed later.
        status: The server's HTTP status, if the status is the fault.
    """

    def __init__(self, url: str, fault: str, *, again: bool, status: int | None = None) -> None:
        super().__init__(f"{public_url(url)}: {fault}")
        self.fault = fault
        self.again = again
        self.status = status


class Reply:
    """An open reply; `read` and `pieces` return its body."""

    def __init__(self, request: _Request, response: httpx.Response, deadline: Deadline) -> None:
        self.url = request.url
        """The address that answered, after redirects."""
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._request = request
        self._response = response
        self._deadline = deadline

    def without_secrets(self, text: str) -> str:
        """Return the server's text without the key, password and query values that were sent."""
        return self._request.hidden(text, shortest=_SHORTEST_SECRET)

    @property
    def n_bytes(self) -> int | None:
        """Length of the body in bytes, if the server reports it."""
        length = self.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdecimal() else None

    @property
    def next_page(self) -> str | None:
        """The address in the Link header with rel="next"; it may be relative to this one."""
        return self._response.links.get("next", {}).get("url")

    def pieces(self, *, max_bytes: int) -> Iterator[bytes]:
        """Yield the body as it arrives; every `MIN_PROGRESS_BYTES` extend the deadline of a download.

        Raises:
            NetworkError: The body is longer than `max_bytes`, is incomplete, or is too slow.
        """
        n_bytes = 0
        if (self.n_bytes or 0) > max_bytes:
            raise self._too_long(max_bytes)
        with _faults(self._request, self._deadline):
            for piece in self._response.iter_raw():
                n_bytes += len(piece)
                if n_bytes > max_bytes:
                    raise self._too_long(max_bytes)
                self._deadline.note_progress(n_bytes)
                yield piece

    def read(self, *, max_bytes: int = MAX_REPLY_BYTES) -> bytes:
        """Return the whole body; errors as in `pieces`."""
        return b"".join(self.pieces(max_bytes=max_bytes))

    def _too_long(self, max_bytes: int) -> NetworkError:
        return NetworkError(self.url, f"its reply is longer than {max_bytes:,} bytes", again=False)


@contextlib.contextmanager
def ask(
    url: str,
    *,
    timeout_s: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    key_origin: str | None = None,
    across_origins: bool = False,
    is_download: bool = False,
    accept: Collection[int] = (),
) -> Iterator[Reply]:
    """Send a GET, or a POST if a body is given, and yield the reply after all redirects.

    Args:
        url: http or https; a user name and password in it are sent as Basic authorization.
        timeout_s: Maximum seconds for the whole reply, redirects included. Resolving the host name takes extra time,
            with the system's own limit.
        body: Sent as JSON.
        headers: Sent to every origin.
        key: Sent as Bearer authorization, to `key_origin` only; the caller has checked it.
        key_origin: See `origin`; None means the origin of `url`.
        across_origins: Whether to follow redirects to other origins; a redirect from https to http is never followed.
        is_download: Every `MIN_PROGRESS_BYTES` of the body start `timeout_s` again.
        accept: Statuses outside 2xx that count as a reply.

    Raises:
        NetworkError: The server cannot be reached, is too slow, violates HTTP, refuses, or redirects to a forbidden
            address.
        ArgumentError: `url` is not an http or https address.
    """
    deadline = Deadline(timeout_s, extended_by=MIN_PROGRESS_BYTES if is_download else 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(deadline)
        plain, credentials = _split_credentials(url)
        secrets = _secrets(plain, credentials, key)
        request = _Request(plain, credentials, key, key_origin or origin(url), secrets)
        with _faults(request, deadline):
            client = stack.enter_context(_client(url))
        for _ in range(MAX_REDIRECTS + 1):
            response = _send(client, deadline, request, body, headers or {})
            stack.callback(response.close)
            if not 300 <= response.status_code < 400:
                break
            request = _redirected(request, response, across_origins=across_origins)
        else:
            raise NetworkError(url, f"it redirects more than {MAX_REDIRECTS} times", again=False)
        if not response.is_success and response.status_code not in accept:
            raise _refusal(request, response, deadline)
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.lower() != "identity":
            raise NetworkError(
                url,
                f"it compresses its reply ({one_line(request.hidden(coding))}), which was not requested",
                again=False,
            )
        yield Reply(request, response, deadline)


def origin(url: str) -> str:
    """Return scheme, host and port of an address in a normalized spelling.

    Raises:
        ArgumentError: The address is not an http or https address.

    >>> origin("https://Example.org/v1"), origin("http://127.0.0.1:8080/?a=1")
    ('https://example.org:443', 'http://127.0.0.1:8080')
    """
    try:
        parts = urllib.parse.urlsplit(url)
        usual = _PORTS[parts.scheme]
        port = usual if parts.port is None else parts.port
    except (ValueError, KeyError):
        parts, port = urllib.parse.urlsplit(""), 0
    if not parts.hostname or not all("!" <= character <= "~" for character in url):
        shown = one_line(public_url(url))
        raise ArgumentError(
            f"the address is '{shown}', expected http:// or https:// and a host, in ASCII without blanks"
        )
    return f"{parts.scheme}://{parts.hostname}:{port}"


@dataclass(frozen=True)
class _Request:
    """One hop of a request: its address without credentials, and the credentials to send."""

    url: str
    credentials: str | None
    """The user:password of the first address."""
    key: str | None
    key_origin: str
    secrets: frozenset[str]
    """The secrets sent on this hop and earlier ones."""

    def authorization(self) -> dict[str, str]:
        if self.key and origin(self.url) == self.key_origin:
            return {"Authorization": f"Bearer {self.key}"}
        if self.credentials:
            return {"Authorization": f"Basic {_packed(self.credentials)}"}
        return {}

    def hidden(self, text: str, *, shortest: int = 1) -> str:
        """Return a text of the server without the secrets that were sent: some servers repeat a refused key."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= shortest:
                text = text.replace(secret, "…")
        return text


def _secrets(url: str, credentials: str | None, key: str | None) -> frozenset[str]:
    """Return the secrets of a request, in every spelling in which a server may repeat them."""
    password = (credentials or "").partition(":")[2]
    fields = (field.partition("=")[2] for field in urllib.parse.urlsplit(url).query.split("&"))
    values = [value for value in fields if len(value) >= _SHORTEST_SECRET]
    plain = {key or "", credentials or "", password, *values, *map(urllib.parse.unquote_plus, values)}
    spelt = {spelling for one in plain for spelling in (one, json.dumps(one)[1:-1], urllib.parse.quote(one, safe=""))}
    return frozenset(filter(None, spelt | {_packed(credentials or "")}))


def _packed(credentials: str) -> str:
    return base64.b64encode(credentials.encode()).decode()


def _split_credentials(url: str) -> tuple[str, str | None]:
    origin(url)
    parts = urllib.parse.urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    plain = urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    return plain, urllib.parse.unquote(credentials) if at else None


def _redirected(request: _Request, response: httpx.Response, *, across_origins: bool) -> _Request:
    """Return the next hop; a hop to another origin drops the credentials permanently."""
    status, location = response.status_code, response.headers.get("Location", "")
    kept = status in _KEPT_REDIRECTS or (status == 303 and response.request.method == "GET")
    if not kept or not location:
        raise NetworkError(
            request.url, f"it answers {_status(request, response)}, which leads to no reply", again=False
        )
    try:
        quoted = urllib.parse.quote(location, safe=string.punctuation)
        there, _ = _split_credentials(urllib.parse.urljoin(request.url, quoted))
    except (ArgumentError, ValueError):
        fault = (
            f"it redirects to '{one_line(public_url(request.hidden(location)))}', which is not an http or https address"
        )
        raise NetworkError(request.url, fault, again=False) from None
    if origin(there) == origin(request.url):
        secrets = request.secrets | _secrets(there, None, None)
        return _Request(there, request.credentials, request.key, request.key_origin, secrets)
    shown = one_line(public_url(request.hidden(there)))
    if not across_origins:
        fault = f"it redirects to {shown}, another origin, where nothing was sent; give that address if you trust it"
        raise NetworkError(request.url, fault, again=False)
    if request.url.startswith("https:") and there.startswith("http:"):
        raise NetworkError(request.url, f"it redirects from https to {shown}, which is not encrypted", again=False)
    return _Request(there, None, None, "", request.secrets | _secrets(there, None, None))


def _send(
    client: httpx.Client, deadline: Deadline, request: _Request, body: bytes | None, headers: Mapping[str, str]
) -> httpx.Response:
    import httpx

    sent = {"User-Agent": "bytemill", "Accept-Encoding": "identity", **headers, **request.authorization()}
    if body is not None:
        sent["Content-Type"] = "application/json"
    with _faults(request, deadline):
        built = client.build_request(
            "GET" if body is None else "POST",
            request.url,
            content=body,
            headers=sent,
            timeout=httpx.Timeout(deadline.seconds_left()),
            extensions={"trace": deadline.trace},
        )
        return client.send(built, stream=True, auth=None)


def _refusal(request: _Request, response: httpx.Response, deadline: Deadline) -> NetworkError:
    """Describe an error status, with the beginning of the server's text."""
    said = b""
    with contextlib.suppress(NetworkError), _faults(request, deadline):
        for piece in response.iter_raw():
            said += piece
            if len(said) >= _ERROR_BYTES:
                break
    words = one_line(request.hidden(said[:_ERROR_BYTES].decode("utf-8", "replace")))
    fault = f"it answers {_status(request, response)}" + (f": {words}" if words else "")
    return NetworkError(request.url, fault, again=False, status=response.status_code)


def _status(request: _Request, response: httpx.Response) -> str:
    return f"{response.status_code} {one_line(request.hidden(response.reason_phrase))}".rstrip()


def _client(url: str) -> httpx.Client:
    """Return a new client for each request: a kept connection could not be watched, and the environment may change."""
    import httpx

    try:
        certificates = _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    except OSError:
        places = " and ".join(name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ)
        raise NetworkError(url, f"the certificates that {places} names cannot be read", again=False) from None
    try:
        return httpx.Client(verify=certificates, follow_redirects=False)
    except ImportError:
        fault = "the proxy of the environment is a SOCKS proxy, which needs the package socksio"
        raise NetworkError(url, fault, again=False) from None
    except (ValueError, httpx.InvalidURL):
        fault = "the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not the address of one"
        raise NetworkError(url, fault, again=False) from None


@functools.lru_cache(maxsize=2)
def _certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Return httpx's certificates for these variables; cached, because reading them is slower than a local request."""
    import httpx

    return httpx.create_ssl_context()


@contextlib.contextmanager
def _faults(request: _Request, deadline: Deadline) -> Iterator[None]:
    """Convert exceptions of httpx to a NetworkError."""
    import httpx

    try:
        yield
    except ServiceError:
        raise
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, RuntimeError, ValueError) as error:
        raise _explained(request, deadline, error) from None
    if deadline.expired:  # without a length, a body looks complete when the connection is shut down
        raise NetworkError(request.url, _late(deadline), again=True)


def _explained(request: _Request, deadline: Deadline, error: Exception) -> NetworkError:
    import httpx

    url = request.url
    if deadline.expired or isinstance(error, httpx.TimeoutException):
        return NetworkError(url, _late(deadline), again=True)
    reason = one_line(request.hidden(str(error))) or type(error).__name__
    if isinstance(error, httpx.ProxyError):
        return NetworkError(url, f"the proxy refuses: {reason}", again=True)
    if isinstance(error, httpx.ConnectError):
        return NetworkError(url, f"it cannot be reached: {reason}", again="CERTIFICATE_VERIFY_FAILED" not in reason)
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError | OSError):
        return NetworkError(url, f"the connection broke: {reason}", again=True)
    # This exception's text may contain a header, and so a key.
    return NetworkError(url, f"the request or its reply breaks HTTP's rules ({type(error).__name__})", again=False)


def _late(deadline: Deadline) -> str:
    if deadline.extended_by:
        return f"less than {deadline.extended_by >> 10} KiB arrived within {deadline.timeout_s:g} s"
    return f"no complete answer within {deadline.timeout_s:g} s"
