"""Text files in another encoding than UTF-8: `--encoding` decodes them; without it, such a file is an error."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.temporary_folder import temporary_folder
from bytemill.errors import DataError

__all__ = ["AS_BYTES", "EncodingOption", "decoded", "decoded_text"]

AS_BYTES = "bytes"
"""The value of --encoding that takes all bytes as they are."""

EncodingOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Encoding of the text files, such as gb18030, big5 or utf-16. With --encoding bytes, text is not decoded. "
        "Default: utf-8.",
    ),
]


@contextmanager
def decoded(sources: Sequence[Path], encoding: str | None, *, near: Path) -> Iterator[list[Path]]:
    """Yield files of UTF-8 text: the sources, or decoded copies that exist in this context only.

    Args:
        sources: Files and folders, as the core reads them.
        encoding: What --encoding names; None checks that all text is UTF-8.
        near: The output; the copies are in a temporary folder next to it.

    Raises:
        DataError: A file is not UTF-8, or not text in the given encoding.
        ArgumentError: There is no such encoding.
    """
    from bytemill.data.parts import find_files
    from bytemill.data.text_encodings import decode_file, is_text, known_encoding, not_utf8

    if encoding == AS_BYTES:
        yield list(sources)
        return
    if encoding is None:
        for file in find_files(sources):
            if file.is_file() and is_text(file):  # the core refuses pipes and devices
                _refuse_other(str(file), not_utf8(file))
        yield list(sources)
        return
    name = known_encoding(encoding)
    with temporary_folder(near.resolve().parent) as folder:
        files = []
        for number, file in enumerate(find_files(sources)):
            files.append(file)
            if file.is_file() and is_text(file):
                files[-1] = folder / f"{number:06}" / file.name.removesuffix(".gz")
                files[-1].parent.mkdir()
                decode_file(file, files[-1], name)
        yield files


def decoded_text(text: bytes, encoding: str | None) -> bytes:
    """Return the text of stdin as UTF-8; see `decoded`."""
    from bytemill.data.text_encodings import known_encoding, not_utf8

    if encoding is None:
        _refuse_other("stdin", not_utf8(text))
    if encoding in (None, AS_BYTES):
        return text
    name = known_encoding(str(encoding))
    try:
        return text.decode(name).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"stdin: not {name} text at byte {error.start}") from None


def _refuse_other(name: str, place: "tuple[int, int, str | None] | None") -> None:
    """Raise DataError for text in another encoding; only warn of text whose encoding cannot be guessed."""
    if place is None:
        return
    offset, byte, likely = place
    found = f"{name}: not UTF-8 text: it has the byte {byte:#04x} at offset {offset:,}"
    if likely is None:
        say(f"bytemill: warning: {found}; its bytes are taken as they are (--encoding decodes another encoding)")
        return
    raise DataError(f"{found}; it is probably {likely}: use --encoding {likely}, or --encoding bytes to keep the bytes")
