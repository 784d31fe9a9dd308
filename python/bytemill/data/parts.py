"""Prepare a corpus file by file, in a job array or on a Ray cluster, and merge the parts.

Each input file becomes its own folder of shards, so the output depends on the inputs and not on the number of workers.
Documents are shuffled within their file. An existing part stays unchanged, so running a task again, or twice, changes
no byte.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill import _core
from bytemill.data.manifest import Manifest, read_manifest
from bytemill.data.prepare import prepare
from bytemill.errors import ArgumentError
from bytemill.files import refuse_input_as_output, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bytemill.tokenizer import Tokenizer

__all__ = ["find_files", "merge", "part_folder", "prepare_on_ray", "prepare_part", "prepare_parts"]

RETRIES = 3


def find_files(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files of `sources` in the order of `prepare`: folders walked, sorted by name, without dotfiles."""
    files: list[Path] = []
    for source in map(Path, sources):
        files.extend(_walk(source) if source.is_dir() else [source])
    return files


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            found.extend(_walk(path))
        elif path.is_file() or not path.exists():  # `prepare` reports a broken link
            found.append(path)
    return found


def part_folder(out_dir: str | Path, number: int) -> Path:
    """Return the folder for the shards of the `number`-th input file."""
    return Path(out_dir) / f"part_{number:06}"


def prepare_part(source: Path, folder: Path, tokenizer: Tokenizer, options: dict[str, Any]) -> str:
    """Prepare the shards of one file in `folder`; return the root hash."""
    return prepare(source, folder, tokenizer=tokenizer, **options).root_sha256


def prepare_parts(
    sources: Sequence[str | Path],
    out_dir: str | Path,
    *,
    tokenizer: Tokenizer,
    shard_of: tuple[int, int],
    **options: Any,
) -> list[Path]:
    """Prepare the files of task i of n: files i, i + n, … of `sources`, each into its own folder.

    Args:
        sources: As in `prepare`.
        out_dir: Where the folders `part_000000`, … go; the same for all tasks.
        tokenizer: As in `prepare`.
        shard_of: (i, n), with i from 1 to n.
        options: As in `prepare`.

    Returns:
        The folders written, to be merged once all tasks are done.

    Raises:
        ArgumentError: `shard_of` is invalid.
    """
    task, n_tasks = shard_of
    if not 1 <= task <= n_tasks:
        raise ArgumentError(f"shard_of is {task}/{n_tasks}, expected i/n with i from 1 to n")
    refuse_input_as_output(out_dir, sources)
    mine = list(enumerate(find_files(sources)))[task - 1 :: n_tasks]
    for number, source in mine:
        prepare_part(source, part_folder(out_dir, number), tokenizer, options)
    return [part_folder(out_dir, number) for number, _ in mine]


def merge(folders: Sequence[str | Path], out_dir: str | Path) -> Manifest:
    """Merge the shards of several folders, in this order, into one new folder; every byte is checked.

    Raises:
        FormatError: A shard is damaged, or `out_dir` already has shards.
        ArgumentError: The folders were made with different tokenizers, or one of them is `out_dir`.
    """
    refuse_input_as_output(out_dir, folders)
    _core.merge_shards([str(folder) for folder in folders], str(out_dir))
    own = Path(folders[0]) / "tokenizer.json"  # shards of earlier versions have no tokenizer
    if own.is_file():
        write_bytes(Path(out_dir) / own.name, own.read_bytes())
    return read_manifest(out_dir)


def prepare_on_ray(
    sources: Sequence[str | Path],
    out_dir: str | Path,
    *,
    tokenizer: Tokenizer,
    address: str | None = None,
    task: Callable[..., str] = prepare_part,
    **options: Any,
) -> Manifest:
    """Prepare each file as a Ray task, then merge; tokens do not go through Ray's object store.

    A task is retried if its worker dies; its output depends on the file only, so the result is the same. All machines
    must have `sources` and `out_dir` under the same paths.

    Args:
        sources: As in `prepare`.
        out_dir: The folder for the parts and for `merged`, the folder with the merged shards.
        tokenizer: As in `prepare`.
        address: The cluster's address, such as "auto" or "ray://host:10001"; None uses a running cluster or starts one.
        task: The function to run for each file.
        options: As in `prepare`.
    """
    import ray

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    remote = ray.remote(max_retries=RETRIES, retry_exceptions=False)(task)
    out_dir = Path(out_dir).resolve()
    shared_tokenizer = ray.put(tokenizer)
    files = list(enumerate(find_files(sources)))
    running = [
        remote.remote(file.resolve(), part_folder(out_dir, number), shared_tokenizer, options) for number, file in files
    ]
    ray.get(running)
    return merge([part_folder(out_dir, number) for number, _ in files], out_dir / "merged")
