"""Measure the CPU time to reach the final validation loss of nanoGPT's CPU recipe on TinyShakespeare.

    python benches/time_to_loss.py --text input.txt --nanogpt CHECKOUT [--seeds 3] [--json FILE] [--docs]

Both use one token per character and train on the first 90 % of the text. nanoGPT: 4 layers, 4 heads, width 128, 64
characters, 12 windows per step, 2,000 steps, AdamW from 1e-3 to 1e-4. bytemill: the same shape with the recipe of
examples/configs/shakespeare-cpu.toml. The loss is in nats per character over the whole validation text. The time
includes everything except evaluation. Each run has its own process; seeds and sides are interleaved.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import page

SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128}
WINDOW, BATCH, STEPS = 64, 12, 2000
RECIPE = Path(__file__).parents[1] / "examples" / "configs" / "shakespeare-cpu.toml"


def halves(text: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    data = np.frombuffer(text.read_bytes(), dtype=np.uint8)
    n_train = int(0.9 * len(data))
    return data[:n_train], data[n_train:]


@torch.no_grad()
def whole_loss(model: Any, data: np.ndarray[Any, Any], window: int) -> float:
    """Return the loss in nats per character; each character except the first is predicted once."""
    n_rows = (len(data) - 1) // window
    ids = torch.from_numpy(data[: n_rows * window + 1].astype(np.int64))
    inputs, targets = ids[:-1].view(n_rows, window), ids[1:].view(n_rows, window)
    total = 0.0
    model.eval()
    for rows in range(0, n_rows, 256):
        loss = model(inputs[rows : rows + 256], targets[rows : rows + 256])[1]
        total += float(loss) * len(inputs[rows : rows + 256])
    model.train()
    return total / n_rows


def nanogpt(asked: argparse.Namespace) -> dict[str, Any]:
    """Run the loop of nanoGPT's train.py with the CPU settings of its README."""
    sys.path.insert(0, str(asked.nanogpt))
    from model import GPT, GPTConfig

    train, validation = (part.astype(np.uint16) for part in halves(asked.text))
    letters = np.unique(np.concatenate([train, validation]))
    code = np.zeros(256, dtype=np.uint16)
    code[letters] = np.arange(len(letters))
    train, validation = code[train], code[validation]
    with contextlib.redirect_stdout(sys.stderr):
        shape = GPTConfig(block_size=WINDOW, vocab_size=len(letters), dropout=0.0, bias=False, **SHAPE)
        model = GPT(shape)
        optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.99), "cpu")
    began = time.process_time()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = _nanogpt_rate(step)
        starts = torch.randint(len(train) - WINDOW, (BATCH,))
        x = torch.stack([torch.from_numpy(train[s : s + WINDOW].astype(np.int64)) for s in starts])
        y = torch.stack([torch.from_numpy(train[s + 1 : s + 1 + WINDOW].astype(np.int64)) for s in starts])
        loss = model(x, y)[1]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.process_time() - began
    n_parameters = sum(p.numel() for p in model.parameters())
    return {"seconds": seconds, "loss": whole_loss(model, validation, WINDOW), "parameters": n_parameters}


def _nanogpt_rate(step: int) -> float:
    if step < 100:
        return 1e-3 * (step + 1) / 101
    return 1e-4 + 0.5 * (1 + math.cos(math.pi * (step - 100) / (STEPS - 100))) * 9e-4


def bytemill(asked: argparse.Namespace) -> dict[str, Any]:
    """Run bytemill's loader and training step with the recipe until the run ends."""
    from bytemill.data import TokenLoader
    from bytemill.model import GPT2, GPT2Config
    from bytemill.tasks.pretrain import pretrain_task
    from bytemill.train.config import load_config
    from bytemill.train.learner import Learner
    from bytemill.train.machine.distributed import World

    config = load_config(RECIPE, [f"train.seed={asked.seed}", f"data.seed={asked.seed}", *asked.set])
    train, validation = halves(asked.text)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.bin").write_bytes(train.astype("<u2").tobytes())
        began = time.process_time()
        torch.manual_seed(asked.seed)
        model = GPT2(GPT2Config(**config.model, vocab_size=256, n_positions=config.data.seq_len))
        data = config.data
        loader = TokenLoader(
            Path(folder) / "train.bin",
            batch_size=data.batch_size,
            seq_len=data.seq_len,
            seed=data.seed,
            stored_dtype="uint16",
        )
        learner = Learner(pretrain_task(model, loader), config.train, World())
        log, batches = _Log(), iter(loader)
        for step in range(config.train.max_steps):
            learner.step(step, batches, log)
        seconds = time.process_time() - began
    loss = whole_loss(model, validation, data.seq_len)
    return {"seconds": seconds, "loss": loss, "parameters": sum(p.numel() for p in model.parameters())}


class _Log:
    tokens_seen = 0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)


SIDES = {"nanoGPT": nanogpt, "bytemill": bytemill}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--nanogpt", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="change the recipe")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        torch.set_num_threads(asked.threads)
        torch.manual_seed(asked.seed)
        print(json.dumps(SIDES[asked.side](asked)))
        return
    found: dict[str, list[Any]] = {side: [] for side in SIDES}
    for seed in range(asked.seeds):
        for side in SIDES:
            words = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--seed", str(seed)]
            environment = os.environ | {"OMP_NUM_THREADS": str(asked.threads)}
            done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True)
            found[side].append(json.loads(done.stdout))
            print(side, seed, found[side][-1], file=sys.stderr)
    median = {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for side, runs in found.items()
    }
    rows = [
        [
            side,
            f"{median[side]['parameters']:,.0f}",
            ", ".join(f"{run['seconds']:.1f}" for run in found[side]),
            ", ".join(f"{run['loss']:.4f}" for run in found[side]),
            f"{median[side]['seconds'] / median['nanoGPT']['seconds']:.0%}",
        ]
        for side in SIDES
    ]
    text = page.table(
        ["", "parameters", "CPU s, each seed", "validation loss, each seed", "of nanoGPT's median time"], rows
    )
    print(text)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if asked.docs:
        source = page.provenance(page.command_line(), ["torch"])
        page.write_section("training", "time_to_loss", f"## Time to a loss\n\n{text}\n\n{source}")


if __name__ == "__main__":
    main()
