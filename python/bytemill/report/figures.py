"""Formats numbers, sizes, durations and tokens for people, without a line break between number and unit."""

import math
import re

__all__ = ["count", "decimal", "duration", "percent", "short_count", "size", "token_text"]

_GAP = "\N{NO-BREAK SPACE}"


def count(number: float) -> str:
    """Format a whole number with thousands separators.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,.0f}"


def short_count(number: float) -> str:
    """Format a number with about three digits and a unit word.

    >>> print(short_count(3_412_992), short_count(999_999_999), short_count(950), sep=", ")
    3.41 million, 1 billion, 950
    """
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if number >= unit * 0.9995:
            return f"{number / unit:.3g}{_GAP}{word}"
    return count(number)


def decimal(number: float, digits: int = 2) -> str:
    """Format a number with a fixed number of decimals; NaN and infinite numbers give a dash.

    >>> decimal(1 / 3), decimal(float("nan"))
    ('0.33', '–')
    """
    return f"{number:,.{digits}f}" if math.isfinite(number) else "–"


def percent(share: float) -> str:
    """Format a fraction as a percentage.

    >>> print(percent(0.6125), percent(0.00834), sep=", ")
    61 %, 0.83 %
    """
    return f"{100 * share:.0f}{_GAP}%" if share >= 0.1 else f"{100 * share:.2g}{_GAP}%"


def size(n_bytes: float) -> str:
    """Format a number of bytes in decimal units.

    >>> print(size(4_000_000), size(999_960), size(812), sep=", ")
    4.0 MB, 1.0 MB, 812 bytes
    """
    for unit, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit * 0.99995:
            return f"{n_bytes / unit:.1f}{_GAP}{word}"
    return f"{n_bytes:.0f}{_GAP}bytes"


def duration(seconds: float) -> str:
    """Format a duration: in seconds below a minute, with minutes below an hour, else with hours.

    >>> print(duration(8.25), duration(252.4), duration(7500), sep=", ")
    8.2 s, 4 min 12 s, 2 h 5 min
    """
    if seconds < 59.95:
        return f"{seconds:.1f}{_GAP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_GAP}min{_GAP}{rest}{_GAP}s"
    return f"{minutes // 60}{_GAP}h{_GAP}{minutes % 60}{_GAP}min"


def token_text(token: bytes) -> str:
    r"""Format a token with visible spaces and line ends, counts for long runs, and other bytes as `\x…`.

    >>> token_text(b" the"), token_text(b"=" * 40), token_text(b"\n\xff")
    ('␣the', '= ×40', '↵\\xff')
    """
    text = token.decode("utf-8", "backslashreplace")
    text = text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
    return re.sub(r"(.)\1{7,}", lambda run: f"{run[1]} ×{len(run[0])}", text)
