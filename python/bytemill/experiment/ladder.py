"""The ladder: measures how much faster each change makes training on this machine, and that the loss stays the same.

Each rung changes one thing of the fastest configuration before it. A rung that is slower is measured, but later rungs
do not use it. All rungs start from the same weights and train on the same tokens.
"""

from __future__ import annotations

import datetime
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from bytemill.data import TokenLoader, read_manifest
from bytemill.errors import ConfigError, DivergedError
from bytemill.experiment.rungs import PAD_TO, RUNGS, Rung, Way, obstacle, way_of
from bytemill.experiment.trial import run_trial
from bytemill.model import GPT2, GPT2Config
from bytemill.model.attention import write_out_attention
from bytemill.outside_text import one_line
from bytemill.tasks.pretrain import pretrain_task
from bytemill.train.config import TrainConfig
from bytemill.train.machine.device import pick_device
from bytemill.train.machine.facts import examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bytemill.train.machine.facts import Machine
    from bytemill.train.task import BatchStream

__all__ = ["Ladder", "LadderSize", "Measurement", "climb", "ladder_size", "place_and_date"]

_N_STEPS = 10


@dataclass(frozen=True)
class LadderSize:
    """The model to train and its data."""

    model: GPT2Config
    batch_size: int
    seq_len: int
    data: Path | None = None
    """Token shards; None uses random ids with the frequencies of English words."""

    def described(self) -> str:
        """Return the sizes as text.

        >>> LadderSize(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=300, n_positions=16), 2, 16).described()
        '1 layers, 1 heads, width 8, vocabulary 300; 2 x 16 random tokens per step'
        """
        shape, source = self.model, "random tokens" if self.data is None else f"tokens of {self.data}"
        model = f"{shape.n_layer} layers, {shape.n_head} heads, width {shape.n_embd}, vocabulary {shape.vocab_size:,}"
        return f"{model}; {self.batch_size} x {self.seq_len:,} {source} per step"


@dataclass(frozen=True)
class Measurement:
    """The measurements of one rung, or the reason why it was skipped."""

    rung: Rung
    name: str
    """Name of the rung; for 16 bits, the format that was used."""
    way: Way | None = None
    """How the model was trained; None if the rung was skipped."""
    ms_per_step: float | None = None
    tokens_per_s: float | None = None
    factor_first: float | None = None
    """Speed relative to the first rung."""
    factor_before: float | None = None
    """Speed relative to the fastest rung before, which this one changes."""
    loss: float | None = None
    """Loss of the tenth step; None if fp16 skipped every step to find its loss scale."""
    memory_mib: float | None = None
    """Peak allocated memory on a GPU; None on a CPU."""
    left_out: str | None = None
    """Why the rung was skipped; None if it was measured."""

    def as_json(self) -> dict[str, Any]:
        """Return JSON data."""
        own = {key: value for key, value in vars(self).items() if key not in ("rung", "way")}
        reported = {"reported_tokens_per_s": self.rung.reported_tokens_per_s}
        return own | reported | {"way": None if self.way is None else self.way.as_json()}


