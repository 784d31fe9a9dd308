"""Time bytemill and the installed rivals (the extra `bench`); ids are compared first.

    python benches/encode [--table NAME]... [--vocabulary gpt2]... [--text NAME=FILE]... [--json FILE] [--docs]

One processor, CPU time, interleaved rounds, medians. All tokenizers get the same vocabulary and the same text, and must
return tiktoken's ids for it before they are timed. Without --text the texts are made from sources and documentation
installed on this machine; these have little Chinese, so give a Chinese file. Prints Markdown; --json FILE writes the
figures, --docs writes each table between its markers in docs/benchmarks/encoding.md, and updates the figures that
README.md and docs/benchmarks.md repeat.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import texts
import vocabularies
from bench import MIB, Bench
from page import Table, markdown, write_into
from processes import growth, hostile, load, threads, unique, unseen
from rivals import DISTRIBUTIONS, NotHere, Rival, make, version
from tables import calls, decode, document_calls, lists, warm

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks" / "encoding.md"
SUMMARY = Path(__file__).parents[1] / "summary.py"

EACH_TEXT: dict[str, Callable[[Bench, Table], None]] = {
    "warm": warm,
    "documents": document_calls,
    "lists": lists,
    "calls": calls,
    "decode": decode,
    "threads": threads,
}
FIRST_TEXT: dict[str, Callable[[Bench, Table], None]] = {
    "load": load,
    "unique": unique,
    "hostile": hostile,
    "growth": growth,
}
NEW_TABLES: dict[str, Callable[[], Table]] = {
    "warm": lambda: Table("warm", "A string seen before, ids as a flat array", "MB per CPU second", True),
    "unseen": lambda: Table("unseen", "Unseen text: each byte once, in a fresh process", "MB per CPU second", True),
    "documents": lambda: Table("documents", "Documents of 4 KB, one call per document", "MB per CPU second", True),
    "lists": lambda: Table("lists", "Ids as a Python list", "MB per CPU second", True),
    "calls": lambda: Table("calls", "Calls with short texts", "µs of CPU per call", False),
    "decode": lambda: Table("decode", "Ids in a NumPy array to bytes", "million ids per CPU second", True),
    "threads": lambda: Table(
        "threads", "Documents of 4 KB in one call, two threads", "MB per second of wall time", True
    ),
    "load": lambda: Table("load", "Import, vocabulary and first call in a fresh process", "seconds of CPU, MiB", False),
    "peak": lambda: Table("peak", "Peak memory over the unseen text, its ids included", "MiB above the start", False),
    "unique": lambda: Table(
        "unique", "Memory kept after text of words that never repeat", "MiB above the start", False
    ),
    "hostile": lambda: Table(
        "hostile", "Adversarial text of 1 MiB", "ms of CPU, and how many times as much 2 MiB take", False
    ),
    "growth": lambda: Table(
        "growth",
        "bytemill alone on the adversarial texts, by size",
        "ms of CPU, and the largest growth when the size doubles",
        False,
    ),
}


def everyone(short: str, wanted: list[str]) -> dict[str, Rival]:
    """Return the rivals of `wanted` that support the vocabulary; print the others on stderr."""
    vocabulary, found = vocabularies.find(short), {}
    for name in wanted:
        try:
            found[name] = make(name, vocabulary)
        except NotHere as reason:
            print(f"{short}: {name} {reason}: left out", file=sys.stderr)
    return found


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Table]:
    """Return the requested tables."""
    tables = {key: NEW_TABLES[key]() for key in options.table}
    named = dict(one.split("=", 1) for one in options.text or [])
    n_bytes = options.unseen_mib * MIB
    chosen = {name: Path(path).read_text(encoding="utf-8") for name, path in named.items()}
    chosen = chosen or texts.default_texts(n_bytes)
    # gigatoken cannot encode the text of a special token as ordinary text.
    chosen = {name: texts.cut_bytes(text.replace("<|", "< |"), n_bytes) for name, text in chosen.items()}
    for short in options.vocabulary:
        rivals = everyone(short, options.rival)
        reference = rivals.get("tiktoken") or rivals["bytemill"]
        for number, (name, text) in enumerate(chosen.items()):
            path = folder / f"{name}.txt"
            path.write_text(text, encoding="utf-8", newline="")
            label = f"{name} {len(text.encode()) / 1e6:.0f} MB"
            bench = Bench(
                short, label, text, path, rivals, reference,
                options.rounds, options.mib * MIB, options.cpus, options.unique_mib,
            )  # fmt: skip
            fill(bench, tables, once=number == 0)
    return tables


def fill(bench: Bench, tables: dict[str, Table], *, once: bool) -> None:
    """Add the rows of one text to every table; with `once` also to the tables that do not depend on the text."""
    for key, table in tables.items():
        print(f"{bench.row}: {key}", file=sys.stderr, flush=True)
        if key in EACH_TEXT:
            EACH_TEXT[key](bench, table)
        elif key == "unseen":
            unseen(bench, table, tables.get("peak") or NEW_TABLES["peak"]())
        elif once and key in FIRST_TEXT:
            FIRST_TEXT[key](bench, table)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="append", choices=NEW_TABLES, help="only this table; may be repeated")
    parser.add_argument("--vocabulary", action="append", choices=vocabularies.NAMES, help="default: gpt2 and cl100k")
    parser.add_argument(
        "--rival", action="append", choices=DISTRIBUTIONS, help="a tokenizer to compare with; default: all"
    )
    parser.add_argument("--text", action="append", metavar="NAME=FILE", help="UTF-8 file, instead of installed texts")
    parser.add_argument("--mib", type=int, default=16, help="MiB of text seen before (lists, documents: a quarter)")
    parser.add_argument("--unseen-mib", type=int, default=24, help="maximum MiB of unseen text")
    parser.add_argument(
        "--unique-mib", type=int, default=128, help="MiB of words that never repeat (at most 20 CPU seconds)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/benchmarks/encoding.md")
    options = parser.parse_args()
    options.table = options.table or list(NEW_TABLES)
    if "peak" in options.table and "unseen" not in options.table:
        options.table.insert(0, "unseen")
    options.vocabulary = options.vocabulary or ["gpt2", "cl100k"]
    options.rival = list(dict.fromkeys(["bytemill", *(options.rival or DISTRIBUTIONS)]))
    options.cpus = sorted(os.sched_getaffinity(0))
    return options


def main() -> None:
    options = parsed()
    os.sched_setaffinity(0, options.cpus[:1])
    with tempfile.TemporaryDirectory() as folder:
        tables = measure(options, Path(folder))
    print(", ".join(f"{name} {version(name)}".strip() for name in options.rival))
    for table in tables.values():
        print(f"\n{markdown(table)}")
        if options.docs:
            write_into(DOCS, table)
    if options.docs:
        subprocess.run([sys.executable, SUMMARY], check=True)
    if options.json:
        options.json.write_text(json.dumps({key: table.rows for key, table in tables.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
