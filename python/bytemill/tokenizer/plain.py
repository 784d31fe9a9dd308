r"""Byte-level BPE by definition: train, encode and decode in plain Python. Start reading here.

    text ── split ──> words of bytes ── merge pairs ──> ids

`train` learns which pairs to merge, and in which order; `encode` merges them. A merge replaces two adjacent ids by a
new one. The first merge makes id 256, the next 257, and so on. This is slow on purpose: training counts every pair
again for each merge, and encoding searches every word again for each merge. The Rust core gives the same merges and
ids, and the tests compare it with this file.

Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; on bytes, Radford et al. 2019.

>>> merges = train("low lower lowest", vocab_size=259)
>>> vocabulary(merges)[256:]
[b'lo', b'low', b' low']
>>> encode("lowly", merges)
[257, 108, 121]
>>> decode([257, 108, 121], merges)
'lowly'

A pattern splits the text into words, and no merge crosses words:

>>> vocabulary(train("so. so. so.", vocab_size=258))[256:]
[b'so', b'so.']
>>> vocabulary(train("so. so. so.", vocab_size=258, pattern=GPT2_PATTERN))[256:]
[b'so', b' so']
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

try:
    import regex as re  # knows \p{L} (letters) and \p{N} (digits), which GPT-2's pattern needs: pip install regex
except ImportError:
    import re

__all__ = ["GPT2_PATTERN", "Merges", "decode", "encode", "train", "vocabulary"]

Merges = dict[tuple[int, int], int]
"""The id that replaces each adjacent pair, in training order."""

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train(text: str | bytes, vocab_size: int, pattern: str | None = None) -> Merges:
    """Merge the most frequent pair repeatedly; among equal counts, the pair seen first in the text."""
    words = _split(text, pattern)
    merges: Merges = {}
    for new_id in range(256, vocab_size):
        counts: Counter[tuple[int, int]] = Counter()
        for word in words:
            counts.update(pairwise(word))
        if not counts:
            break
        best = max(counts, key=counts.__getitem__)  # of several, the pair seen first: a Counter keeps the order
        words = [_merge(word, best, new_id) for word in words]
        merges[best] = new_id
    return merges


def encode(text: str | bytes, merges: Merges, pattern: str | None = None) -> list[int]:
    """Split the text into words of bytes and apply the merges in training order; use the pattern of the training.

    Each turn replaces all occurrences of the earliest merge. That equals replacing only the leftmost one each time: the
    new id occurs only in later merges, so the other occurrences would come next.
    """
    ids: list[int] = []
    for word in _split(text, pattern):
        while known := [pair for pair in pairwise(word) if pair in merges]:
            earliest = min(known, key=merges.__getitem__)
            word = _merge(word, earliest, merges[earliest])
        ids += word
    return ids


def decode(ids: Iterable[int], merges: Merges) -> str:
    """Join the bytes of the ids; invalid UTF-8 becomes U+FFFD, the replacement character."""
    tokens = vocabulary(merges)
    return b"".join(tokens[i] for i in ids).decode("utf-8", errors="replace")


def vocabulary(merges: Merges) -> list[bytes]:
    """Return the bytes of every id: the 256 bytes, then the merged tokens."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def _split(text: str | bytes, pattern: str | None) -> list[list[int]]:
    """Return the words as lists of bytes: the pattern's matches and the text between them.

    Groups in a pattern must have the form (?:…): what other groups match, `re.split` returns as further words.
    """
    words = [text] if pattern is None else re.split(f"({pattern})", text)
    return [list(word.encode() if isinstance(word, str) else word) for word in words if word]


def _merge(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replace every occurrence of the pair, from left to right."""
    merged: list[int] = []
    for i in ids:
        if merged and (merged[-1], i) == pair:
            merged[-1] = new_id
        else:
            merged.append(i)
    return merged
