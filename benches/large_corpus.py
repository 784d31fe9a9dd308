"""Make a corpus of any size with an ever-growing number of distinct words, for training with a memory limit.

Real text is repeated; in each copy one letter of every 40th word is replaced by an ideograph, both chosen by a seed. So
the number of distinct pretokens grows with the corpus, as in real text, and the file is the same on every machine. It
is written as a stream, so memory is proportional to one copy.

    python benches/large_corpus.py --text english.txt --text code.txt --gigabytes 10 --out big.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

EVERY = 40  # words
IDEOGRAPHS = range(0x4E00, 0x9FA6)  # letters of 3 bytes each


def words(text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the start and the length of each run of ASCII letters."""
    folded = text | 0x20
    letter = np.concatenate(([False], (folded >= ord("a")) & (folded <= ord("z")), [False]))
    edges = np.flatnonzero(letter[1:] != letter[:-1])
    return edges[::2], edges[1::2] - edges[::2]


def changed(text: np.ndarray, starts: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a copy of `text` with one letter replaced in every 40th word; `rng` chooses the first word."""
    chosen = slice(int(rng.integers(EVERY)), None, EVERY)
    places = starts[chosen] + rng.integers(lengths[chosen])
    codes = rng.integers(IDEOGRAPHS.start, IDEOGRAPHS.stop, len(places))
    copy = np.insert(text, np.repeat(places, 2), 0)
    at = places + 2 * np.arange(len(places))
    copy[at], copy[at + 1], copy[at + 2] = 0xE0 | codes >> 12, 0x80 | codes >> 6 & 0x3F, 0x80 | codes & 0x3F
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="append", type=Path, required=True, help="UTF-8; several make one copy")
    parser.add_argument("--gigabytes", type=float, default=10, help="size of the corpus; the last copy is truncated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    text = np.frombuffer(b"".join(path.read_bytes() for path in arguments.text), dtype=np.uint8)
    starts, lengths = words(text)
    rng = np.random.default_rng(arguments.seed)
    left = int(arguments.gigabytes * 1e9)
    with arguments.out.open("wb") as out:
        while left > 0:
            copy = changed(text, starts, lengths, rng)[:left]
            out.write(copy.tobytes())
            left -= len(copy)


if __name__ == "__main__":
    main()
