"""The ladder: what each way of being faster brings on this machine, and that the loss stays what it was.

The rungs are those of Karpathy's "Let's reproduce GPT-2" (2024), each added to the ones before: TF32, bf16,
compiling, an attention kernel that never writes its table of scores to memory, and a vocabulary padded to a
number that hardware likes. The same weights see the same tokens on every rung.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from bytemill.experiment.trial import run_trial
from bytemill.model import GPT2, GPT2Config
from bytemill.model.attention import write_out_attention
from bytemill.tasks.pretrain import pretrain_task
from bytemill.train.config import TrainConfig
from bytemill.train.device import multiplies_bf16, pick_device
from bytemill.train.machine import examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["RUNGS", "LadderSize", "Measurement", "Rung", "climb"]

_N_STEPS = 10
_ENGLISH_LIKE_EXPONENT = 1.0


@dataclass(frozen=True)
class Rung:
    """One way of training; every other thing is as on the rung before."""

    name: str
    precision: Literal["fp32", "tf32", "bf16"]
    compiles: bool
    fused_attention: bool
    padded: bool
    reported_tokens_per_s: int
    """On an RTX 3090, batch 4 x 1,024, by the second source report."""


RUNGS = (
    Rung("fp32", "fp32", False, False, False, 15_371),
    Rung("TF32", "tf32", False, False, False, 20_321),
    Rung("bf16", "bf16", False, False, False, 27_330),
    Rung("torch.compile", "bf16", True, False, False, 45_726),
    Rung("flash attention", "bf16", True, True, False, 57_979),
    Rung("padded vocabulary", "bf16", True, True, True, 59_649),
)


@dataclass(frozen=True)
class LadderSize:
    """The model that climbs, and its portions."""

    model: GPT2Config
    batch_size: int
    seq_len: int


@dataclass(frozen=True)
class Measurement:
    """What one rung did; or why it was left out."""

    rung: Rung
    tokens_per_s: float | None
    loss: float | None
    """Of the tenth step."""
    memory_mib: float | None
    left_out: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def climb(
    size: LadderSize, *, device: str = "auto", shown: Callable[[Measurement], None] = lambda _: None
) -> list[Measurement]:
    """Measure every rung that this machine has.

    Args:
        size: What is trained.
        device: As `train.device`.
        shown: Called with each rung as soon as it is measured.
    """
    found = pick_device(device)
    can_compile = examine().can_compile
    measurements = []
    for rung in RUNGS:
        reason = _absent(rung, found, can_compile=can_compile)
        measurement = Measurement(rung, None, None, None, reason) if reason else _measure(rung, size, found)
        measurements.append(measurement)
        shown(measurement)
    return measurements


def _absent(rung: Rung, device: torch.device, *, can_compile: bool) -> str | None:
    if rung.precision == "tf32" and device.type != "cuda":
        return f"{device.type} has no TF32"
    if rung.precision == "bf16" and not multiplies_bf16(device):
        return f"this {device.type} does not multiply bf16"
    if rung.compiles and not can_compile:
        return "nothing here to compile with (bytemill doctor)"
    return None


def _measure(rung: Rung, size: LadderSize, device: torch.device) -> Measurement:
    torch.manual_seed(0)
    shape = size.model.model_copy(update={"pad_vocab_to": 128 if rung.padded else 1})
    model = GPT2(shape)
    if not rung.fused_attention:
        write_out_attention(model)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    settings = TrainConfig(
        max_steps=_N_STEPS, warmup_steps=_N_STEPS, precision=rung.precision, compile=rung.compiles, device=str(device)
    )
    trial = run_trial(pretrain_task(model, _Tokens(size)), settings, n_steps=_N_STEPS)
    return Measurement(rung, trial.tokens_per_second, trial.losses[-1], trial.memory_mib)


class _Tokens:
    """Ids drawn as words are in English, the k-th most frequent with probability ~ 1 / k (Zipf): no text needed."""

    def __init__(self, size: LadderSize) -> None:
        self._shape = (size.batch_size, size.seq_len + 1)
        ranks = torch.arange(1, size.model.vocab_size + 1, dtype=torch.float64)
        self._weights = ranks**-_ENGLISH_LIKE_EXPONENT
        self._position = 0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return self

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(self._position)
        self._position += 1
        n_ids = self._shape[0] * self._shape[1]
        ids = torch.multinomial(self._weights, n_ids, replacement=True, generator=generator).view(self._shape)
        return ids[:, :-1], ids[:, 1:]

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._position = state["position"]
