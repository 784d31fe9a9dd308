"""A tokenizer.json gives the ids that Hugging Face's `tokenizers` gives, or is refused with the reason."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bytemill import Tokenizer
from bytemill.errors import FormatError

_CHARACTERS = "abcdeST  \n\t'’.,!01٣北京é\u0301\u200d😀ſ<|endoftext|>"


@pytest.mark.parametrize(
    ("name", "is_refused_for"),
    [("gpt2_vocab/gpt2_tokenizer.json", None), ("small_tokenizers/tiny_bpe_tokenizer.json", "single byte 0x00")],
)
def test_tokenizer_json(shared_data: Callable[[str], Path], name: str, is_refused_for: str | None) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="extra `hf` is not installed")
    if is_refused_for:
        with pytest.raises(FormatError, match=is_refused_for):
            Tokenizer.load(shared_data(name))
        return
    ours, theirs = Tokenizer.load(shared_data(name)), tokenizers.Tokenizer.from_file(str(shared_data(name)))
    generator = random.Random(0)
    for _ in range(2_000):
        text = "".join(generator.choices(_CHARACTERS, k=generator.randint(0, 60)))
        assert ours.encode(text, allowed_special="all") == theirs.encode(text).ids, repr(text)
