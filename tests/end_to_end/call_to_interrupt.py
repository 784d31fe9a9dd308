"""One long call of the core, by name: makes its input so long that the call takes seconds, then says so and calls.

`python call_to_interrupt.py NAME FOLDER` prints `go` just before the call, and how the call ended after it.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bytemill import Tokenizer, _core
from bytemill.data import TokenLoader, merge, prepare, verify

if TYPE_CHECKING:
    from collections.abc import Callable

# How long the whole call takes, about, if nobody interrupts it.
FULL_SECONDS = 10.0
CALIBRATED_FROM_SECONDS = 0.2

draw = random.Random(5)
LETTERS = "".join(draw.choices("abcdefgh", k=60_000))
WORDS = " ".join("".join(draw.choices("abcdefghijklmnop", k=draw.randint(9, 14))) for _ in range(5_000)) + "\n"
folder = Path(sys.argv[2])


def tokenizer(pattern: str | None) -> Tokenizer:
    texts = [LETTERS[:20_000] if pattern is None else WORDS[:20_000]]
    return Tokenizer.train(texts=texts, vocab_size=600, pattern=pattern)


def written(text: str, times: int, name: str = "text.txt") -> Path:
    with (folder / name).open("w") as file:
        for _ in range(times):
            file.write(text)
    return folder / name


def shards(times: int, name: str = "shards") -> Path:
    made = folder / f"{name}_{times}"
    if not made.exists():
        prepare(written(WORDS, times), made, tokenizer=tokenizer("gpt2"), val=0.0)
    return made


def encode_words(pattern: str | None, method: str, **options: object) -> Callable[[int], Callable[[], object]]:
    """A call of `method` on text of many words, none of which is remembered."""
    made = tokenizer(pattern)
    return lambda n: lambda text=(WORDS if pattern else LETTERS) * n: getattr(made, method)(text, **options)


def one_piece(n: int) -> Callable[[], object]:
    """One piece whose windows never agree, so that it is merged as a whole."""
    made = Tokenizer.train(texts=["ab" * 40], vocab_size=300, pattern=None, special_tokens=())
    text = "".join(draw.choices("ab", k=20_000 * n))
    return lambda: made.encode_ordinary(text)


def batch(method: str) -> Callable[[int], Callable[[], object]]:
    made = tokenizer("gpt2")
    return lambda n: lambda texts=[WORDS[:5_000]] * (12 * n): getattr(made, method)(texts, threads=2)


def one_long_text_of_a_batch(n: int) -> Callable[[], object]:
    """The caller's thread takes the short text and waits for the other."""
    made = tokenizer(r"\w+|\W+")
    return lambda: made.encode_batch(["a " * 40_000, WORDS * n], threads=2)


def decode(method: str) -> Callable[[int], Callable[[], object]]:
    made = tokenizer("gpt2")
    return lambda n: lambda ids=made.encode_ordinary(WORDS) * n: getattr(made, method)(ids)


def decode_batch(n: int) -> Callable[[], object]:
    made = tokenizer("gpt2")
    return lambda ids=[made.encode_ordinary("short text")] * (20_000 * n): made.decode_batch(ids)


def encode_file(n: int) -> Callable[[], object]:
    return lambda made=tokenizer("gpt2"), path=written(WORDS, n): made.encode_file(path, threads=2)


def encode_to_file(n: int) -> Callable[[], object]:
    return lambda made=tokenizer("gpt2"), path=written(WORDS, n): made.encode_to_file(path, folder / "ids.bin")


def train_counting(n: int) -> Callable[[], object]:
    """One document, which the pattern gives no place to cut."""
    path = written(WORDS, n)
    return lambda: Tokenizer.train(files=path, vocab_size=257, pattern=r"\w+|\W+", threads=2)


def train_texts(n: int) -> Callable[[], object]:
    return lambda: Tokenizer.train(texts=[WORDS * n], vocab_size=257, pattern=r"\w+|\W+", threads=1)


