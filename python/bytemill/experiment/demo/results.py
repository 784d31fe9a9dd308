"""What a run of the demo found out, as plain values: the pages are made of nothing else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bytemill.train.machine.facts import Host

__all__ = [
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

MetricsRow = Mapping[str, float]
Metrics = Sequence[MetricsRow]
"""Rows as metrics.jsonl holds them: `step`, and any of `loss`, `val_loss` (nats a token), `lr`, `grad_norm`,
`tokens_per_s`. A row may lack any of them but `step`."""


@dataclass(frozen=True)
class TokenizerResults:
    """The tokenizer and the text that it was trained on."""

    vocab_size: int
    corpus_bytes: int
    documents: int
    training_seconds: float
    bytes_per_token: float
    """On held-out text."""
    growth: Sequence[tuple[int, float]]
    """(vocabulary size, bytes per token on held-out text), by size."""
    token_lengths: Mapping[int, int]
    """Bytes of a token -> how many tokens of the vocabulary are so long."""
    longest_tokens: Sequence[bytes]
    """The longest first."""


@dataclass(frozen=True)
class ShardResults:
    """The token files."""

    train_tokens: int
    val_tokens: int
    train_documents: int
    val_documents: int
    files: int
    bytes: int


@dataclass(frozen=True)
class PretrainResults:
    """The model, and how it learned."""

    model: Mapping[str, str | int | float | bool]
    """The model's configuration: `n_layer`, `n_head`, `n_embd`, …"""
    n_parameters: int
    metrics: Metrics
    train_tokens_seen: int
    val_loss: float
    """Nats a token on held-out documents, at the end."""
    val_bits_per_byte: float
    unigram_bits_per_byte: float
    """Entropy of the held-out tokens under their own frequencies: the best guess without any context."""

    @property
    def ratio_to_unigram(self) -> float:
        """Validation loss over the unigram entropy; the demo wants at most 0.8."""
        return self.val_bits_per_byte / self.unigram_bits_per_byte

    @property
    def unigram_nats_per_token(self) -> float:
        """The unigram entropy in the unit of the loss."""
        return self.val_loss / self.ratio_to_unigram

    @property
    def uniform_nats_per_token(self) -> float:
        """Loss of a model that holds all tokens for equally likely: ln(vocabulary size)."""
        return math.log(float(self.model["vocab_size"]))


@dataclass(frozen=True)
class TextSample:
    """One prompt, continued before and after pretraining; the texts do not repeat the prompt."""

    prompt: str
    before: str
    after_pretraining: str


@dataclass(frozen=True)
class AnswerSample:
    """One held-out instruction and what each model answers."""

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
    """Nats a token of the answers of held-out rows, before tuning."""
    tuned_loss: float

    @property
    def trainable_share(self) -> float:
        """Trainable parameters over all."""
        return self.trainable_parameters / self.total_parameters


@dataclass(frozen=True)
class RanOn:
    """Where it ran, and with what."""

    host: Host
    versions: Mapping[str, str]
    """Of Python, torch, bytemill …"""


@dataclass(frozen=True)
class DemoResults:
    """All that the demo's page tells."""

    command: str
    date: str
    """As it shall be read: `"21 November 2026"`."""
    text_source: str
    """What the text is: `"the standard library of Python 3.11.7"`."""
    tokenizer: TokenizerResults
    shards: ShardResults
    pretrain: PretrainResults
    samples: Sequence[TextSample]
    tune: TuneResults
    answers: Sequence[AnswerSample]
    phase_seconds: Mapping[str, float]
    """Phase -> seconds, in the order in which they ran."""
    machine: RanOn

    @property
    def total_seconds(self) -> float:
        """All phases together."""
        return sum(self.phase_seconds.values())
