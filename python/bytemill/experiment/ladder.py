"""The ladder: how much faster each change makes training on this machine, and that the loss stays what it was.

Each rung changes one thing of the fastest way before it, so one that is slower here is measured and then left out of
the rungs above. The same weights see the same tokens on every rung.
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
    """The model that is trained, and on what."""

    model: GPT2Config
    batch_size: int
    seq_len: int
    data: Path | None = None
    """Token shards; without them ids are drawn as words are in English."""

    def described(self) -> str:
        """Return the sizes as text.

        >>> LadderSize(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=300, n_positions=16), 2, 16).described()
        '1 layers, 1 heads, width 8, vocabulary 300; 2 x 16 drawn tokens a step'
        """
        shape, source = self.model, "drawn tokens" if self.data is None else f"tokens of {self.data}"
        model = f"{shape.n_layer} layers, {shape.n_head} heads, width {shape.n_embd}, vocabulary {shape.vocab_size:,}"
        return f"{model}; {self.batch_size} x {self.seq_len:,} {source} a step"


@dataclass(frozen=True)
class Measurement:
    """The figures of one rung, or why it was left out."""

    rung: Rung
    name: str
    """Of the rung, with the 16-bit format that was taken."""
    way: Way | None = None
    """How the model was trained; None if it was not."""
    ms_per_step: float | None = None
    tokens_per_s: float | None = None
    factor_first: float | None = None
    """Speed against the first rung."""
    factor_before: float | None = None
    """Speed against the fastest rung before, which this one changes."""
    loss: float | None = None
    """Of the tenth step; None if fp16 skipped every step to find its loss scale."""
    memory_mib: float | None = None
    """Most memory allocated, on a GPU; a CPU's is not known per rung."""
    left_out: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return JSON data."""
        own = {key: value for key, value in vars(self).items() if key not in ("rung", "way")}
        reported = {"reported_tokens_per_s": self.rung.reported_tokens_per_s}
        return own | reported | {"way": None if self.way is None else self.way.as_json()}


@dataclass(frozen=True)
class Ladder:
    """All rungs, on which machine, when."""

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
    """Return what is trained: what is given, and for the rest what a GPU, or a CPU, does in some minutes.

    Args:
        name: A published model. Default: gpt2 on a GPU, 6 layers of width 384 elsewhere.
        batch_size: Samples per step. Default: 16 on a GPU, 12 elsewhere.
        seq_len: Tokens per sample. Default: 1,024 on a GPU, 256 elsewhere.
        data: Token shards; they decide the vocabulary where no model is named.
        device: As `train.device`.

    Raises:
        ConfigError: The shards have ids that the named model does not know.
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
            f"{data}: its ids need a vocabulary of {n_vocab:,}, {name} has {shape.vocab_size:,}; "
            "leave --model out, or prepare the shards with GPT-2's tokenizer"
        )
    return LadderSize(shape, batch_size or (16 if on_gpu else 12), seq_len, data)


def climb(size: LadderSize, *, device: str = "auto", shown: Callable[[Measurement], None] = lambda _: None) -> Ladder:
    """Measure every rung that this machine has.

    Args:
        size: What is trained.
        device: As `train.device`.
        shown: Called with each rung as soon as it is measured.
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
    except (RuntimeError, DivergedError) as error:  # of torch: no memory, no kernel, a compiler that fails
        return Measurement(rung, name, left_out=f"it fails here: {one_line(str(error) or type(error).__name__)}")
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
    """The same weights whether padded or not."""
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
        return _DrawnTokens(size)
    return TokenLoader(size.data, batch_size=size.batch_size, seq_len=size.seq_len)


def _forget(device: torch.device, *, compiled: bool) -> None:
    """Free what a rung leaves, so that the next one starts as it did."""
    if compiled:
        torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


class _DrawnTokens:
    """Ids drawn as words are in English, the k-th most frequent with probability ~ 1 / k (Zipf): no text needed."""

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
