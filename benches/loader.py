"""Time the delivery of batches by bytemill and other loaders; tokens are checked first.

    python benches/loader.py [--tokens 200000000] [--rounds 5] [--folder DIR] [--json FILE] [--docs]
                             [--mosaicml-python PYTHON]

B 32, T 1,024, shuffled, warm, one process; median CPU time of all its threads, in interleaved rounds so that drift of
the machine affects all equally. bytemill verifies checksums (verify="first_touch") and prefetches as by default. Also:
the first batch after a resume, the size of the state, and memory over many batches, in fresh processes. --docs writes
the tables into docs/benchmarks/loader.md. MosaicML's streaming needs an older huggingface_hub than datasets:
--mosaicml-python is the interpreter of a separate environment, in which it is timed after the others.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import page
from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare
from loader_measure import BATCH, LENGTH, Batches, check, interleaved, read_tokens, windows
from loader_rivals import PACKAGES, RIVALS

FILE_BYTES = 1_000_000
APART = "MosaicML streaming"
_MEMORY = """
import sys, json, torch
def mib(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
torch.from_numpy(__import__("numpy").zeros(1))
before = mib()
from bytemill.data import TokenLoader
loader = TokenLoader(sys.argv[1], batch_size=32, seq_len=1024, dtype=torch.int32)
seen = {}
for number in range(int(sys.argv[2]) + 1):
    next(loader)
    if number in (1_000, 10_000, 50_000, 100_000) or number == int(sys.argv[2]): seen[number] = round(mib() - before, 1)
print(json.dumps(seen))
"""
_RESUME = """
import sys, json, time, torch
from bytemill.data import TokenLoader
state = json.loads(sys.argv[2])
began = time.perf_counter()
loader = TokenLoader(sys.argv[1], batch_size=32, seq_len=1024)
loader.load_state_dict(state)
next(loader)
print((time.perf_counter() - began) * 1e3)
"""


def make_shards(n_tokens: int, folder: Path) -> Path:
    """Write shards of random text in 1 MB files, with one token per byte."""
    shards = folder / "shards"
    if not shards.exists():
        texts = folder / "texts"
        texts.mkdir()
        random = np.random.default_rng(0)
        for number in range(-(-n_tokens // FILE_BYTES)):
            (texts / f"{number:06}.txt").write_bytes(random.integers(32, 127, FILE_BYTES, dtype=np.uint8).tobytes())
        tokenizer = Tokenizer.train(texts=["ab"], vocab_size=257, pattern=None)
        prepare(texts, shards, tokenizer=tokenizer, val=0.0)
    return shards


def ours(shards: Path, **options: Any) -> Batches:
    return iter(TokenLoader(shards, batch_size=BATCH, seq_len=LENGTH, **options))


def in_fresh_process(code: str, *arguments: str) -> str:
    run = [sys.executable, "-c", code, *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout


def in_own_environment(python: str, name: str, shards: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Return rate and version of a rival that runs with another interpreter."""
    script = Path(__file__).with_name("loader_rivals.py")
    run = [python, str(script), name, str(shards), str(folder), str(rounds)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(printed.splitlines()[-1]))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    shards = make_shards(options.tokens, folder)
    tokens = read_tokens(shards)
    known = {row[:-1].tobytes() for row in windows(tokens)}
    streams = {
        "bytemill, int64": ours(shards),
        "bytemill, int32": ours(shards, dtype=torch.int32),
        "bytemill, int64, mmap": ours(shards, mmap=True),
        "bytemill, int32, mmap": ours(shards, dtype=torch.int32, mmap=True),
    }
    epoch = (len(tokens) - 1) // LENGTH // BATCH
    warm = dict.fromkeys(streams, epoch)  # every block is then verified, as after the first epoch of a run
    missing = []
    for name, rival in RIVALS.items():
        if name == APART and options.mosaicml_python:
            continue
        try:
            streams[name] = rival(tokens, folder)
            check(name, streams[name], None if name == "nanoGPT" else known)
        except ImportError as error:
            missing.append(f"{name} ({error.name})")
            streams.pop(name, None)
        print(f"{name}: checked", file=sys.stderr, flush=True)
    for name in warm:
        check(name, streams[name], known)
    del known
    loader = TokenLoader(shards, batch_size=BATCH, seq_len=LENGTH)
    next(loader)
    state = json.dumps(loader.state_dict() | {"position": 3 * epoch * BATCH + 12_345})
    rates = interleaved(streams, options.rounds, warm)
    apart = None
    if options.mosaicml_python:
        apart = in_own_environment(options.mosaicml_python, APART, shards, folder, options.rounds)
        rates[APART] = apart["rate"]
    print(json.dumps(rates), file=sys.stderr, flush=True)
    resume = [float(in_fresh_process(_RESUME, str(shards), state)) for _ in range(options.rounds)]
    return {
        "rates": rates,
        "missing": missing,
        "apart": apart,
        "first batch after resume, ms": statistics.median(resume),
        "state, bytes": len(state),
        "MiB above import torch, by batches": json.loads(
            in_fresh_process(_MEMORY, str(shards), str(options.memory_batches))
        ),
    }


def markdown(found: dict[str, Any], n_tokens: int) -> str:
    rates = found["rates"]
    shuffled = [rate for name, rate in rates.items() if "bytemill" not in name and "in order" not in name]
    best = max(shuffled, default=float("nan"))
    rows = [[name, f"{rate / 1e9:.3f}", f"{rate / best:.1f}"] for name, rate in rates.items()]
    columns = ["loader", "G tokens per CPU-second", "of the best shuffled rival"]
    memory = ", ".join(f"{mib} after {int(n):,}" for n, mib in found["MiB above import torch, by batches"].items())
    lines = [
        "## Delivering batches",
        "",
        f"B {BATCH}, T {LENGTH:,}, shuffled unless noted, {n_tokens / 1e6:,.0f} M tokens, warm, one "
        'process; `verify="first_touch"`. Tokens were compared first.',
        "",
        page.table(columns, rows),
        "",
        f"First batch after a resume, opening included: {found['first batch after resume, ms']:.1f} ms. State: "
        f"{found['state, bytes']} bytes. MiB above `import torch`, by batches: {memory}.",
    ]
    if found["missing"]:
        lines += ["", f"Could not be imported, so not compared: {', '.join(found['missing'])}."]
    if found["apart"]:
        lines += ["", f"{APART} {found['apart']['version']} ran in a separate environment."]
    left_out = [*found["missing"], *(["streaming"] if found["apart"] else [])]
    installed = ["torch", "numpy", *(PACKAGES[name] for name in PACKAGES if not any(name in m for m in left_out))]
    return "\n".join([*lines, "", page.provenance(page.command_line(), installed)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=200_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-batches", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="folder for the rivals' data, kept for the next run")
    parser.add_argument("--mosaicml-python", help="an interpreter with mosaicml-streaming")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        found = measure(folder, options)
    text = markdown(found, options.tokens)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    if options.docs:
        page.write_section("loader", "loader", text)


if __name__ == "__main__":
    main()
