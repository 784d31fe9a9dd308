"""The training steps that are compared: bytemill, nanoGPT, nanochat, transformers.

Each function builds a model of one shape and returns a step, which returns the loss before the step. All have 6 layers,
6 heads, width 384, 256 tokens, and AdamW with nanoGPT's settings at a constant learning rate (optionally after a
warm-up), with gradients clipped at 1. nanochat has its own architecture and optimizer. nanoGPT and nanochat are
separate checkouts.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = {"n_layer": 6, "n_head": 6, "n_embd": 384}
N_POSITIONS, BATCH = 256, 12
LEARNING_RATE, BETAS, WEIGHT_DECAY, CLIP_NORM = 6e-4, (0.9, 0.95), 0.1, 1.0
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")

Batch = tuple[torch.Tensor, torch.Tensor]
Step = Callable[[], float]


@dataclass(frozen=True)
class Setting:
    """The settings of a contender."""

    vocab_size: int
    precision: str
    """fp32 or bf16."""
    compiles: bool
    batches: Iterator[Batch]
    warmup_steps: int = 0
    """The learning rate increases linearly up to this step."""
    weights: Path | None = None
    """GPT-2 in Hugging Face's format to start from; random weights if not given."""
    checkout: Path | None = None
    """Folder of the rival's sources."""


def bytemill(setting: Setting) -> Step:
    from bytemill.model import GPT2, GPT2Config
    from bytemill.tasks.pretrain import pretrain_task
    from bytemill.train.config import TrainConfig
    from bytemill.train.learner import Learner
    from bytemill.train.machine.distributed import World

    if setting.weights:
        model = GPT2.from_huggingface(setting.weights)
    else:
        model = GPT2(GPT2Config(vocab_size=setting.vocab_size, n_positions=N_POSITIONS, **SHAPE))
    settings = TrainConfig(
        learning_rate=LEARNING_RATE,
        schedule="constant",
        warmup_steps=setting.warmup_steps,
        betas=BETAS,
        weight_decay=WEIGHT_DECAY,
        clip_norm=CLIP_NORM,
        precision=setting.precision,  # type: ignore[arg-type]
        compile=setting.compiles,
    )
    learner = Learner(pretrain_task(model, _Stream(setting.batches)), settings, World())
    log, count = _Log(), iter(range(sys.maxsize))

    def step() -> float:
        return float(learner.step(next(count), setting.batches, log)[0]["loss"])

    return step


def nanogpt(setting: Setting) -> Step:
    sys.path.insert(0, str(setting.checkout))
    from model import GPT, GPTConfig

    with contextlib.redirect_stdout(sys.stderr):
        shape = GPTConfig(block_size=N_POSITIONS, vocab_size=setting.vocab_size, dropout=0.0, bias=True, **SHAPE)
        model = GPT(shape)
        if setting.weights:
            _load_transposed(model, setting.weights)
            for block in model.transformer.h:  # GPT-2's own form; nanoGPT uses exact GELU
                block.mlp.gelu = torch.nn.GELU(approximate="tanh")
        if setting.precision == "fp32":  # nanoGPT's own choice on a CPU: AdamW that is not fused
            optimizer = model.configure_optimizers(WEIGHT_DECAY, LEARNING_RATE, BETAS, "cpu")
        else:
            optimizer = _fused_adamw(model)
    return _plain_step(model, optimizer, setting, lambda run, x, y: run(x, y)[1])


def transformers(setting: Setting) -> Step:
    from transformers import GPT2Config, GPT2LMHeadModel

    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=setting.vocab_size, n_positions=N_POSITIONS, **SHAPE, **dropout))

    def loss(run: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = run(input_ids=x, use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    return _plain_step(model, _fused_adamw(model), setting, loss)


def nanochat(setting: Setting) -> Step:
    sys.path.insert(0, str(setting.checkout))  # the caller of the worker has set NANOCHAT_DTYPE
    from nanochat.gpt import GPT, GPTConfig

    with contextlib.redirect_stdout(sys.stderr):
        model = GPT(
            GPTConfig(sequence_len=N_POSITIONS, vocab_size=setting.vocab_size, n_kv_head=6, window_pattern="L", **SHAPE)
        )
        model.init_weights()
        optimizer = model.setup_optimizer()
    return _plain_step(model, optimizer, setting, lambda run, x, y: run(x, y), autocasts=False)


CONTENDERS: dict[str, Callable[[Setting], Step]] = {
    "bytemill": bytemill,
    "nanoGPT": nanogpt,
    "transformers": transformers,
    "nanochat": nanochat,
}


def _plain_step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    setting: Setting,
    loss_of: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    autocasts: bool = True,
) -> Step:
    """Return the step of nanoGPT's train.py: forward, backward, clip, update, reset the gradients."""
    run = torch.compile(model) if setting.compiles else model
    half = autocasts and setting.precision == "bf16"
    warming_up = iter(range(1, setting.warmup_steps + 1))

    def step() -> float:
        if (number := next(warming_up, None)) is not None:
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * number / setting.warmup_steps
        x, y = next(setting.batches)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = loss_of(run, x, y)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def _fused_adamw(model: torch.nn.Module) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, fused=True)


@torch.no_grad()
def _load_transposed(model: torch.nn.Module, folder: Path) -> None:
    """Load Hugging Face's weights into nanoGPT, which has the same names, but transposes four kinds of matrices."""
    from safetensors.torch import load_file

    own, given = model.state_dict(), load_file(folder / "model.safetensors")
    for name, tensor in given.items():
        full = name if name.startswith("transformer.") or name == "lm_head.weight" else f"transformer.{name}"
        if full in own:
            own[full].copy_(tensor.T if full.endswith(TRANSPOSED) else tensor)


@dataclass
class _Stream:
    """The part of a BatchStream that a step uses."""

    batches: Iterator[Batch]

    def __iter__(self) -> Iterator[Batch]:
        return self.batches

    def state_dict(self) -> dict[str, Any]:
        return {}


class _Log:
    tokens_seen = 0

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)
