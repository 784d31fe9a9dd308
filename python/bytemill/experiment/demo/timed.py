"""Training that ends on time on any machine: size and steps follow the measured speed.

speed of each size -> the largest that sees enough tokens -> steps at a steady learning rate until most of the time is
over -> as many steps of decay as fit into the rest, at the speed of the steps before
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bytemill.experiment.trial import run_trial
from bytemill.model import GPT2, GPT2Config
from bytemill.tasks.next_token import next_token_loss
from bytemill.train.config import RunConfig, TrainConfig
from bytemill.train.loop import fit
from bytemill.train.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any, Self

    from bytemill.experiment.demo.sizes import ModelSize

__all__ = ["Pace", "choose_size", "new_model", "train_for"]

_TRIAL_STEPS = 4
_STEADY_SHARE = 0.6
"""Of the time, before the decay."""
_DECAY_RESERVE = 0.85
"""Of the time that is left, what the decay's steps are planned for; validation, samples and saving take the rest."""


@dataclass(frozen=True)
class Pace:
    """How fast the training was, and how much of the processor it got."""

    seconds: float
    tokens: int
    cpu_share: float
    """CPU time over the time of all cores that this process may use."""

    @property
    def tokens_per_second(self) -> float:
        """Tokens of training per second, with validation and samples counted in."""
        return self.tokens / self.seconds


def choose_size(sizes: Sequence[ModelSize], seconds: float, say: Callable[[str], None]) -> tuple[ModelSize, float]:
    """Return the first size that this machine trains on enough tokens in `seconds`, else the last; and its tokens/s."""
    for size in sizes:
        speed = _tokens_per_second(size)
        enough = speed * seconds >= size.needed_tokens
        verdict = "" if enough else f", too slow: it needs {size.needed_tokens:,} tokens in {seconds:.0f} s"
        say(f"  {size.name} model: {speed:,.0f} tokens/s{verdict}")
        if enough:
            break
    return size, speed


def new_model(size: ModelSize, n_vocab: int) -> GPT2:
    """Return a model of this size with random weights."""
    torch.manual_seed(0)
    return GPT2(
        GPT2Config(
            vocab_size=n_vocab,
            n_positions=size.seq_len,
            n_layer=size.n_layer,
            n_head=size.n_head,
            n_embd=size.n_embd,
        )
    )


def train_for(
    seconds: float, task: Task, config: RunConfig, folder: Path, *, tokens_per_step: int, max_steps: int
) -> Pace:
    """Train for about `seconds`; the learning rate decays to its end in that time, whatever the machine does meanwhile.

    Args:
        seconds: Of training, validation, samples and saving.
        task: What is trained.
        config: Its learning rate and warm-up; schedule, steps and time are set here.
        folder: Of the run.
        tokens_per_step: For the pace.
        max_steps: A fast machine stops here, before the time is over.
    """
    began, cpu = time.perf_counter(), time.process_time()
    steady_steps = max(1, int(max_steps * _STEADY_SHARE))
    steady = config.with_train(
        schedule="constant", max_steps=steady_steps, max_seconds=seconds * _STEADY_SHARE, checkpoint_every=0
    )
    done = fit(task, steady, folder, progress=False).steps
    took = time.perf_counter() - began
    left = max(0.0, seconds - took)
    n_decay = max(1, min(max_steps - steady_steps, int(left * _DECAY_RESERVE / (took / done))))
    decay = config.with_train(
        schedule="wsd",
        max_steps=done + n_decay,
        warmup_steps=min(config.train.warmup_steps, done),
        decay_share=min(1.0, n_decay / max(1, done + n_decay - min(config.train.warmup_steps, done))),
        max_seconds=max(1.0, left),
        checkpoint_every=0,
    )
    done = fit(task, decay, folder, resume=True, progress=False).steps
    took = time.perf_counter() - began
    share = (time.process_time() - cpu) / (took * torch.get_num_threads())
    return Pace(took, done * tokens_per_step, min(1.0, share))


def _tokens_per_second(size: ModelSize) -> float:
    model = new_model(size, size.vocab_size)
    task = Task(model=model, batches=_RandomIds(size), loss=next_token_loss, hidden_matrices=model.hidden_matrices())
    return run_trial(task, TrainConfig(optimizer="muon"), n_steps=_TRIAL_STEPS).tokens_per_second


class _RandomIds:
    """Batches of random ids, as fast to train on as text."""

    def __init__(self, size: ModelSize) -> None:
        self._size = size

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        size = self._size
        ids = torch.randint(size.vocab_size, (size.batch_size, size.seq_len + 1))
        return ids[:, :-1], ids[:, 1:]

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
