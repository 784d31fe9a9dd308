"""How large the demo is: how long it may take, and which models it chooses from."""

from dataclasses import dataclass

__all__ = ["FAST", "FULL", "DemoSize", "ModelSize"]


@dataclass(frozen=True)
class ModelSize:
    """A model, the text that it is trained on, and how."""

    name: str
    corpus_bytes: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    seq_len: int
    batch_size: int
    learning_rate: float
    """Of Muon."""
    needed_tokens: int
    """Tokens of training after which the loss is below 0.8 of the token frequencies' entropy, with a reserve of a half;
    measured on the demo's own text."""


LARGE = ModelSize("large", 8_000_000, 4_096, 4, 4, 256, 256, 4, 1e-2, 400_000)
MEDIUM = ModelSize("medium", 3_000_000, 2_048, 3, 4, 192, 256, 2, 1e-2, 300_000)
SMALL = ModelSize("small", 1_000_000, 1_024, 2, 4, 128, 256, 2, 1e-2, 300_000)
TINY = ModelSize("tiny", 1_000_000, 512, 2, 4, 96, 256, 2, 1e-2, 250_000)


@dataclass(frozen=True)
class DemoSize:
    """How long the demo takes."""

    models: tuple[ModelSize, ...]
    """The largest first; the first one is trained that sees enough tokens in the time."""
    promised_seconds: float
    """Of the whole demo on two cores that do nothing else."""
    pretrain_seconds: float
    """For pretraining, with its validation and samples."""
    max_pretrain_tokens: int
    """A fast machine stops here, before the time is over."""
    tune_seconds: float
    """For tuning."""
    max_tune_steps: int
    n_test_rows: int
    """Held-out instruction rows on which both models are measured."""
    n_answers: int
    """Of those, how many are answered in full for the report."""


FULL = DemoSize(
    models=(LARGE, MEDIUM, SMALL, TINY),
    promised_seconds=240,
    pretrain_seconds=140,
    max_pretrain_tokens=4_000_000,
    tune_seconds=40,
    max_tune_steps=1_000,
    n_test_rows=256,
    n_answers=5,
)
FAST = DemoSize(
    models=(SMALL, TINY),
    promised_seconds=60,
    pretrain_seconds=25,
    max_pretrain_tokens=400_000,
    tune_seconds=5,
    max_tune_steps=100,
    n_test_rows=64,
    n_answers=3,
)
