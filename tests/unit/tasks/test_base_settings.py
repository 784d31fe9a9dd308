"""What a run's base decides: the length of samples, if it is not given."""

from pathlib import Path

import pytest

from bytemill.model import GPT2, GPT2Config
from bytemill.tasks.base_settings import with_settled_base
from bytemill.train.config import load_config


@pytest.fixture
def short_base(tmp_path: Path) -> Path:
    """A model of 32 positions in Hugging Face's form."""
    GPT2(GPT2Config(vocab_size=300, n_positions=32, n_embd=8, n_layer=1, n_head=2)).save_huggingface(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize(("given", "expected"), [([], 32), (["data.seq_len=16"], 16), (["data.seq_len=64"], 64)])
def test_samples_are_at_most_as_long_as_the_base_unless_their_length_is_given(
    short_base: Path, given: list[str], expected: int
) -> None:
    """64 is kept, so that an error can name it."""
    config = load_config(None, ["task=lm", "data.path=x", f"base={short_base}", *given])
    assert with_settled_base(config).data.seq_len == expected


def test_a_long_base_keeps_the_default(tmp_path: Path) -> None:
    GPT2(GPT2Config(vocab_size=300, n_positions=512, n_embd=8, n_layer=1, n_head=2)).save_huggingface(tmp_path)
    config = load_config(None, ["task=lm", "data.path=x", f"base={tmp_path}"])
    assert with_settled_base(config).data.seq_len == 256
