"""The encoding of standard input, output and errors."""

from __future__ import annotations

import io
import sys

__all__ = ["use_utf8"]


def use_utf8() -> None:
    """Let standard streams have UTF-8 and plain newlines, and show `?` for what cannot be written.

    Windows would use the encoding of its region for pipes and files. Other systems are set to UTF-8 by their users, and
    this setting stays.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # closed, or replaced by a test
            continue
        if sys.platform == "win32":
            stream.reconfigure(encoding="utf-8", newline="\n" if stream.writable() else None)
        if stream.writable():
            stream.reconfigure(errors="replace")
