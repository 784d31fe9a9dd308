"""Input and output of `bytemill tokenizer encode` and `decode`: documents, ids as text, and files of ids."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill._core import read_documents
from bytemill.cli.console import read_text
from bytemill.errors import ArgumentError, DataError, FormatError
from bytemill.files import write_bytes
from bytemill.json_reader import read_regular_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["documents", "given_ids", "write_ids"]

STDIN = Path("-")
_NARROW_IDS = 1 << 16
_MOST_DIGITS = 20
MAX_IDS_BYTES = 8 << 30
"""Maximum bytes of a file of ids, which is decoded whole."""


def documents(text: str | None, files: list[Path] | None) -> Iterator[str]:
    """Return the texts of `--text`, or else of files (text, .jsonl, both also as .gz or .zst), or else of stdin."""
    _refuse_both(text, files, "--text")
    if text is not None:
        yield text
        return
    for path in files or [STDIN]:
        contents = [read_text(path)] if path == STDIN else read_documents([str(path)]) or [b""]
        for content in contents:
            yield _utf8(content, path)


def given_ids(n_vocab: int, ids: str | None, files: list[Path] | None) -> "Iterator[list[int] | NDArray[np.uint32]]":
    """Return the ids of `--ids`, or else of files, or else of stdin; .npy and .bin files hold numbers."""
    _refuse_both(ids, files, "--ids")
    if ids is not None:
        yield _numbers(ids)
        return
    for path in files or [STDIN]:
        if path.suffix in (".npy", ".bin"):
            yield _binary(path, n_vocab)
        else:
            contents = [read_text(path)] if path == STDIN else read_documents([str(path)])
            yield _numbers(" ".join(_utf8(content, path) for content in contents))


def write_ids(path: Path, ids: "NDArray[Any]") -> None:
    """Write ids as `Tokenizer.encode_to_file` does: .npy by the file's ending, else raw; the write is atomic."""
    import numpy as np

    content = io.BytesIO()
    if path.suffix == ".npy":
        np.save(content, ids, allow_pickle=False)
    else:
        content.write(ids.tobytes())
    write_bytes(path, content.getvalue())


def _binary(path: Path, n_vocab: int) -> "NDArray[np.uint32]":
    import numpy as np

    content = read_regular_file(path, max_bytes=MAX_IDS_BYTES)
    try:
        if path.suffix == ".npy":
            loaded = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            loaded = np.frombuffer(content, dtype="<u2" if n_vocab <= _NARROW_IDS else "<u4")
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path}: not a file of ids: {error}") from None
    if not isinstance(loaded, np.ndarray):
        raise FormatError(f"{path}: not a file of ids: it holds several arrays, as .npz does")
    if loaded.ndim != 1 or loaded.dtype.kind not in "iu":
        raise FormatError(f"{path}: holds {loaded.dtype} of shape {loaded.shape}, expected one row of integer ids")
    ids: NDArray[np.uint32] = loaded
    return ids


def _numbers(source: str) -> list[int]:
    words = source.replace(",", " ").strip().strip("[]").split()
    for position, word in enumerate(words):
        if not (word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS):
            raise ArgumentError(f"ids must be whole numbers, found {word[:_MOST_DIGITS]!r} at position {position}")
    return [int(word) for word in words]


def _utf8(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        name = "stdin" if path == STDIN else path
        raise DataError(f"{name}: not UTF-8 text: invalid byte at offset {error.start}") from None


def _refuse_both(option: str | None, files: list[Path] | None, name: str) -> None:
    if option is not None and files:
        raise ArgumentError(f"give {name} or files, not both")
