"""Make outside text safe to show and store: escape control characters and remove secrets.

File names, server replies and keys of JSON can hold escape sequences that move a terminal's cursor or change its
title. Addresses and commands can hold passwords. Every error and message that people read passes through `for_people`.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from bytemill.errors import ArgumentError

__all__ = ["checked_key", "for_people", "key_in_environment", "one_line", "printable", "public_url", "without_secrets"]

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 without tab and newline, C1, line and paragraph separators, changes of direction, halves of surrogate pairs."""

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s<>]+", re.IGNORECASE)
_ENDS_A_SENTENCE = re.compile(r"['\"`)\]},.;:]*\Z")
_TOKENS = re.compile(r"\b(?:hf_[A-Za-z0-9]{24,}|sk-(?=[\w-]*\d)[\w-]{20,}|gh[opsru]_[A-Za-z0-9]{24,})")
_NAMED_SECRETS = re.compile(
    r"((?:api[_-]?key|(?:access|auth|hf|hub)[_-]?token|password|passwd|secret)['\"]?\s*[=:]\s*['\"]?"
    r"|\bbearer\s+|(?:\bauthorization['\"]?\s*[=:]\s*['\"]?|\bb['\"])basic\s+)"
    r"[^\s,;)'\"]+",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)\Z", re.IGNORECASE)
_SHORTEST_SECRET = 8
"""Minimum characters of a variable's value; a shorter value would also match inside ordinary words."""


def printable(text: str) -> str:
    r"""Return the text with control characters escaped; tabs and newlines stay.

    >>> printable("red: \x1b[31m, bell: \x07")
    'red: \\x1b[31m, bell: \\x07'
    """
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str, *, max_characters: int = 200) -> str:
    r"""Return the beginning of a text on one line, printable and without secrets.

    >>> one_line("Error:\n  not found\x1b[0m")
    'Error: not found\\x1b[0m'
    """
    words = " ".join(text[: 8 * max_characters].split())
    shown = printable(without_secrets(words))
    return shown if len(shown) <= max_characters else f"{shown[:max_characters]}…"


def for_people(text: str) -> str:
    """Return a message that is printable and without secrets."""
    return printable(without_secrets(text))


def without_secrets(text: str) -> str:
    """Return the text with recognizable secrets removed.

    It removes passwords and query values of addresses, tokens of known forms, values named password or API key, and
    the values of environment variables whose names end in KEY, TOKEN, SECRET or PASSWORD.

    >>> without_secrets("cannot reach http://me:pass@host/v1?key=K (api_key=abc)")
    'cannot reach http://host/v1?key=… (api_key=…)'
    """
    for name, value in os.environ.items():
        secret = value.strip()
        if len(secret) >= _SHORTEST_SECRET and secret in text and _SECRET_VARIABLE.search(name):
            text = text.replace(secret, "…")
    text = _ADDRESS.sub(_public_match, text)
    return _NAMED_SECRETS.sub(r"\1…", _TOKENS.sub("…", text))


def public_url(url: str) -> str:
    """Return an address without user name, password, fragment and query values.

    >>> public_url("https://me:pass@example.org:8443/v1?key=K&n=1#top")
    'https://example.org:8443/v1?key=…&n=…'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.rpartition("@")[2].partition("#")[0].partition("?")[0]
    try:
        parts = urlsplit(url)
        valid = parts.port is None or parts.port >= 0
    except ValueError:
        valid = False
    if not valid:  # such as a password with a slash in it: the host follows the last @
        return f"{scheme}://{rest.rpartition('@')[2].partition('#')[0].partition('?')[0]}"
    fields = (field.partition("=") for field in parts.query.split("&"))
    query = "&".join(f"{name}=…" if equals else "…" for name, equals, _ in fields)
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (f"?{query}" if parts.query else "")


def checked_key(value: str, *, name: str) -> str:
    r"""Return a server key without surrounding blanks; refuse an invalid key without showing it.

    Args:
        value: The key.
        name: Where it comes from, for the error.

    Raises:
        ArgumentError: The key is empty, or contains a blank, a control character or a character outside ASCII.

    >>> checked_key(" abc\n", name="JUDGE_KEY")
    'abc'
    """
    key = value.strip()
    if not key:
        raise ArgumentError(f"{name} is empty, expected a key")
    if not all("!" <= character <= "~" for character in key):
        raise ArgumentError(
            f"{name} contains a blank, a control or a non-ASCII character, expected a key (its value is not shown)"
        )
    return key


def key_in_environment(variable: str | None, *, option: str) -> str | None:
    """Return the key in an environment variable; None if no variable is named.

    Raises:
        ArgumentError: The variable is not set, or does not contain a key; see `checked_key`.
    """
    if variable is None:
        return None
    if variable not in os.environ:
        raise ArgumentError(f"{option} is {variable!r}, which is not set in the environment")
    return checked_key(os.environ[variable], name=f"the environment variable {variable}")


def _public_match(found: re.Match[str]) -> str:
    end = _ENDS_A_SENTENCE.search(found[0])
    tail = end[0] if end else ""
    return public_url(found[0].removesuffix(tail)) + tail
