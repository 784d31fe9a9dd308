"""Compare a LoRA training step with peft: CPU time and peak memory; losses are compared first.

Four methods train an adapter with the same values, on the same random GPT-2 and the same ids:

    peft                 peft on transformers' GPT2LMHeadModel, with its own loss
    lora                 our LoRA on the same network, called in the same way
    lora, our loss       our LoRA on the same network, with the loss in chunks, as for --model of another architecture
    bytemill             our LoRA on our GPT-2

A step is forward, backward and a fused AdamW step on the adapter. Steps are interleaved, one per method and round, and
the medians are reported. Memory is the peak in a separate process, minus the memory before the first step.

    python benches/lora.py --shape gpt2 --batch 2 --tokens 256 --rounds 7
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

warnings.filterwarnings("ignore")  # peft and transformers warn about each other's versions
os.environ |= {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

WAYS = ("peft", "lora", "lora, our loss", "bytemill")
SHAPES = {
    "small": {"n_layer": 4, "n_head": 4, "n_embd": 256, "vocab_size": 8192},
    "gpt2": {"n_layer": 12, "n_head": 12, "n_embd": 768, "vocab_size": 50257},
}
TARGETS = ("c_attn", "c_proj", "c_fc")


def write_base(folder: Path, shape: str, n_positions: int) -> None:
    """Write a random network, and an adapter for it whose B is not zero."""
    from bytemill.model import GPT2, GPT2Config
    from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, save_adapter

    torch.manual_seed(0)
    model = GPT2(GPT2Config(**SHAPES[shape], n_positions=n_positions))
    model.save_huggingface(folder)
    apply_lora(model, LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS))
    with torch.no_grad():
        for parameter in lora_parameters(model):
            parameter.add_(0.02 * torch.randn_like(parameter))
    save_adapter(model, folder / "adapter")


def build(way: str, folder: Path) -> tuple[torch.nn.Module, Any]:
    """Return the adapted model, and its loss as a function of ids."""
    from bytemill.model import GPT2, TransformersCausal
    from bytemill.model.lora import load_adapter

    if way == "bytemill":
        model: Any = load_adapter(GPT2.from_huggingface(folder), folder / "adapter")
        return model, lambda ids: model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())[1]
    import transformers

    network = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    if way == "peft":
        import peft

        model = peft.PeftModel.from_pretrained(network, folder / "adapter", is_trainable=True)
    elif way == "lora":
        model = load_adapter(network, folder / "adapter")
    else:
        model = load_adapter(TransformersCausal(network), folder / "adapter")
        return model, lambda ids: model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())[1]
    return model, lambda ids: model(input_ids=ids, labels=ids, use_cache=False).loss


def stepper(way: str, folder: Path, precision: str) -> Callable[[torch.Tensor], float]:
    """Return a function that does one step and returns the loss."""
    model, loss_of = build(way, folder)
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)

    def step(ids: torch.Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(ids)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def sample(options: argparse.Namespace) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = options.batch, options.tokens + 1
    return torch.randint(0, SHAPES[options.shape]["vocab_size"], shape, generator=generator)


def memory_mib(way: str, options: argparse.Namespace, folder: Path) -> float:
    """Measure memory in a separate process, so that other measurements do not affect it."""
    command = [sys.executable, __file__, "--measure", way, "--folder", str(folder), *_as_arguments(options)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(found.stdout.splitlines()[-1])


def measure(way: str, options: argparse.Namespace) -> None:
    step, ids = stepper(way, Path(options.folder), options.precision), sample(options)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # reset the peak from loading
    before = _status_mib("VmRSS")
    for _ in range(2):
        step(ids)
    print(_status_mib("VmHWM") - before)


def _status_mib(name: str) -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith(name)
    )
    return int(line.split()[1]) / 2**10


def _as_arguments(options: argparse.Namespace) -> list[str]:
    names = ("shape", "batch", "tokens", "precision")
    return [text for name in names for text in (f"--{name}", str(getattr(options, name)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        measure(options.measure, options)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_base(folder, options.shape, options.tokens + 1)
        seconds, losses = time_ways(options, folder)
        memory = {way: memory_mib(way, options, folder) for way in WAYS}
    report(options, seconds, losses, memory)


def time_ways(options: argparse.Namespace, folder: Path) -> tuple[dict[str, list[float]], dict[str, float]]:
    ids = sample(options)
    steps = {way: stepper(way, folder, options.precision) for way in WAYS}
    losses = {way: step(ids) for way, step in steps.items()}
    tolerance = 1e-4 if options.precision == "fp32" else 2e-2
    for way, loss in losses.items():
        assert abs(loss - losses["peft"]) < tolerance, f"{way} has the loss {loss}, peft {losses['peft']}"
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, step in steps.items():
            began = time.process_time()
            step(ids)
            seconds[way].append(time.process_time() - began)
    return seconds, losses


def report(
    options: argparse.Namespace, seconds: dict[str, list[float]], losses: dict[str, float], memory: dict[str, float]
) -> None:
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    ratios = {
        way: statistics.median(p / own for p, own in zip(seconds["peft"], found, strict=True))
        for way, found in seconds.items()
    }
    if options.json:
        figures = {
            w: {"seconds": medians[w], "speed": ratios[w], "memory_mib": memory[w], "loss": losses[w]} for w in WAYS
        }
        print(json.dumps({**vars(options), "ways": figures}))
        return
    print(f"{options.shape}, {options.batch} x {options.tokens} tokens, {options.precision}, {options.rounds} rounds")
    print(f"{'':16}{'s per step':>10}{'speed':>8}{'MiB':>8}{'first loss':>12}")
    for way in WAYS:
        print(f"{way:16}{medians[way]:10.4f}{ratios[way]:7.2f}x{memory[way]:8.0f}{losses[way]:12.5f}")


if __name__ == "__main__":
    main()
