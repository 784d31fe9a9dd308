"""Run one of the trainers that train_vocabulary.py compares, and write its figures and tokens.

CPU seconds are those of the call only. Memory is the peak resident memory during the call minus that before it.

    python benches/trainers.py gigabpe english.txt gpt2 32768 1 out.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = {
    "gpt2": GPT2,
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    "none": r"[\s\S]+",
}
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {chr(256 + at): byte for at, byte in enumerate(OTHERS)}

Task = tuple[Path, str, int, int]  # text, pattern, vocabulary with the 256 bytes and no special tokens, threads
Merged = list[bytes]  # the tokens in the order of their merges


def from_printable(token: str) -> bytes:
    return bytes(BYTE_OF[character] for character in token)


def tokenizers(task: Task) -> Callable[[], Merged]:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    path, pattern, vocab_size, _ = task
    tokenizer = Tokenizer(models.BPE())
    if pattern == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)

    def run() -> Merged:
        tokenizer.train([str(path)], trainer)
        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        return [from_printable("".join(pair)) for pair in merges]

    return run


def gigabpe(task: Task) -> Callable[[], Merged]:
    import gigabpe

    path, _, vocab_size, threads = task
    options = {"special_tokens": [], "pretokenizer": "bytelevel", "threads": threads}

    def run() -> Merged:
        # Its vocabulary has only the bytes that occur in the text, so it learns a few more merges.
        merges = gigabpe.train_bpe([str(path)], vocab_size, **options)[1][: vocab_size - 256]
        return [from_printable(left + right) for left, right in merges]

    return run


def gigatoken(task: Task) -> Callable[[], Merged]:
    import gigatoken

    path, _, vocab_size, _ = task
    return lambda: [left + right for left, right in gigatoken.train_bpe(path, vocab_size, [])[1]]


def ffbpe(task: Task) -> Callable[[], Merged]:
    from ffbpe import BpeTrainer, PreTokenizer

    path, pattern, vocab_size, _ = task

    def run() -> Merged:
        # Like its train_bpe, which has no parameter for a pattern.
        counter = PreTokenizer([], pat_str=None if pattern == "gpt2" else PATTERNS[pattern]).word_counter()
        with path.open(encoding="utf-8", newline="") as lines:
            counter.add_source(lines)
        trainer = BpeTrainer([])
        trainer.add_word_counter(counter)
        trainer.train(vocab_size)
        vocab = trainer.validate_model().vocab
        return [token for token in sorted(vocab, key=vocab.__getitem__) if len(token) > 1]

    return run


def rustbpe(task: Task) -> Callable[[], Merged]:
    import rustbpe

    path, pattern, vocab_size, _ = task
    tokenizer = rustbpe.Tokenizer()

    def run() -> Merged:
        with path.open(encoding="utf-8", newline="") as lines:
            texts = [lines.read()] if pattern == "none" else lines
            tokenizer.train_from_iterator(texts, vocab_size, pattern=PATTERNS[pattern])
        return [bytes(token) for token, _ in tokenizer.get_mergeable_ranks()[256:]]

    return run


def minibperust(task: Task) -> Callable[[], Merged]:
    import MiniBpeRust

    path, pattern, vocab_size, _ = task
    tokenizer = MiniBpeRust.FastRegexTokenizer(PATTERNS[pattern])

    def run() -> Merged:
        tokenizer.train(path.read_text(encoding="utf-8"), vocab_size)
        return [tokenizer.vocab[index] for index in range(256, len(tokenizer.vocab))]

    return run


def bytemill(ties: str, feed: str) -> Callable[[Task], Callable[[], Merged]]:
    def prepare(task: Task) -> Callable[[], Merged]:
        from bytemill import Tokenizer

        path, name, vocab_size, threads = task
        pattern = None if name == "none" else name
        options = {"vocab_size": vocab_size, "pattern": pattern, "special_tokens": (), "threads": threads}
        return lambda: [left + right for left, right in Tokenizer.train(path, ties=ties, feed=feed, **options).merges]

    return prepare


OURS = {
    f"bytemill {ties} {feed}": bytemill(ties, feed)
    for ties in ("huggingface", "lowest_id", "first_seen")
    for feed in ("lines", "documents")
}
# Each rival, our run with the same rule, and the patterns that it supports.
RIVALS = {
    "gigabpe": (gigabpe, "bytemill huggingface lines", {"gpt2"}),
    "gigatoken": (gigatoken, "bytemill huggingface documents", {"gpt2"}),
    "ffbpe": (ffbpe, "bytemill lowest_id lines", {"gpt2", "cl100k"}),
    "rustbpe": (rustbpe, "bytemill lowest_id lines", {"gpt2", "cl100k"}),
    "minibperust": (minibperust, "bytemill first_seen documents", {"gpt2", "cl100k"}),
    "tokenizers": (tokenizers, "bytemill huggingface lines", {"gpt2", "cl100k"}),
}
MODULES = {name: name for name in RIVALS} | {"minibperust": "MiniBpeRust"}


def resident_kib(field: str) -> int:
    """Return this process's memory: VmRSS is the current value, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def work(name: str, task: Task, out: Path) -> None:
    """Run one trainer in this process and write figures and tokens to `out`."""
    prepared = (OURS | {rival: entry[0] for rival, entry in RIVALS.items()})[name](task)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # reset the peak
    before_kib = resident_kib("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    tokens = prepared()
    figures = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    figures["peak_mib"] = (resident_kib("VmHWM") - before_kib) / 1024
    out.write_text(json.dumps(figures | {"tokens": [token.hex() for token in tokens]}), encoding="utf-8")


if __name__ == "__main__":
    trainer, text, pattern_name, size, n_threads, target = sys.argv[1:]
    work(trainer, (Path(text), pattern_name, int(size), int(n_threads)), Path(target))
