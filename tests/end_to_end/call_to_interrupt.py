"""One long call of the core, by name, in which a signal's handler raises KeyboardInterrupt.

`python call_to_interrupt.py NAME FOLDER` prints how the call ended. An alarm rings all the time, and its handler raises
when it runs for the third time. Python runs it once when a call that looks for no signals has returned, so such a call
is finished by then. No clock decides, as long as the call takes longer than three looks.
"""

from __future__ import annotations

import base64
import itertools
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bytemill import Tokenizer, _core
from bytemill.data import TokenLoader, merge, prepare, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]
    Case = Callable[[int], Call]

WORD = r"\w+|\W+"
ALARM_SECONDS = 0.02
RAISING_ALARM = 3
# How long the whole call takes, about, if nobody interrupts it: long calls look ten times a second.
FULL_SECONDS = 1.5
# Those that read files report their progress, and look, each 20 milliseconds; a second of them is gigabytes.
FULL_SECONDS_OF_FILES = 0.4
OF_FILES = {"verify", "merge", "loader_open", "load"}
CALIBRATED_FROM_SECONDS = 0.1

draw = random.Random(5)
LETTERS = "".join(draw.choices("abcdefgh", k=60_000))
WORDS = " ".join("".join(draw.choices("abcdefghijklmnop", k=draw.randint(9, 14))) for _ in range(5_000)) + "\n"
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()


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


def on_words(pattern: str | None, method: str, **options: object) -> Case:
    """A call on text of many words, or of letters without a pattern, of which none is remembered."""
    call, text = getattr(tokenizer(pattern), method), LETTERS if pattern is None else WORDS
    return lambda n: partial(call, text * n, **options)


def on_ids(method: str) -> Case:
    made = tokenizer("gpt2")
    ids = made.encode_ordinary(WORDS)
    return lambda n: partial(getattr(made, method), ids * n)


def on_texts(method: str) -> Case:
    call = getattr(tokenizer("gpt2"), method)
    return lambda n: partial(call, [WORDS[:5_000]] * (12 * n), threads=2)


def on_file(method: str, *arguments: object) -> Case:
    call = getattr(tokenizer("gpt2"), method)
    return lambda n: partial(call, written(WORDS, n), *arguments)


def one_piece(n: int) -> Call:
    """One pretoken of small pieces."""
    made = Tokenizer.train(texts=["ab" * 40], vocab_size=300, pattern=None, special_tokens=())
    return partial(made.encode_ordinary, "".join(draw.choices("ab", k=20_000)) * n)


def one_long_text_of_a_batch(n: int) -> Call:
    """The caller's thread takes the short text and waits for the other."""
    return partial(tokenizer(WORD).encode_batch, ["a " * 40_000, WORDS * n], threads=2)


def not_utf8(n: int) -> Call:
    return partial(tokenizer("gpt2").encode_bytes, (WORDS + "\xe9").encode("latin-1") * n)


def decode_batch(n: int) -> Call:
    made = tokenizer("gpt2")
    return partial(made.decode_batch, [made.encode_ordinary("short text")] * (20_000 * n))


def train_on_a_file(n: int) -> Call:
    """One document, which the pattern gives no place to cut."""
    return partial(Tokenizer.train, files=written(WORDS, n), vocab_size=257, pattern=WORD, threads=2)


def train_on_texts(n: int) -> Call:
    return partial(Tokenizer.train, texts=[WORDS * n], vocab_size=257, pattern=WORD, threads=1)


def train_merging(n: int) -> Call:
    text = " ".join("".join(draw.choices("abcdefghijklmnop", k=12)) for _ in range(3_000 * n))
    return partial(Tokenizer.train, texts=[text], vocab_size=20_000)


def prepared(n: int, pattern: str) -> Call:
    return partial(prepare, written(WORDS, n), folder / f"to_{n}", tokenizer=tokenizer(pattern), threads=2, val=0.0)


