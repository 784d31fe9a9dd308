"""The results of a demo run as plain values, from which its page is made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bytemill.train.machine.facts import Host

__all__ = [
    "AIM",
    "AnswerSample",
    "DemoResults",
    "Metrics",
    "MetricsRow",
    "PretrainResults",
    "RanOn",
    "ShardResults",
    "TextSample",
    "TokenizerResults",
    "TuneResults",
]

AIM = 0.8
"""Validation loss over the entropy of token frequencies that the demo wants at most."""
_BUSY = 0.7

MetricsRow = Mapping[str, float]
Metrics = Sequence[MetricsRow]
"""Rows of metrics.jsonl: `step`, and any of `loss`, `val_loss` (nats per token), `lr`, `grad_norm`, `tokens_per_s`.
Only `step` is required."""


@dataclass(frozen=True)
class TokenizerResults:
    """The tokenizer and the text that it was trained on."""

    vocab_size: int
    corpus_bytes: int
    documents: int
    training_seconds: float
    bytes_per_token: float
    """Bytes per token on the validation set."""
    growth: Sequence[tuple[int, float]]
    """(vocabulary size, bytes per token on the validation set), by size."""
    token_lengths: Mapping[int, int]
    """Length in bytes -> number of tokens of that length."""
    longest_tokens: Sequence[bytes]
    """The longest tokens, longest first."""


@dataclass(frozen=True)
class ShardResults:
    """The token shards."""

    train_tokens: int
    val_tokens: int
    train_documents: int
    val_documents: int
    files: int
    bytes: int


@dataclass(frozen=True)
class PretrainResults:
    """The model and its pretraining."""

    model: Mapping[str, str | int | float | bool]
    """The model's configuration: `n_layer`, `n_head`, `n_embd`, …"""
    n_parameters: int
    metrics: Metrics
    train_tokens_seen: int
    tokens_per_second: float
    """With validation and samples counted in."""
    cpu_share: float
    """Of the processor time of its threads, what the training got; less where other programs run."""
    needed_tokens: int
    """Tokens that a model of this size needs for the aim."""
    val_loss: float
    """Nats per token on the validation set, at the end."""
    val_bits_per_byte: float
    unigram_bits_per_byte: float
    """Unigram entropy of the validation tokens: the lowest possible loss without context."""

    @property
    def ratio_to_unigram(self) -> float:
        """Validation loss divided by the unigram entropy."""
        return self.val_bits_per_byte / self.unigram_bits_per_byte

    @property
    def missed(self) -> str | None:
        """Why the ratio is above the aim; None if it is not."""
        ratio = self.ratio_to_unigram
        if ratio <= AIM:
            return None
        seen = f"it saw {self.train_tokens_seen:,} tokens, at {self.tokens_per_second:,.0f} tokens/s"
        if self.train_tokens_seen < self.needed_tokens:
            seen += f", and needs about {self.needed_tokens:,}"
        if self.cpu_share < _BUSY:
            seen += f"; other programs were using the processor (training got {self.cpu_share:.0%} of its time)"
        return f"the loss is {ratio:.2f} of what token frequencies alone give, above the aim of {AIM}: {seen}"

    @property
    def unigram_nats_per_token(self) -> float:
        """The unigram entropy in nats per token, the unit of the loss."""
        return self.val_loss / self.ratio_to_unigram

    @property
    def uniform_nats_per_token(self) -> float:
        """Loss of a model that predicts all tokens with equal probability: ln(vocabulary size)."""
        return math.log(float(self.model["vocab_size"]))


@dataclass(frozen=True)
class TextSample:
    """One prompt with its continuations before and after pretraining; they do not repeat the prompt."""

    prompt: str
    before: str
    after_pretraining: str


@dataclass(frozen=True)
class AnswerSample:
    """One instruction of the test set and each model's answer."""

    instruction: str
    input: str
    expected: str
    base: str
    tuned: str


@dataclass(frozen=True)
class TuneResults:
    """The LoRA tuning."""

    lora: Mapping[str, str | int | float | bool | Sequence[str]]
    """The adapter's configuration: `r`, `lora_alpha`, `target_modules`, …"""
    trainable_parameters: int
    total_parameters: int
    train_rows: int
    test_rows: int
    metrics: Metrics
    base_loss: float
    """Nats per token of the answers of test rows, before tuning."""
    tuned_loss: float

    @property
    def trainable_share(self) -> float:
        """Trainable parameters divided by all parameters."""
        return self.trainable_parameters / self.total_parameters


@dataclass(frozen=True)
class RanOn:
    """The machine and the versions that the demo ran on."""

    host: Host
    versions: Mapping[str, str]
    """Versions of Python, torch, bytemill …"""


@dataclass(frozen=True)
class DemoResults:
    """Everything that the demo's page shows."""

    command: str
    date: str
    """Displayed date, such as `"21 November 2026"`."""
    text_source: str
    """Source of the text, such as `"the standard library of Python 3.11.7"`."""
    tokenizer: TokenizerResults
    shards: ShardResults
    pretrain: PretrainResults
    samples: Sequence[TextSample]
    tune: TuneResults
    answers: Sequence[AnswerSample]
    phase_seconds: Mapping[str, float]
    """Phase -> seconds, in the order of execution."""
    machine: RanOn

    @property
    def total_seconds(self) -> float:
        """Seconds of all phases together."""
        return sum(self.phase_seconds.values())
