"""Count the documents that stay whole in rows of T tokens, with chunk and best-fit packing.

    python benches/packing.py SHARDS [--seq-len 512 --seq-len 1024 …] [--docs]

The count uses the loader's output: a piece is a whole document if it begins with end-of-text and the target of its last
token is the next end-of-text. Documents longer than a row cannot be whole, and are counted separately.
"""

import argparse
import itertools
import time
from pathlib import Path

import page
from bytemill import _core
from bytemill.data import TokenLoader, read_manifest


def whole_documents(shards: Path, seq_len: int, packing: str) -> tuple[int, int, float]:
    """Return the number of documents that are whole in a row, their tokens, and CPU seconds of the epoch."""
    began = time.process_time()
    loader = TokenLoader(shards, batch_size=1, seq_len=seq_len, packing=packing, shuffle=False, documents="cu_seqlens")
    end_of_text = read_manifest(shards).end_of_text
    n_whole = n_tokens = 0
    for _ in range(loader.n_samples):
        inputs, targets, bounds = next(loader)
        for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if end > first and inputs[0, first] == end_of_text and targets[0, end - 1] == end_of_text:
                n_whole, n_tokens = n_whole + 1, n_tokens + end - first
    return n_whole, n_tokens, time.process_time() - began


def rows(shards: Path, seq_lens: list[int]) -> list[list[str]]:
    """Return one row of the table per length."""
    lengths = document_lengths(shards)
    found = []
    for seq_len in seq_lens:
        fitting = [length for length in lengths if length <= seq_len]
        row = [f"{seq_len:,}", f"{len(fitting) / len(lengths):.1%}"]
        for packing in ("chunk", "bestfit"):
            n_whole, n_tokens, seconds = whole_documents(shards, seq_len, packing)
            row += [f"{n_whole / len(fitting):.1%}", f"{n_tokens / sum(lengths):.1%}"]
            print(packing, seq_len, f"{seconds:.2f} s")
        found.append(row)
    return found


def document_lengths(shards: Path) -> list[int]:
    """Return the number of tokens of each document of the training split."""
    reader = _core.SplitReader(str(shards), "train")
    starts = [*reader.document_starts().tolist(), len(reader)]
    return [end - start for start, end in itertools.pairwise(starts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--seq-len", type=int, action="append")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    columns = ["T", "documents that fit", "whole, chunk", "of all tokens", "whole, bestfit", "of all tokens"]
    table = page.table(columns, rows(options.shards, options.seq_len or [512, 1_024, 2_048]))
    text = "\n\n".join(["## Packing", table, page.provenance(page.command_line(), ["torch"])])
    print(text)
    if options.docs:
        page.write_section("loader", "packing", text)


if __name__ == "__main__":
    main()
