"""Time and memory of training a vocabulary, beside the rivals; what they learn is compared first.

Each trainer runs in a process of its own, on one thread, with the file as Hugging Face feeds it (by line) or as a
whole, as the rival does. CPU seconds are those of the call alone, memory is the process's peak above what it had
before the call. A rival that learns other tokens than bytemill by the same rule is told, with the place.

    python benches/train_vocabulary.py --text english=en.txt --text code=code.txt --json out.json
    python benches/train_vocabulary.py --rivals-python ENV/bin/python --vocab-size 8192 --vocab-size 32768
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import sysconfig
import tempfile
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
}
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {chr(256 + at): byte for at, byte in enumerate(OTHERS)}

Task = tuple[Path, str, int]  # text, pattern, vocabulary with the 256 bytes and no special tokens
Learnt = list[bytes]  # the tokens in the order of their merges


def from_printable(token: str) -> bytes:
    return bytes(BYTE_OF[character] for character in token)


def tokenizers(task: Task) -> Callable[[], Learnt]:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    path, pattern, vocab_size = task
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

    def run() -> Learnt:
        tokenizer.train([str(path)], trainer)
        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        return [from_printable("".join(pair)) for pair in merges]

    return run


def gigabpe(task: Task) -> Callable[[], Learnt]:
    import gigabpe

    path, _, vocab_size = task
    options = {"special_tokens": [], "pretokenizer": "bytelevel", "threads": 1}

    def run() -> Learnt:
        # Its vocabulary holds only the bytes that it met, so that it learns a few merges more.
        merges = gigabpe.train_bpe([str(path)], vocab_size, **options)[1][: vocab_size - 256]
        return [from_printable(left + right) for left, right in merges]

    return run


def gigatoken(task: Task) -> Callable[[], Learnt]:
    import gigatoken

    path, _, vocab_size = task
    return lambda: [left + right for left, right in gigatoken.train_bpe(path, vocab_size, [])[1]]


def ffbpe(task: Task) -> Callable[[], Learnt]:
    import ffbpe

    path, _, vocab_size = task

    def run() -> Learnt:
        with path.open(encoding="utf-8", newline="") as lines:
            model = ffbpe.train_bpe(lines, vocab_size=vocab_size)
        return [token for token in sorted(model.vocab, key=model.vocab.__getitem__) if len(token) > 1]

    return run


def rustbpe(task: Task) -> Callable[[], Learnt]:
    import rustbpe

    path, pattern, vocab_size = task
    tokenizer = rustbpe.Tokenizer()

    def run() -> Learnt:
        with path.open(encoding="utf-8", newline="") as lines:
            tokenizer.train_from_iterator(lines, vocab_size, pattern=PATTERNS[pattern])
        return [bytes(token) for token, _ in tokenizer.get_mergeable_ranks()[256:]]

    return run


def minibperust(task: Task) -> Callable[[], Learnt]:
    import MiniBpeRust

    path, pattern, vocab_size = task
    tokenizer = MiniBpeRust.FastRegexTokenizer(PATTERNS[pattern])

    def run() -> Learnt:
        tokenizer.train(path.read_text(encoding="utf-8"), vocab_size)
        return [tokenizer.vocab[index] for index in range(256, len(tokenizer.vocab))]

    return run


def bytemill(ties: str, feed: str) -> Callable[[Task], Callable[[], Learnt]]:
    def prepare(task: Task) -> Callable[[], Learnt]:
        from bytemill import Tokenizer

        path, pattern, vocab_size = task
        options = {"vocab_size": vocab_size, "pattern": pattern, "special_tokens": (), "threads": 1}
        return lambda: [left + right for left, right in Tokenizer.train(path, ties=ties, feed=feed, **options).merges]

    return prepare


OURS = {
    f"bytemill {ties} {feed}": bytemill(ties, feed)
    for ties, feed in [("huggingface", "lines"), ("lowest_id", "lines"), ("first_seen", "documents")]
} | {"bytemill huggingface documents": bytemill("huggingface", "documents")}
# Each rival, the run of ours that follows its rule, and the patterns that it knows.
RIVALS = {
    "tokenizers": (tokenizers, "bytemill huggingface lines", {"gpt2", "cl100k"}),
    "gigabpe": (gigabpe, "bytemill huggingface lines", {"gpt2"}),
    "gigatoken": (gigatoken, "bytemill huggingface documents", {"gpt2"}),
    "ffbpe": (ffbpe, "bytemill lowest_id lines", {"gpt2"}),
    "rustbpe": (rustbpe, "bytemill lowest_id lines", {"gpt2", "cl100k"}),
    "minibperust": (minibperust, "bytemill first_seen documents", {"gpt2", "cl100k"}),
}


def work(name: str, task: Task, out: Path) -> None:
    """Runs one trainer in this process and writes figures and tokens to `out`."""
    prepared = (OURS | {rival: entry[0] for rival, entry in RIVALS.items()})[name](task)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    tokens = prepared()
    figures = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    figures["peak_mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    out.write_text(json.dumps(figures | {"tokens": [token.hex() for token in tokens]}))


def run(name: str, task: Task, python: str) -> dict:
    """Runs `work` in a process of its own, with one thread where libraries ask the environment."""
    one_thread = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [python, __file__, "--worker", name, str(task[0]), task[1], str(task[2]), str(out)]
        done = subprocess.run(command, env=os.environ | one_thread, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
        return json.loads(out.read_text())


def difference(found: list[str], expected: list[str]) -> str:
    """Where two lists of tokens part, in words."""
    if found == expected:
        return "equal"
    at = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
    return f"differs from merge {at}" if at is not None else f"{len(found)} merges instead of {len(expected)}"


def compare(task: Task, rivals: list[str], python: str) -> list[dict]:
    """The rows for one text, pattern and vocabulary."""
    known = [name for name in rivals if task[1] in RIVALS[name][2]]
    wanted = dict.fromkeys(["bytemill huggingface lines", *(RIVALS[name][1] for name in known)])
    ours = {name: run(name, task, sys.executable) for name in wanted}
    rows = [{"trainer": name, "merges": "", **figures} for name, figures in ours.items()]
    for name in known:
        figures, twin = run(name, task, python), ours[RIVALS[name][1]]
        same = difference(figures["tokens"], twin["tokens"]) if "tokens" in figures and "tokens" in twin else ""
        faster = figures["cpu_seconds"] / twin["cpu_seconds"] if same else None
        rows.append({"trainer": name, "merges": same, "times_ours": faster, "ours": RIVALS[name][1], **figures})
    return [{key: value for key, value in row.items() if key != "tokens"} for row in rows]


def python_sources(folder: Path, most_bytes: int) -> Path:
    """A text of the Python files of this installation, for there is one on every machine."""
    path = folder / "python.txt"
    with path.open("wb") as text:
        for source in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
            content = source.read_bytes()
            if content.isascii() and text.tell() < most_bytes:
                text.write(content)
    return path


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    head = "| text | pattern | vocabulary | trainer | CPU s | s | peak MiB | x ours | merges |\n" + "|---" * 9 + "|"
    lines = [head]
    for row in rows:
        task = f"| {row['text']} {row['megabytes']:.0f} MB | {row['pattern']} | {row['vocab_size']:,} |"
        first = f"{task} {row['trainer']} |"
        if "failed" in row:
            lines.append(f"{first} | | | | {row['failed']} |")
            continue
        times = f"{row['times_ours']:.1f}" if row.get("times_ours") else ""
        figures = f"{row['cpu_seconds']:.2f} | {row['seconds']:.2f} | {row['peak_mib']:.0f}"
        lines.append(f"{first} {figures} | {times} | {row['merges']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="append", metavar="NAME=FILE", help="UTF-8; Python's own library if none")
    parser.add_argument("--vocab-size", action="append", type=int, help="8192 and 32768 if none")
    parser.add_argument("--pattern", action="append", choices=PATTERNS, help="gpt2 if none")
    parser.add_argument("--rival", action="append", choices=RIVALS, help="all if none")
    parser.add_argument("--rivals-python", default=sys.executable, help="the interpreter that has the rivals")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, text, pattern, vocab_size, out = arguments.worker
        work(name, (Path(text), pattern, int(vocab_size)), Path(out))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        texts = dict(text.split("=", 1) for text in arguments.text or [])
        texts = {name: Path(path) for name, path in texts.items()} or {"python": python_sources(Path(folder), 31 << 20)}
        for name, path in texts.items():
            for pattern in arguments.pattern or ["gpt2"]:
                for vocab_size in arguments.vocab_size or [8192, 32768]:
                    task = (path, pattern, vocab_size)
                    about = {"text": name, "megabytes": path.stat().st_size / 1e6, "pattern": pattern}
                    about["vocab_size"] = vocab_size
                    found = compare(task, arguments.rival or list(RIVALS), arguments.rivals_python)
                    rows += [about | row for row in found]
                    print(f"{name} {pattern} {vocab_size}: done", file=sys.stderr)
    print(table(rows))
    if arguments.json:
        machine = {
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        }
        arguments.json.write_text(json.dumps(machine | {"command": sys.argv, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
