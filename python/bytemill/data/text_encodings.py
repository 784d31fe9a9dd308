"""Text files that are not UTF-8: find them, guess their encoding, and decode them piece by piece.

Tokenizers work on bytes, so text in another encoding would train without an error, and waste a vocabulary on it.
"""

from __future__ import annotations

import codecs
import gzip
import re
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from bytemill import _core
from bytemill.errors import ArgumentError, DataError, FormatError
from bytemill.files import new_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["NotUtf8", "decode_file", "is_text", "known_encoding", "likely_encoding", "not_utf8"]

CHECKED_BYTES = 4 << 20
"""Bytes of each file that are checked; they are read twice, so not all of a large file."""
_PIECE_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_MOST_EXPANSION = 1_000
_ROWS = (".jsonl", ".ndjson", ".parquet", ".arrow", ".arrows", ".feather")
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Marks of byte order; that of UTF-16 is the beginning of that of UTF-32."""
_LEAST_SCORE = 0.5


class NotUtf8(NamedTuple):
    """The first place where a text is not UTF-8."""

    offset: int
    byte: int
    likely: str | None
    """The encoding that the text probably has; None if the text is damaged UTF-8 or of an unknown kind."""


def is_text(path: Path) -> bool:
    """Return whether the core reads the file as plain text; rows have an encoding of their own.

    >>> from pathlib import Path
    >>> is_text(Path("a.txt.gz")), is_text(Path("a.jsonl.gz")), is_text(Path("README"))
    (True, False, True)
    """
    inner = path.with_suffix("") if path.suffix.lower() in (".gz", ".zst") else path
    return inner.suffix.lower() not in _ROWS


def not_utf8(source: Path | bytes) -> NotUtf8 | None:
    """Return the first place where a text is not UTF-8; None if its first 4 MiB are UTF-8.

    Args:
        source: A file that `is_text`, or the text itself.

    >>> not_utf8("北京大学的语言模型".encode("gbk"))
    NotUtf8(offset=0, byte=177, likely='gb18030')
    >>> not_utf8("北大".encode()) is None
    True
    """
    offset, decoder = 0, codecs.getincrementaldecoder("utf-8")()
    for piece in _pieces(source):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(piece)
        except UnicodeDecodeError as error:
            place = offset - held + error.start
            return NotUtf8(place, error.object[error.start], likely_encoding(_sample(source, place)))
        offset += len(piece)
    return None


def likely_encoding(sample: bytes) -> str | None:
    """Return the encoding that a text probably has; None for UTF-8, also if damaged, and if none is likely.

    >>> likely_encoding("我们在北京大学学习语言模型。".encode("gbk"))
    'gb18030'
    >>> likely_encoding("L'été dernier, nous avons passé deux semaines au bord du lac.".encode("cp1252"))
    'cp1252'
    """
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    if (found := _utf16_without_mark(sample)) is not None:
        return found
    n_high = sum(byte > 0x7F for byte in sample)
    if 2 * sum(map(len, _UTF8_SEQUENCE.findall(sample))) >= n_high:
        return None
    scores = {name: _score(sample, name, typical) for name, typical in _CANDIDATES.items()}
    best = max(scores, key=lambda name: scores[name])  # of equal scores the first
    return best if scores[best] >= _LEAST_SCORE else None


def known_encoding(name: str) -> str:
    """Return the name of an encoding as Python writes it.

    Raises:
        ArgumentError: There is no such text encoding.

    >>> known_encoding("GBK"), known_encoding("latin1")
    ('gbk', 'iso8859-1')
    """
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding:
        raise ArgumentError(f"--encoding is {name!r}, expected bytes or an encoding such as gb18030, big5 or utf-16")
    return found.name


def decode_file(source: Path, destination: Path, encoding: str) -> None:
    """Write a text file as UTF-8, in constant memory; a .gz file is also unpacked.

    Raises:
        DataError: A byte does not belong to the encoding; the message names its place.
        FormatError: The file is packed in another format, or expands more than a thousandfold.
    """
    if source.suffix.lower() == ".zst":
        raise FormatError(f"{source}: a .zst file cannot be decoded from {encoding}; unpack it first")
    most_bytes = _MOST_EXPANSION * max(source.stat().st_size, _PIECE_BYTES)
    decoder, offset = codecs.getincrementaldecoder(encoding)(), 0
    with _opened(source) as stream, new_file(destination) as written:
        while True:
            piece = stream.read(_PIECE_BYTES)
            try:
                written.write(decoder.decode(piece, final=not piece).encode())
            except (UnicodeDecodeError, UnicodeEncodeError) as error:
                # What the decoder held back of earlier pieces comes before `offset`.
                start = error.start if isinstance(error, UnicodeDecodeError) else 0
                held = len(error.object) - len(piece) if isinstance(error, UnicodeDecodeError) else 0
                raise DataError(f"{source}: not {encoding} text at byte {offset - held + start}") from None
            if not piece:
                return
            offset += len(piece)
            if offset > most_bytes:
                raise FormatError(f"{source}: expands to more than {_MOST_EXPANSION:,} times its size")


def _opened(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def _pieces(source: Path | bytes) -> Iterator[bytes]:
    """Yield the first 4 MiB of a text."""
    if isinstance(source, bytes):
        yield source[:CHECKED_BYTES]
    elif source.suffix.lower() in (".gz", ".zst"):
        yield from _core.read_documents([str(source)], max_bytes=CHECKED_BYTES)
    else:
        with source.open("rb") as stream:
            for _ in range(CHECKED_BYTES // _PIECE_BYTES):
                if not (piece := stream.read(_PIECE_BYTES)):
                    return
                yield piece


def _sample(source: Path | bytes, place: int) -> bytes:
    """Return the text around the place: from the start if that is near, because marks of byte order are there."""
    start = 0 if place < _SAMPLE_BYTES // 2 else place
    for piece in _pieces(source):
        if start < len(piece):
            return piece[start : start + _SAMPLE_BYTES]
        start -= len(piece)
    return b""


def _utf16_without_mark(sample: bytes) -> str | None:
    """Return the byte order of UTF-16 text, in which most high bytes of Western text are 0."""
    half = len(sample) // 2
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if half and zeros.count(0) > 0.4 * half:
            return name
    return None


def _score(sample: bytes, encoding: str, typical: Callable[[str], float]) -> float:
    """Return how typical the text is for the encoding, 0 to 1; 0 if the bytes cannot be decoded."""
    try:
        return typical(codecs.getincrementaldecoder(encoding)().decode(sample))
    except UnicodeDecodeError:
        return 0.0


def _beyond_ascii(text: str) -> list[str]:
    return [one for one in text if one > "\x7f"] or [""]


def _share(characters: list[str], first: str, last: str) -> float:
    return sum(first <= one <= last for one in characters) / len(characters)


def _chinese(encoding: str, first_common: bytes, last_common: bytes) -> Callable[[str], float]:
    """Return a measure for Chinese: the share of punctuation and of characters whose first byte is a common one."""

    def typical(text: str) -> float:
        firsts = [one.encode(encoding, errors="ignore")[:1] for one in _beyond_ascii(text)]
        common = (b"\xa1" <= one <= b"\xa3" or first_common <= one <= last_common for one in firsts)
        return sum(common) / len(firsts)

    return typical


def _japanese(text: str) -> float:
    """Japanese has more hiragana than any other text; Big5 decodes it too, to common characters."""
    return 1.0 if _share(_beyond_ascii(text), "\u3041", "\u309f") > 0.25 else 0.0


def _korean(text: str) -> float:
    return _share(_beyond_ascii(text), "\uac00", "\ud7a3")


def _russian(text: str) -> float:
    """Russian letters are mostly small ones; the other encoding would show them as capitals."""
    letters = [one for one in text if one.isalpha()] or [""]
    return 0.9 * _share(_beyond_ascii(text), "а", "я") if _share(letters, "А", "я") > 0.5 else 0.0


def _western(text: str) -> float:
    """Western text has letters with accents, but most of its letters are ASCII."""
    letters = [one for one in text if one.isalpha()]
    accented = [one for one in letters if "\xc0" <= one <= "\u0178"]
    return 0.6 if accented and 3 * len(accented) < len(letters) else 0.0


_CANDIDATES: dict[str, Callable[[str], float]] = {
    "euc_jp": _japanese,
    "shift_jis": _japanese,
    "euc_kr": _korean,
    "gb18030": _chinese("gb2312", b"\xb0", b"\xd7"),
    "big5": _chinese("big5", b"\xa4", b"\xc6"),
    "cp1251": _russian,
    "koi8_r": _russian,
    "cp1252": _western,
}
"""How typical a text is for an encoding; of encodings with the same value, the first is taken."""