def load(n: int) -> Call:
    """Ranks of all bytes, all pairs of them, and some strings of three."""
    saved = folder / f"{n}.tiktoken"
    tokens = itertools.chain.from_iterable(itertools.product(range(256), repeat=length) for length in (1, 2, 3))
    with saved.open("w") as file:
        for rank, token in enumerate(itertools.islice(tokens, 50_000 * (n + 1))):
            print(base64.b64encode(bytes(token)).decode(), rank, file=file)
    return partial(Tokenizer.load, saved, pattern=None)


def loader(n: int) -> Call:
    return partial(TokenLoader, shards(20 * n), batch_size=1, seq_len=8, packing="bestfit", documents="cu_seqlens")


CASES: dict[str, Callable[[], Case]] = {
    "encode": lambda: on_words("gpt2", "encode"),
    "encode_ordinary": lambda: on_words("gpt2", "encode_ordinary"),
    "encode_by_regex": lambda: on_words(WORD, "encode_ordinary"),
    "encode_without_pattern": lambda: on_words(None, "encode_ordinary"),
    "encode_one_piece": lambda: one_piece,
    "encode_to_numpy": lambda: on_words("gpt2", "encode_to_numpy"),
    "encode_with_offsets": lambda: on_words("gpt2", "encode_with_offsets"),
    "encode_bytes": lambda: not_utf8,
    "count": lambda: on_words("gpt2", "count"),
    "count_until": lambda: on_words("gpt2", "count_until", limit=10**9),
    "pretokens": lambda: on_words(WORD, "pretokens"),
    "encode_batch": lambda: on_texts("encode_batch"),
    "encode_ordinary_batch": lambda: on_texts("encode_ordinary_batch"),
    "encode_batch_to_numpy": lambda: on_texts("encode_batch_to_numpy"),
    "encode_batch_of_one_long_text": lambda: one_long_text_of_a_batch,
    "encode_file": lambda: on_file("encode_file"),
    "encode_to_file": lambda: on_file("encode_to_file", folder / "ids.bin"),
    "decode": lambda: on_ids("decode"),
    "decode_with_offsets": lambda: on_ids("decode_with_offsets"),
    "decode_tokens_bytes": lambda: on_ids("decode_tokens_bytes"),
    "decode_batch": lambda: decode_batch,
    "train_on_a_file": lambda: train_on_a_file,
    "train_on_texts": lambda: train_on_texts,
    "train_merging": lambda: train_merging,
    "prepare": lambda: partial(prepared, pattern="gpt2"),
    "prepare_one_document": lambda: partial(prepared, pattern=WORD),
    "verify": lambda: lambda n: partial(verify, shards(20 * n)),
    "merge": lambda: lambda n: partial(merge, [shards(20 * n)] * 3, folder / f"merged_{n}"),
    "loader_open": lambda: loader,
    "read_documents": lambda: (
        lambda n: partial(_core.read_documents, [str(written('{"text": "a b"}\n' * 3_000, n, "rows.jsonl"))])
    ),
    "load": lambda: load,
}

# Of these no input that fits in memory takes as long.
MOST: dict[str, int] = {"decode": 1_000, "load": 60}


def main() -> None:
    name = sys.argv[1]
    full_seconds = FULL_SECONDS_OF_FILES if name in OF_FILES else FULL_SECONDS
    make, n, most = CASES[name](), 1, MOST.get(name, 1 << 20)
    while True:
        call = make(n)
        began = time.monotonic()
        call()
        if (took := time.monotonic() - began) > CALIBRATED_FROM_SECONDS or n >= most:
            break
        n *= 2
    call = make(min(int(n * full_seconds / took) + 1, most))
    try:
        ring_in(call)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    else:
        print("finished", flush=True)


def ring_in(call: Call) -> None:
    """Call it while the alarm rings."""
    numbers = itertools.count(1)

    def ring(_number: int, _frame: object) -> None:
        if next(numbers) == RAISING_ALARM:
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS, ALARM_SECONDS)
    try:
        call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