@dataclass(frozen=True)
class Ladder:
    """The measurements of all rungs, with machine and date."""

    size: LadderSize
    place_and_date: str
    measurements: tuple[Measurement, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON data."""
        rungs = [one.as_json() for one in self.measurements]
        return {"machine_and_date": self.place_and_date, "size": self.size.described(), "rungs": rungs}


def ladder_size(
    name: str | None = None,
    *,
    batch_size: int | None = None,
    seq_len: int | None = None,
    data: Path | None = None,
    device: str = "auto",
) -> LadderSize:
    """Return the model and data sizes, with defaults that a GPU or a CPU can train in some minutes.

    Args:
        name: Name of a published model. Default: gpt2 on a GPU, else 6 layers of width 384.
        batch_size: Samples per step. Default: 16 on a GPU, else 12.
        seq_len: Tokens per sample. Default: 1,024 on a GPU, else 256.
        data: Token shards; they set the vocabulary size if no model is named.
        device: As `train.device`.

    Raises:
        ConfigError: The shards have ids outside the named model's vocabulary.
    """
    on_gpu = pick_device(device).type != "cpu"
    name = name or ("gpt2" if on_gpu and data is None else None)
    seq_len = seq_len or (1_024 if on_gpu else 256)
    n_vocab = None if data is None else read_manifest(data).n_vocab
    if name is not None:
        shape = GPT2Config.named(name, n_positions=max(seq_len, 1_024))  # type: ignore[arg-type]
    else:
        sizes = {"n_layer": 12, "n_head": 12, "n_embd": 768} if on_gpu else {"n_layer": 6, "n_head": 6, "n_embd": 384}
        shape = GPT2Config(n_positions=seq_len, **sizes, **({} if n_vocab is None else {"vocab_size": n_vocab}))
    if n_vocab is not None and n_vocab > shape.vocab_size:
        raise ConfigError(
            f"{data}: its ids need a vocabulary of {n_vocab:,}, but {name} has {shape.vocab_size:,}; "
            "leave out --model, or prepare the shards with GPT-2's tokenizer"
        )
    return LadderSize(shape, batch_size or (16 if on_gpu else 12), seq_len, data)


def climb(size: LadderSize, *, device: str = "auto", shown: Callable[[Measurement], None] = lambda _: None) -> Ladder:
    """Measure every rung that this machine supports.

    Args:
        size: The model to train and its data.
        device: As `train.device`.
        shown: Called with each rung as soon as it is measured or skipped.
    """
    found, machine = pick_device(device), examine()
    measured: list[Measurement] = []
    for rung in RUNGS:
        reason = obstacle(rung, found, machine, vocab_size=size.model.vocab_size)
        one = Measurement(rung, rung.name, left_out=reason) if reason else _measure(rung, size, found, measured)
        measured.append(one)
        shown(one)
    return Ladder(size, place_and_date(found, machine), tuple(measured))


def place_and_date(device: torch.device, machine: Machine) -> str:
    """Return the machine and today's date as text, such as "Apple M2, 8 threads, torch 2.9.1; 30 November 2026"."""
    today = datetime.datetime.now().astimezone().date()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        n_threads = torch.get_num_threads()
        name = f"{machine.cpu or device.type}, {n_threads} thread{'' if n_threads == 1 else 's'}"
    return f"{name}, torch {torch.__version__}; {today.day} {today:%B %Y}"


def _measure(rung: Rung, size: LadderSize, device: torch.device, before: list[Measurement]) -> Measurement:
    speeds = {one.way: one.tokens_per_s for one in before if one.way is not None and one.tokens_per_s is not None}
    best = max(speeds, key=lambda way: speeds[way] or 0.0, default=Way())
    way = way_of(rung, best, device)
    name = way.precision if rung.adds == "16-bit" else rung.name
    try:
        trial = run_trial(_task(size, way), _settings(way, device), n_steps=_N_STEPS)
    except (RuntimeError, DivergedError) as error:  # from torch: out of memory, no kernel, or a failing compiler
        reason = one_line(str(error) or type(error).__name__)
        return Measurement(rung, name, left_out=f"failed on this machine: {reason}")
    finally:
        _forget(device, compiled=way.compiles)
    speed, base, first = trial.tokens_per_second, speeds.get(best), next(iter(speeds.values()), None)
    return Measurement(
        rung,
        name,
        way,
        ms_per_step=1e3 * trial.seconds_per_step,
        tokens_per_s=speed,
        factor_first=speed / first if first else 1.0,
        factor_before=speed / base if base else 1.0,
        loss=trial.losses[-1] if trial.losses else None,
        memory_mib=trial.memory_mib if device.type == "cuda" else None,
    )


def _task(size: LadderSize, way: Way) -> Any:
    model = _model(size.model, padded=way.padded)
    return pretrain_task(model if way.fused_attention else write_out_attention(model), _tokens(size))


def _model(shape: GPT2Config, *, padded: bool) -> GPT2:
    """Return the model with the same weights, with or without padding of the vocabulary."""
    torch.manual_seed(0)
    model = GPT2(shape.model_copy(update={"pad_vocab_to": 1}))
    if not padded:
        return model
    wider = GPT2(shape.model_copy(update={"pad_vocab_to": PAD_TO}))
    weights = model.state_dict()
    table = wider.token_embedding.weight.detach().clone()
    table[: shape.vocab_size] = weights["token_embedding.weight"]
    wider.load_state_dict(weights | {"token_embedding.weight": table})
    return wider


def _settings(way: Way, device: torch.device) -> TrainConfig:
    return TrainConfig(
        max_steps=_N_STEPS,
        warmup_steps=_N_STEPS,
        precision=way.precision,
        compile=way.compiles,
        device=str(device),
    )


def _tokens(size: LadderSize) -> BatchStream:
    if size.data is None:
        return _RandomTokens(size)
    return TokenLoader(size.data, batch_size=size.batch_size, seq_len=size.seq_len)


def _forget(device: torch.device, *, compiled: bool) -> None:
    """Free memory and caches of a rung, so that the next one starts from the same state."""
    if compiled:
        torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


class _RandomTokens:
    """Random ids with frequencies like English words (Zipf): the k-th most frequent has probability ~ 1 / k."""

    def __init__(self, size: LadderSize) -> None:
        self._shape = (size.batch_size, size.seq_len + 1)
        self._weights = 1 / torch.arange(1, size.model.vocab_size + 1, dtype=torch.float64)
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
