"""Escapes text for HTML, and makes control characters visible; the output of a model may contain any characters."""

from html import escape as escape_html

__all__ = ["escape", "visible"]

# Characters that change the direction of the following text could make a page misleading; they are shown by number.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def escape(text: str) -> str:
    r"""Escape a text for an element or a quoted attribute of HTML.

    >>> escape("<b>\x1b\ud800")
    '&lt;b&gt;␛\\ud800'
    """
    return escape_html(visible(text), quote=True)


def visible(text: str) -> str:
    r"""Replace control characters by their symbols, and direction marks and noncharacters by their number.

    Line breaks and tabs are kept.

    >>> visible("a\tb\x00\u202e")
    'a\tb␀\\u202e'
    """
    return text if text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    if 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000 or is_noncharacter or character in _DIRECTIONS:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character
