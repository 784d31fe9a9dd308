"""Encode documents into token shards: the Python interface of the core's `prepare` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bytemill import _core
from bytemill.data.manifest import Manifest, read_manifest
from bytemill.errors import ArgumentError, refuse_negative
from bytemill.files import refuse_input_as_output, write_text
from bytemill.progress import PhaseProgress
from bytemill.tokenizer.companions import tokenizer_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.tokenizer import Tokenizer

__all__ = ["prepare", "verify"]


def prepare(
    sources: str | Path | Sequence[str | Path],
    out_dir: str | Path,
    *,
    tokenizer: Tokenizer,
    shard_tokens: int = 100_000_000,
    val: float | Literal["first_shard"] = 0.01,
    seed: int = 0,
    threads: int | None = None,
    text_field: str = "text",
    max_memory: int | None = None,
    check: bool = False,
    progress: bool = False,
) -> Manifest:
    """Encode documents into token shards with checksums; docs/formats.md describes the files.

    Documents are shuffled once, by `seed`. The same sources, tokenizer and options give the same bytes for any
    number of threads. A folder that already has this result stays unchanged. A folder of a killed run is
    completed: finished shards are checked and kept.

    Args:
        sources: Text files (one document each), .jsonl files (one document per line) or folders of them.
        out_dir: The folder to write; it also gets a copy of the tokenizer.
        tokenizer: Encodes the text; its end-of-text token is at the start of each document.
        shard_tokens: Tokens in a full shard, at most 100 million.
        val: The validation part: a fraction of the documents, chosen by `seed` (of a single document, the last tenth),
            or "first_shard".
        seed: Seed of the shuffle and of the validation part.
        threads: Threads for encoding; all cores if None.
        text_field: The field of a .jsonl row that holds the text.
        max_memory: Maximum bytes for buffered text and tokens and for the documents' positions (20 bytes each). Long
            texts are split where that changes no token; a row or passage that cannot be split and does not fit is
            refused. If None: about 40 MiB per thread, plus the needs of the longest row or passage.
        check: Decode all shards and compare them with the text; takes about 50 % more time. If the tokenizer changes
            text, as with NFC, the text is encoded again and the ids are compared.
        progress: Show progress on stderr.

    Returns:
        The manifest of the shards.

    Raises:
        OSError: A source cannot be read, or the disk is full.
        FormatError: A row is not JSON or lacks the field; the message names file and line. The folder has other shards.
            With `check`, a token does not match the text; the message names shard, document and position.
        ArgumentError: An argument is invalid, there is no text, `out_dir` is one of the sources, or `max_memory` is too
            small.

    Example:
        >>> from bytemill import Tokenizer
        >>> folder = getfixture("tmp_path")
        >>> _ = (folder / "a.txt").write_text("to be or not to be " * 50)
        >>> tokenizer = Tokenizer.train(files=[folder / "a.txt"], vocab_size=270)
        >>> manifest = prepare(folder / "a.txt", folder / "shards", tokenizer=tokenizer, val=0.1)
        >>> verify(folder / "shards")
        >>> manifest.documents("train")
        1
    """
    if val != "first_shard" and not isinstance(val, int | float):
        raise ArgumentError(f'val is {val!r}, expected a share of the documents or "first_shard"')
    refuse_negative(shard_tokens=shard_tokens, seed=seed, threads=threads, max_memory=max_memory)
    paths = _paths(sources)
    refuse_input_as_output(out_dir, paths)
    with _PrepareProgress(_PHASES, shown=progress) as shown:
        _core.prepare_shards(
            paths,
            str(out_dir),
            tokenizer=tokenizer,
            shard_tokens=shard_tokens,
            val=None if val == "first_shard" else val,
            seed=seed,
            threads=threads,
            text_field=text_field,
            max_memory=max_memory,
            check=check,
            progress=shown.update if progress else None,
        )
    write_text(Path(out_dir) / "tokenizer.json", tokenizer_json(tokenizer))
    return read_manifest(out_dir)


class _PrepareProgress(PhaseProgress):
    """Progress that shows bytes, speed and time left as in every phase, and also the tokens and their speed."""

    def update(self, phase: str, done: int, total: int, n_tokens: int = 0) -> None:
        super().update(phase, done, total)
        if self._bars and n_tokens:
            bar = self._bars.tasks[self._tasks[phase]]
            rate = n_tokens / max(bar.elapsed or 0.0, 1e-3)
            self._bars.update(bar.id, figures=f"{bar.fields['figures']}, {rate / 1e6:,.2f} M tokens/s")


def verify(
    out_dir: str | Path,
    *,
    against: str | Path | Sequence[str | Path] | None = None,
    tokenizer: Tokenizer | None = None,
    progress: bool = False,
) -> None:
    """Check every byte of a folder of shards against its checksums, and optionally its tokens against the text.

    Checksums find damage. Only a comparison with the text finds tokens that were written wrong.

    Args:
        out_dir: The folder of shards.
        against: The sources of the shards, in the same order: all tokens are decoded and compared with them, with
            constant memory use. File names may differ. If the tokenizer changes text, as with NFC, the text is encoded
            again and the ids are compared.
        tokenizer: The tokenizer of the shards; required with `against`.
        progress: Show progress of the comparison on stderr.

    Raises:
        FormatError: Something does not match; the message names shard and position, with `against` also the document.
        ArgumentError: The shards were made with another `against` or `tokenizer`, or only one of the two is given.
        OSError: A file is missing or cannot be read.

    Example:
        >>> from bytemill import Tokenizer
        >>> folder = getfixture("tmp_path")
        >>> _ = (folder / "a.txt").write_text("to be or not to be " * 50)
        >>> tokenizer = Tokenizer.train(files=[folder / "a.txt"], vocab_size=270)
        >>> _ = prepare(folder / "a.txt", folder / "shards", tokenizer=tokenizer, val=0.1)
        >>> verify(folder / "shards", against=folder / "a.txt", tokenizer=tokenizer)
    """
    if (against is None) != (tokenizer is None):
        given, missing = ("against", "tokenizer") if tokenizer is None else ("tokenizer", "against")
        raise ArgumentError(f"{missing} is None, expected a value, since {given} is given: comparing needs both")
    if against is None or tokenizer is None:
        _core.verify_shards(str(out_dir))
        return
    with _PrepareProgress(_PHASES, shown=progress) as shown:
        _core.compare_shards(
            str(out_dir), _paths(against), tokenizer=tokenizer, progress=shown.update if progress else None
        )


_PHASES = {"scanning": "bytes", "encoding": "bytes", "checking": "bytes"}


def _paths(sources: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(path) for path in ([sources] if isinstance(sources, str | Path) else sources)]
