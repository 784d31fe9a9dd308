"""Measure time and memory of a training step of bytemill, nanoGPT, nanochat and transformers; losses compared first.

    python benches/training --text input.txt --nanogpt nanoGPT --nanochat nanochat [--part step|curve|bf16] [--docs]

Parts: "curve" trains bytemill and nanoGPT, with GPT-2's form of GELU, from the same weights on the same batches for 50
steps in fp32. It prints the largest difference of their losses, for some initial weights, and that of nanoGPT from
itself with half of the weights moved to the next number. "bf16" does 500 steps of bytemill in fp32 and in bf16. "step"
is the table: each contender in a fresh process per round, interleaved rounds, median CPU seconds of all threads. 12
windows of 256 tokens, 6 layers, 6 heads, width 384.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import page

WORKER = Path(__file__).with_name("worker.py")
TOKENS_PER_STEP = 12 * 256
CURVE_STEPS, CURVE_WARMUP_STEPS, CURVE_SEEDS = 50, 100, 3  # the warm-up of nanoGPT's recipe for Shakespeare


@dataclass(frozen=True)
class Way:
    """A contender and its settings."""

    contender: str
    precision: str
    compiles: bool = False

    @property
    def name(self) -> str:
        return f"{self.contender}, {self.precision}" + (", compiled" if self.compiles else "")


WAYS = (
    Way("bytemill", "fp32"),
    Way("bytemill", "bf16"),
    Way("bytemill", "bf16", compiles=True),
    Way("nanoGPT", "fp32"),
    Way("nanoGPT", "bf16"),
    Way("nanoGPT", "bf16", compiles=True),
    Way("transformers", "fp32"),
    Way("transformers", "bf16"),
    Way("nanochat", "fp32"),
    Way("nanochat", "bf16"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="TinyShakespeare, or any text")
    parser.add_argument("--nanogpt", type=Path, help="a checkout")
    parser.add_argument("--nanochat", type=Path, help="a checkout")
    parser.add_argument("--part", action="append", choices=["step", "curve", "bf16"], help="default: all")
    parser.add_argument("--vocab-size", type=int, action="append", help="default: 512 and 50304")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="timed steps per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true")
    asked = parser.parse_args()
    parts, texts, figures = asked.part or ["curve", "bf16", "step"], [], {}
    for part in parts:
        text, figures[part] = {"step": step_table, "curve": curve, "bf16": bf16}[part](asked)
        print(text)
        texts.append(text)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if asked.docs:
        source = page.provenance(page.command_line(), ["torch", "transformers"])
        page.write_section("training", "training", "\n\n".join(["## A training step, compared", *texts, source]))


def run(asked: argparse.Namespace, way: Way, vocab_size: int, n_steps: int, *more: Any) -> Any:
    """What the worker prints."""
    checkout = {"nanoGPT": asked.nanogpt, "nanochat": asked.nanochat}.get(way.contender)
    words: list[Any] = [way.contender, "--precision", way.precision, "--vocab-size", vocab_size, "--steps", n_steps]
    words += ["--threads", asked.threads, "--text", asked.text, *more]
    words += ["--compile"] if way.compiles else []
    words += ["--checkout", checkout] if checkout else []
    dtype = {"fp32": "float32", "bf16": "bfloat16"}[way.precision]
    done = subprocess.run(
        [sys.executable, WORKER, *map(str, words)],
        env=os.environ | {"NANOCHAT_DTYPE": dtype, "OMP_NUM_THREADS": str(asked.threads)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def curve(asked: argparse.Namespace) -> tuple[str, Any]:
    import torch

    from bytemill.model import GPT2, GPT2Config

    rows, curves = [], []
    for seed in range(CURVE_SEEDS):
        torch.manual_seed(seed)
        model = GPT2(GPT2Config(vocab_size=512, n_positions=256, n_layer=6, n_head=6, n_embd=384))
        ours, theirs = (_curve(asked, name, model) for name in ("bytemill", "nanoGPT"))
        _nudge(model)
        nudged = _curve(asked, "nanoGPT", model)
        apart = [f"{_distance(ours, theirs):.1e}", f"{_distance(theirs, nudged):.1e}"]
        rows.append([str(seed), *apart, f"{ours[-1]:.3f}"])
        curves.append({"bytemill": ours, "nanoGPT": theirs, "nanoGPT, nudged": nudged})
    text = (
        f"Losses of {CURVE_STEPS + 1} steps in fp32 from the same weights on the same batches, with the same "
        "GELU and the learning rate warming up as in nanoGPT's recipe for Shakespeare; largest distances:"
    )
    columns = ["seed of the weights", "bytemill from nanoGPT", "nanoGPT from itself, weights nudged", "last loss"]
    return f"{text}\n\n{page.table(columns, rows)}", curves


def _curve(asked: argparse.Namespace, contender: str, model: Any) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        model.save_huggingface(folder)
        start = ["--weights", folder, "--warmup-steps", CURVE_WARMUP_STEPS]
        done = run(asked, Way(contender, "fp32"), 512, CURVE_STEPS, *start)
    losses: list[float] = done["losses"]
    return losses


def _nudge(model: Any) -> None:
    """Move a random half of the weights to the next larger number."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            above = torch.nextafter(weight, torch.full_like(weight, torch.inf))
            weight.copy_(torch.where(torch.rand_like(weight) < 0.5, above, weight))


def _distance(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def bf16(asked: argparse.Namespace) -> tuple[str, Any]:
    losses = {precision: run(asked, Way("bytemill", precision), 512, 500)["losses"] for precision in ("fp32", "bf16")}
    last = {precision: statistics.mean(values[-20:]) for precision, values in losses.items()}
    text = (
        f"bytemill after 500 steps, mean loss of the last 20: {last['fp32']:.4f} in fp32, {last['bf16']:.4f} in bf16, "
        f"which differ by {abs(last['fp32'] - last['bf16']):.4f}."
    )
    return text, losses


def step_table(asked: argparse.Namespace) -> tuple[str, Any]:
    ways = [way for way in WAYS if way.contender in _there(asked)]
    tables, figures = [], {}
    for vocab_size in asked.vocab_size or [512, 50304]:
        rounds = [{way: run(asked, way, vocab_size, asked.steps) for way in ways} for _ in range(asked.rounds)]
        seconds = {way: statistics.median(t for done in rounds for t in done[way]["cpu_seconds"]) for way in ways}
        memory = {way: max(done[way]["peak_mib"] for done in rounds) for way in ways}
        rival = Way("nanoGPT", "fp32") if Way("nanoGPT", "fp32") in seconds else ways[0]
        rows = [
            [
                way.name,
                f"{seconds[way]:.2f}",
                f"{TOKENS_PER_STEP / seconds[way]:,.0f}",
                f"{seconds[rival] / seconds[way]:.2f}",
                f"{memory[way]:,.0f}",
                f"{memory[way] / memory[rival]:.2f}",
            ]
            for way in ways
        ]
        columns = [
            f"vocabulary {vocab_size:,}",
            "CPU s per step",
            "tokens per CPU s",
            f"x {rival.name}",
            "peak MiB",
            "of its memory",
        ]
        tables.append(page.table(columns, rows))
        figures[str(vocab_size)] = {way.name: {"s": seconds[way], "mib": memory[way]} for way in ways}
    return "\n\n".join(tables), figures


def _there(asked: argparse.Namespace) -> set[str]:
    there = {"nanoGPT": asked.nanogpt, "nanochat": asked.nanochat}
    return {"bytemill", "transformers", *(name for name, checkout in there.items() if checkout)}


if __name__ == "__main__":
    main()
