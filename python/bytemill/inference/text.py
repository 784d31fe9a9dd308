"""A model and its tokenizer as one thing that continues text.

Ids are bytes, and a character may need several ids: text is given out in whole characters only, as soon as
their last byte is there.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypedDict, Unpack

import torch
from torch import Tensor

from bytemill.errors import DataError
from bytemill.model import GPT2, generate, generate_stream

__all__ = ["TextGenerator", "TextTokenizer", "stream_text"]


class TextTokenizer(Protocol):
    """What is asked of a tokenizer here; ours, tiktoken's and others of that face have it."""

    @property
    def n_vocab(self) -> int:
        """Ids are below this."""

    @property
    def eot_token(self) -> int | None:
        """The id that ends a document, where there is one."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Text to ids; a special token's text is text like any other."""

    def decode_bytes(self, ids: Sequence[int], /) -> bytes:
        """Ids to bytes."""


class Sampling(TypedDict, total=False):
    """Options that `bytemill.model.generate` takes as well, with its meanings and defaults."""

    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int | None


class TextGenerator:
    """Continues text with a model, until the tokenizer's end-of-text or a number of tokens.

    >>> from bytemill.model import GPT2Config
    >>> class Bytes:
    ...     n_vocab, eot_token = 256, None
    ...     encode_ordinary = staticmethod(lambda text: list(text.encode()))
    ...     decode_bytes = staticmethod(bytes)
    >>> model = GPT2(GPT2Config(vocab_size=256, n_positions=32, n_embd=8, n_layer=1, n_head=2))
    >>> texts = TextGenerator(model, Bytes()).complete("Hello", n_samples=2, max_new_tokens=8, seed=1)
    >>> len(texts)
    2
    """

    def __init__(self, model: GPT2, tokenizer: TextTokenizer) -> None:
        if tokenizer.n_vocab != model.config.vocab_size:
            raise DataError(
                f"the tokenizer has {tokenizer.n_vocab} ids, the model {model.config.vocab_size}: "
                "they were not made for each other"
            )
        self.model = model
        self.tokenizer = tokenizer

    def complete(
        self, prompt: str, *, n_samples: int = 1, max_new_tokens: int = 32, **sampling: Unpack[Sampling]
    ) -> list[str]:
        """Continue `prompt` `n_samples` times, all at once; give the new texts, without the prompt."""
        ids = self._prompt_ids(prompt).expand(n_samples, -1)
        longer = generate(self.model, ids, max_new_tokens=max_new_tokens, stop_ids=self._stop_ids(), **sampling)
        new_ids = longer[:, ids.shape[1] :].tolist()
        return ["".join(stream_text(self.tokenizer, self._until_stop(row))) for row in new_ids]

    def stream(self, prompt: str, *, max_new_tokens: int = 32, **sampling: Unpack[Sampling]) -> Iterator[str]:
        """Continue `prompt`; give the new text in pieces of whole characters, each as soon as it is known."""
        columns = generate_stream(
            self.model,
            self._prompt_ids(prompt),
            max_new_tokens=max_new_tokens,
            stop_ids=self._stop_ids(),
            **sampling,
        )
        return stream_text(self.tokenizer, self._until_stop(int(column) for column in columns))

    def _prompt_ids(self, prompt: str) -> Tensor:
        ids = self.tokenizer.encode_ordinary(prompt)
        if not ids:  # a document's start looks to the model like the end of another
            ids = list(self._stop_ids())
        if not ids:
            raise DataError("the prompt is empty, and the tokenizer has no end-of-text to start from")
        return torch.tensor([ids], device=self.model.token_embedding.weight.device)

    def _stop_ids(self) -> tuple[int, ...]:
        end_of_text = self.tokenizer.eot_token
        return () if end_of_text is None else (end_of_text,)

    def _until_stop(self, ids: Iterable[int]) -> Iterator[int]:
        stop_ids = self._stop_ids()
        for new_id in ids:
            if new_id in stop_ids:
                return
            yield new_id


def stream_text(tokenizer: TextTokenizer, ids: Iterable[int]) -> Iterator[str]:
    """Decode ids one by one into pieces of whole characters.

    Joined, the pieces are what decoding all ids at once with `errors="replace"` gives: bytes that can't
    become a character any more, also at the end, become U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for one_id in ids:
        piece = decoder.decode(tokenizer.decode_bytes([one_id]))
        if piece:
            yield piece
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
