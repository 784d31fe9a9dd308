"""How large the demo is: minutes on two cores, or under one for tests."""

from dataclasses import dataclass

__all__ = ["FAST", "FULL", "DemoSize"]


@dataclass(frozen=True)
class DemoSize:
    """How much of everything; what fits into the promised time on two cores."""

    corpus_bytes: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    seq_len: int
    batch_size: int
    pretrain_seconds: float
    """Time for the pretraining's steps; their number follows from the machine's speed."""
    max_pretrain_steps: int
    tune_seconds: float
    """Time for the tuning's steps."""
    max_tune_steps: int
    n_test_rows: int
    """Held-out instruction rows on which both models are measured."""
    n_answers: int
    """Of those, how many are answered in full for the report."""


FULL = DemoSize(
    corpus_bytes=8_000_000,
    vocab_size=4_096,
    n_layer=4,
    n_head=4,
    n_embd=256,
    seq_len=256,
    batch_size=8,
    pretrain_seconds=150,
    max_pretrain_steps=2_000,
    tune_seconds=40,
    max_tune_steps=1_000,
    n_test_rows=256,
    n_answers=5,
)
FAST = DemoSize(
    corpus_bytes=1_000_000,
    vocab_size=1_024,
    n_layer=2,
    n_head=2,
    n_embd=128,
    seq_len=256,
    batch_size=8,
    pretrain_seconds=10,
    max_pretrain_steps=200,
    tune_seconds=5,
    max_tune_steps=100,
    n_test_rows=64,
    n_answers=3,
)
