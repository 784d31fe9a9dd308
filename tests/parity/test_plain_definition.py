"""Training without a split equals the definition of byte-level BPE written in plain Python."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bytemill import Tokenizer


def plain_merges(data: bytes, n_merges: int) -> list[tuple[bytes, bytes]]:
    """Count all neighbours, merge the pair counted most (the first met among equals), again and again."""
    ids, token = list(data), {byte: bytes([byte]) for byte in range(256)}
    merges: list[tuple[bytes, bytes]] = []
    while len(merges) < n_merges:
        counts = Counter(pairwise(ids))
        if not counts:
            break
        best = max(counts, key=counts.__getitem__)
        new, merged, i = 256 + len(merges), [], 0
        while i < len(ids):
            if tuple(ids[i : i + 2]) == best:
                merged.append(new)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        ids = merged
        token[new] = token[best[0]] + token[best[1]]
        merges.append((token[best[0]], token[best[1]]))
    return merges


@given(data=st.binary(max_size=300) | st.text(alphabet="ab ", max_size=300).map(str.encode))
def test_random_bytes(data: bytes) -> None:
    trained = Tokenizer.train(texts=[data], vocab_size=286, pattern=None, special_tokens=())
    assert trained.merges == plain_merges(data, 30)


def test_pku_manual(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("pku_manual/manual.txt")
    trained = Tokenizer.train(files=[path], vocab_size=1_024, pattern=None, special_tokens=())
    assert trained.n_vocab == 1_024
    assert trained.merges == plain_merges(path.read_bytes(), 768)
