"""Atomic file writing: a file is written completely or not at all, and never through a planted link.

A file gets a random name in its folder, is created exclusively, flushed to disk and then renamed. If the destination is
a symbolic link, the link stays and its target is replaced. A pipe or a device is written to and never replaced.
The Rust core does the work (`durable.rs`), so both languages write files in the same way. `LineFile` appends lines to a
file. `refuse_input_as_output` refuses an output that is also an input.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bytemill._core import DurableFile, write_whole
from bytemill.errors import ArgumentError
from bytemill.system.files import open_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

__all__ = [
    "LineFile",
    "move_into",
    "naming_errors",
    "new_file",
    "open_to_append",
    "open_without_links",
    "refuse_input_as_output",
    "refuse_output_in_checkpoint",
    "remove_leftovers",
    "write_bytes",
    "write_text",
    "write_with",
]

_PIECE_BYTES = 1 << 20
_TEMPORARY_NAME = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")  # the names that durable.rs gives: they have
_MAX_SHOWN_CHARACTERS = 50  # at most this much of the final name
_MODEL_FILES = ("model.safetensors", "config.json", "adapter_model.safetensors", "adapter_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe")
_RUN_FILES = ("metrics.jsonl", "samples.jsonl", "changes.jsonl", "environment.json", "config.toml", "state.json")
_FOLDERS_FILES = (*_MODEL_FILES, *_TOKENIZER_FILES, *_RUN_FILES, "pytorch_model.bin", "manifest.json")
_CHECKPOINT_FILES = ("state.json", "optimizer.safetensors")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to the file `path`, or leave the file unchanged.

    Raises:
        OSError: The system reports an error, such as a full disk; the message names the file.

    >>> folder = getfixture("tmp_path")
    >>> write_bytes(folder / "ids.bin", b"123")
    >>> (folder / "ids.bin").read_bytes()
    b'123'
    """
    write_whole(os.fspath(path), content)