def train_merging(n: int) -> Callable[[], object]:
    text = "".join(draw.choices("abcdefghijklmnop", k=30_000 * n))
    return lambda: Tokenizer.train(texts=[text], vocab_size=30_000, pattern=None)


def prepare_words(n: int) -> Callable[[], object]:
    path = written(WORDS, n)
    return lambda: prepare(path, folder / f"prepared_{n}", tokenizer=tokenizer("gpt2"), threads=2)


def prepare_one_document(n: int) -> Callable[[], object]:
    """A thread works on one document while the caller waits."""
    path = written(WORDS, n)
    return lambda: prepare(path, folder / f"prepared_{n}", tokenizer=tokenizer(r"\w+|\W+"), threads=2, val=0.0)


def load(n: int) -> Callable[[], object]:
    saved = folder / f"ranks_{n}.tiktoken"
    if not saved.exists():
        text = "".join(draw.choices("abcdefghijklmnop", k=20_000 * n))
        Tokenizer.train(texts=[text], vocab_size=256 + 3_000 * n, pattern=None, special_tokens=()).save(
            saved, format="tiktoken"
        )
    return lambda: Tokenizer.load(saved, pattern=None)


CASES: dict[str, Callable[[int], Callable[[], object]]] = {
    "encode": encode_words("gpt2", "encode"),
    "encode_ordinary": encode_words("gpt2", "encode_ordinary"),
    "encode_by_regex": encode_words(r"\w+|\W+", "encode_ordinary"),
    "encode_without_pattern": encode_words(None, "encode_ordinary"),
    "encode_one_piece": one_piece,
    "encode_to_numpy": encode_words("gpt2", "encode_to_numpy"),
    "encode_with_offsets": encode_words("gpt2", "encode_with_offsets"),
    "encode_bytes": lambda n: lambda made=tokenizer("gpt2"), data=(WORDS + "\xe9").encode("latin-1") * n: (
        made.encode_bytes(data)
    ),
    "count": encode_words("gpt2", "count"),
    "count_until": encode_words("gpt2", "count_until", limit=10**9),
    "pretokens": encode_words(r"\w+|\W+", "pretokens"),
    "encode_batch": batch("encode_batch"),
    "encode_ordinary_batch": batch("encode_ordinary_batch"),
    "encode_batch_to_numpy": batch("encode_batch_to_numpy"),
    "encode_batch_of_one_long_text": one_long_text_of_a_batch,
    "encode_file": encode_file,
    "encode_to_file": encode_to_file,
    "decode": decode("decode"),
    "decode_with_offsets": decode("decode_with_offsets"),
    "decode_tokens_bytes": decode("decode_tokens_bytes"),
    "decode_batch": decode_batch,
    "train_counting_files": train_counting,
    "train_counting_texts": train_texts,
    "train_merging": train_merging,
    "prepare": prepare_words,
    "prepare_one_document": prepare_one_document,
    "verify": lambda n: lambda made=shards(20 * n): verify(made),
    "merge": lambda n: lambda made=shards(20 * n): merge([made] * 3, folder / f"merged_{n}"),
    "loader_open": lambda n: lambda made=shards(20 * n): TokenLoader(
        made, batch_size=1, seq_len=8, packing="bestfit", documents="cu_seqlens"
    ),
    "read_documents": lambda n: lambda path=written('{"text": "a b"}\n' * 3_000, n, "rows.jsonl"): (
        _core.read_documents([str(path)])
    ),
    "load": load,
}

# Of these no input that fits in memory takes ten seconds.
MOST: dict[str, int] = {"decode": 1_000, "load": 20}


def main() -> None:
    make, n = CASES[sys.argv[1]], 1
    while True:
        call = make(n)
        began = time.monotonic()
        call()
        if (took := time.monotonic() - began) > CALIBRATED_FROM_SECONDS or n >= MOST.get(sys.argv[1], 1 << 20):
            break
        n *= 2
    call = make(min(int(n * FULL_SECONDS / took) + 1, MOST.get(sys.argv[1], 1 << 20)))
    print("go", flush=True)
    try:
        call()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    else:
        print("finished", flush=True)


if __name__ == "__main__":
    main()
