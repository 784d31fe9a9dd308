"""The one way in which Python writes files: whole or not at all, and never through a link planted for us.

A file is written under a random name in its folder, created exclusively, flushed to the disk, then renamed. A
destination that is a symbolic link is followed and stays a link; a pipe or a device is written to and never replaced.
The work is the Rust core's (`durable.rs`), so both languages write alike. Lines that are appended while work goes on
have `LineFile`. An output that is also an input is refused by `refuse_input_as_output`.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

__all__ = [
    "LineFile",
    "flush_folder",
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
_TEMPORARY_NAME = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")  # as durable.rs gives them,
_MAX_SHOWN_CHARACTERS = 50  # with as much of the final name
_MODEL_FILES = ("model.safetensors", "config.json", "adapter_model.safetensors", "adapter_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe")
_RUN_FILES = ("metrics.jsonl", "samples.jsonl", "changes.jsonl", "environment.json", "config.toml", "state.json")
_FOLDERS_FILES = (*_MODEL_FILES, *_TOKENIZER_FILES, *_RUN_FILES, "pytorch_model.bin", "manifest.json")
_CHECKPOINT_FILES = ("state.json", "optimizer.safetensors")
_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Make the file `path` hold `content`, or leave it as it was.

    Raises:
        OSError: The system refuses, as on a full disk; names the file.

    >>> folder = getfixture("tmp_path")
    >>> write_bytes(folder / "ids.bin", b"123")
    >>> (folder / "ids.bin").read_bytes()
    b'123'
    """
    write_whole(os.fspath(path), content)


def write_text(path: str | os.PathLike[str], text: str, *, errors: str = "strict") -> None:
    r"""Make the file `path` hold `text` in UTF-8, its newlines as they are; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8", errors))


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[DurableFile]:
    """Yield a file to `write` to piece by piece; it gets its name when the block ends without an error."""
    file = DurableFile(os.fspath(path))
    try:
        yield file
        file.commit()
    finally:
        file.discard()


def write_with(path: str | os.PathLike[str], fill: Callable[[Path], object]) -> None:
    """Let a library that writes files by name write `path`: `fill` gets the temporary file's name.

    The library may replace that file by one of its own, with any mode: the umask's mode is what it gets.
    """
    with new_file(path) as file:
        if file.temporary is not None:
            with naming_errors(path):
                fill(file.temporary)
            file.reopen()
            return
        with tempfile.TemporaryDirectory() as folder:  # for a pipe or a device
            fill(content := Path(folder) / "content")
            with content.open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    file.write(piece)


def move_into(source: Path, folder: Path) -> None:
    """Give a file that a library wrote into a temporary folder its place in `folder`, on the same file system."""
    write_with(folder / source.name, lambda temporary: source.rename(temporary))


def open_without_links(path: Path, flags: int) -> int:
    """Open a regular file of our own, made when missing; give its descriptor.

    Raises:
        OSError: A symbolic link, a pipe or a device has the name; names it.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | _NO_LINK | _NEVER_WAIT, 0o666)
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
    """Open a log to append to, made when missing; a link of that name is refused."""
    return os.fdopen(open_without_links(path, os.O_WRONLY | os.O_APPEND), "ab")


class LineFile:
    r"""A file of lines that grows while work goes on; each line is in the file when `append` returns.

    Args:
        path: The file; it is replaced.
        kept: The lines that it begins with, such as those that an earlier process wrote in full.

    >>> path = getfixture("tmp_path") / "lines.txt"
    >>> lines = LineFile(path, "one\n")
    >>> lines.append("two\n")
    >>> lines.close()
    >>> path.read_text()
    'one\ntwo\n'
    """

    def __init__(self, path: Path, kept: str = "", *, errors: str = "strict") -> None:
        self._path, self._errors = path, errors
        write_text(path, kept, errors=errors)
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_APPEND)

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
    """Give the system's errors the name of the file that was to be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error


def flush_folder(folder: Path) -> None:
    """Make new names in `folder` survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # folders cannot be flushed here
            raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path, names: Collection[str]) -> None:
    """Delete temporary files that killed processes left in a folder; without the folder, do nothing.

    Args:
        folder: Locked by the caller, so that nobody is writing these files now.
        names: The files that they would have become. What others write here stays.

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
    """Refuse an output that is one of the inputs, before anything is written.

    Files and folders are compared by device and inode, so through links too. What is neither can be both.

    Args:
        output: A file or a folder, there or not; None and `-` pass. Of a folder its model's files count too.
        inputs: Files and folders; of a folder the files that a model, a tokenizer, shards or a run have in it.
            Names of other things, such as a hub's, pass.
        walk: Whether all files below the inputs are read, as of a corpus.

    Raises:
        ArgumentError: They are the same; names both.

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
    """Refuse an output that is a run's checkpoint or lies in one, before anything is written.

    A checkpoint's files fit each other by their hashes: one of them written anew makes all of them useless.

    Raises:
        ArgumentError: It is; names the checkpoint.

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
    """Device and inode of a file or folder; None for anything else, and where there is nothing."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    is_kept = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return (found.st_dev, found.st_ino) if is_kept else None