def write_text(path: str | os.PathLike[str], text: str, *, errors: str = "strict") -> None:
    r"""Write `text` to the file `path` in UTF-8 with unchanged newlines; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8", errors))


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[DurableFile]:
    """Yield a file for `write` calls; it gets its name when the block ends without an error."""
    file = DurableFile(os.fspath(path))
    try:
        yield file
        file.commit()
    finally:
        file.discard()


def write_with(path: str | os.PathLike[str], fill: Callable[[Path], object]) -> None:
    """Write `path` with a library that writes files by name: `fill` gets the name of a temporary file.

    The library may replace the temporary file by its own, with any mode; the final mode follows the umask.
    """
    with new_file(path) as file:
        temporary = file.hand_over()
        if temporary is not None:
            with naming_errors(path):
                fill(temporary)
            file.reopen()
            return
        with tempfile.TemporaryDirectory() as folder:  # for a pipe or a device
            fill(content := Path(folder) / "content")
            with content.open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    file.write(piece)


def move_into(source: Path, folder: Path) -> None:
    """Move a file from a temporary folder into `folder`, on the same file system."""
    write_with(folder / source.name, lambda temporary: source.replace(temporary))


def open_without_links(path: Path, flags: int) -> int:
    """Open a regular file, create it if missing, and return its descriptor.

    Raises:
        OSError: The path is a symbolic link, a pipe or a device; the message names it.
    """
    try:
        descriptor = open_descriptor(path, flags | os.O_CREAT, links=False)
    except OSError as error:
        if path.is_symlink():
            raise OSError(
                error.errno, "is a symbolic link; remove it, so that a file can be written here", path
            ) from None
        if path.exists() and not path.is_file():
            raise _not_a_file(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_a_file(path)
    return descriptor


def _not_a_file(path: Path) -> OSError:
    reason = "is not a regular file; remove it, so that a file can be written here"
    return FileExistsError(errno.EEXIST, reason, str(path))


def open_to_append(path: Path) -> BinaryIO:
    """Open a log file for appending, and create it if missing; a symbolic link is refused."""
    return os.fdopen(open_without_links(path, os.O_WRONLY | os.O_APPEND), "ab")


class LineFile:
    r"""A file that grows line by line; each line is in the file when `append` returns.

    Args:
        path: The file; it is replaced.
        kept: The first lines of the new file, such as complete lines of an earlier process.

    >>> path = getfixture("tmp_path") / "lines.txt"
    >>> lines = LineFile(path, "one\n")
    >>> lines.append("two\n")
    >>> lines.close()
    >>> path.read_text(encoding="utf-8")
    'one\ntwo\n'
    """

    def __init__(self, path: Path, kept: str = "", *, errors: str = "strict") -> None:
        self._path, self._errors = path, errors
        write_text(path, kept, errors=errors)
        self._descriptor: int | None = open_descriptor(path, os.O_WRONLY | os.O_APPEND, links=True)

    def append(self, line: str) -> None:
        """Write a line with its newline."""
        assert self._descriptor is not None
        left = memoryview(line.encode("utf-8", self._errors))
        with naming_errors(self._path):
            while left:
                left = left[os.write(self._descriptor, left) :]

    def sync(self) -> None:
        """Flush all lines to the disk."""
        assert self._descriptor is not None
        with naming_errors(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


@contextlib.contextmanager
def naming_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the name of the file being written to an OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def remove_leftovers(folder: Path, names: Collection[str]) -> None:
    """Delete temporary files that killed processes left in a folder; a missing folder is ignored.

    Args:
        folder: The folder; the caller holds its lock, so no other process is writing these files.
        names: The final names of the temporary files; files with other names stay.

    >>> folder = getfixture("tmp_path")
    >>> (folder / ".ids.bin.0123456789abcdef.tmp").touch()
    >>> remove_leftovers(folder, ["ids.bin"])
    >>> list(folder.iterdir())
    []
    """
    shown = {name[:_MAX_SHOWN_CHARACTERS] for name in names}
    for path in folder.glob(".*.tmp"):
        found = _TEMPORARY_NAME.fullmatch(path.name)
        if found and found[1] in shown and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def refuse_input_as_output(
    output: str | os.PathLike[str] | None, inputs: Iterable[str | os.PathLike[str] | None], *, walk: bool = False
) -> None:
    """Raise ArgumentError if an output is one of the inputs, before anything is written.

    Files and folders are compared by device and inode, so links are recognized. A pipe or a device may be both an
    input and an output.

    Args:
        output: A file or a folder, existing or not; None and `-` are accepted. For a folder, the model files in it
            are checked too.
        inputs: Files and folders; for a folder, also the files of a model, a tokenizer, shards or a run in it.
            Other names, such as a hub repository, are accepted.
        walk: Whether all files below the input folders are inputs, as for a corpus.

    Raises:
        ArgumentError: The output is an input; the message names both.

    >>> refuse_input_as_output("no_such_file", ["no_such_file"])
    >>> refuse_input_as_output("/dev/null", ["/dev/null"])
    """
    if output is None or os.fspath(output) == "-":
        return
    place = Path(output)
    written = {_identity(path) for path in (place, *(place / name for name in _MODEL_FILES))} - {None}
    if not written:
        return
    for given in inputs:
        for path in () if given is None else _read_paths(Path(given), walk=walk):
            if _identity(path) in written:
                raise ArgumentError(
                    f"{output}: is also an input, {path}, and writing would destroy it; give another output"
                )


def refuse_output_in_checkpoint(output: str | os.PathLike[str] | None) -> None:
    """Raise ArgumentError if an output is a run's checkpoint or is in one, before anything is written.

    A checkpoint's files are tied together by hashes, so overwriting one file makes the whole checkpoint unusable.

    Raises:
        ArgumentError: The output would change a checkpoint; the message names it.

    >>> refuse_output_in_checkpoint("no_such_folder")
    """
    if output is None or os.fspath(output) == "-":
        return
    place = Path(os.path.realpath(output))
    for folder in (place, place.parent):
        if all((folder / name).is_file() for name in _CHECKPOINT_FILES):
            raise ArgumentError(f"{output}: {folder} is a checkpoint, which writing would damage; give another output")


def _read_paths(given: Path, *, walk: bool) -> Iterator[Path]:
    yield given
    if walk:
        for folder, _, names in os.walk(given):
            yield from (Path(folder) / name for name in names)
    else:
        yield from (given / name for name in _FOLDERS_FILES)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file or folder; None for anything else, and for a missing path."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    is_kept = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return (found.st_dev, found.st_ino) if is_kept else None
