"""Generate text with a model and its tokenizer.

Ids stand for bytes, and a character may need several ids. Text is therefore returned in whole characters only: as soon
as a character is complete, and cannot be the beginning of a stop text.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypedDict, Unpack

import torch
from torch import Tensor

from bytemill.errors import ConfigError, DataError
from bytemill.model import GPT2, CausalModel, generate_stream
from bytemill.model.packed import PackedProducts

__all__ = ["Sampling", "TextGenerator", "TextSoFar", "TextTokenizer", "stream_text"]


_LARGEST_PADDING = 128


class TextTokenizer(Protocol):
    """The tokenizer methods that this module uses; ours, tiktoken's and similar tokenizers have them."""

    @property
    def n_vocab(self) -> int:
        """The largest id plus 1."""

    @property
    def eot_token(self) -> int | None:
        """Id of the end of a document, if there is one."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the ids of a text; a special token's text is ordinary text."""

    def decode_bytes(self, ids: Sequence[int], /) -> bytes:
        """Return the bytes of ids."""


class Sampling(TypedDict, total=False):
    """Sampling options, with the meanings and defaults of `bytemill.model.generate`."""

    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    seed: int | None


class TextGenerator:
    """Continue text with a model, until the tokenizer's end-of-text or a maximum number of tokens.

    On a CPU large weights are kept in a second layout, which is faster to multiply. It is rebuilt for weights that have
    changed between two answers, as by `merge_lora`.

    Args:
        model: The model.
        tokenizer: The model's tokenizer.
        stop_ids: Ids that end a text; None means the tokenizer's end-of-text, if it has one.
        products: The second layout of the weights, to share it with another generator of the same model.

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

    def __init__(
        self,
        model: CausalModel,
        tokenizer: TextTokenizer,
        *,
        stop_ids: Sequence[int] | None = None,
        products: PackedProducts | None = None,
    ) -> None:
        n_spare = model.config.vocab_size - tokenizer.n_vocab
        if n_spare and not (n_spare > 0 and _suits_hardware(model, n_spare)):
            raise DataError(
                f"the tokenizer has {tokenizer.n_vocab} ids, the model {model.config.vocab_size}: "
                "this tokenizer does not match this model"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = tuple(_end_of_text(tokenizer) if stop_ids is None else stop_ids)
        """Ids that end a text."""
        self.products = products or PackedProducts()
        """The second layout of the weights, for everything that generates with this model."""

    def complete(
        self,
        prompt: str,
        *,
        n_samples: int = 1,
        max_new_tokens: int = 32,
        stop: Sequence[str] = (),
        **sampling: Unpack[Sampling],
    ) -> list[str]:
        """Continue `prompt` `n_samples` times in one batch; return the new texts without the prompt.

        Args:
            prompt: Text; an empty prompt starts a document.
            n_samples: Number of continuations.
            max_new_tokens: Maximum new tokens per continuation.
            stop: A text ends before the first occurrence of any of these.
            **sampling: As in `bytemill.model.generate`.
        """
        ids = self.prompt_ids(prompt).expand(n_samples, -1)
        return self.complete_ids(ids, max_new_tokens=max_new_tokens, stop=stop, **sampling)

    def complete_ids(
        self, ids: Tensor, *, max_new_tokens: int = 32, stop: Sequence[str] = (), **sampling: Unpack[Sampling]
    ) -> list[str]:
        """Continue prompts of equal length given as ids (B, T); see `complete`."""
        columns = self._columns(ids, max_new_tokens, sampling)
        texts = [TextSoFar(self.tokenizer, self.stop_ids, stop) for _ in ids]
        pieces: list[list[str]] = [[] for _ in texts]
        for column in columns:
            for row, (text, new_id) in enumerate(zip(texts, column.flatten().tolist(), strict=True)):
                pieces[row].append(text.push(new_id))
            if all(text.ended for text in texts):
                break
        return ["".join([*parts, text.finish()]) for parts, text in zip(pieces, texts, strict=True)]

    def stream(
        self,
        prompt: str | Sequence[int],
        *,
        max_new_tokens: int = 32,
        stop: Sequence[str] = (),
        **sampling: Unpack[Sampling],
    ) -> Iterator[str]:
        """Yield one continuation in pieces of whole characters; see `complete`. The prompt may also be ids."""
        columns = self._columns(self.prompt_ids(prompt), max_new_tokens, sampling)
        return _pieces(TextSoFar(self.tokenizer, self.stop_ids, stop), (int(column) for column in columns))

    def _columns(self, ids: Tensor, max_new_tokens: int, sampling: Sampling) -> Iterator[Tensor]:
        return generate_stream(
            self.model,
            ids,
            max_new_tokens=max_new_tokens,
            stop_ids=self.stop_ids,
            n_ids=self.tokenizer.n_vocab,
            products=self.products,
            **sampling,
        )

    def prompt_ids(self, prompt: str | Sequence[int]) -> Tensor:
        """Return a prompt as ids (1, T) on the model's device; an empty prompt becomes end-of-text."""
        return torch.tensor([self.ids_of(prompt)], device=next(self.model.parameters()).device)

    def ids_of(self, prompt: str | Sequence[int]) -> list[int]:
        """Return a prompt as a list of ids; an empty prompt becomes end-of-text.

        Raises:
            DataError: The prompt is empty, and the tokenizer has no end of text.
        """
        ids = self.tokenizer.encode_ordinary(prompt) if isinstance(prompt, str) else list(prompt)
        if not ids:  # for the model, a document starts after the end of another
            ids = list(_end_of_text(self.tokenizer) or self.stop_ids[:1])
        if not ids:
            raise DataError("the prompt is empty, and the tokenizer has no end of text to start from; give a prompt")
        return ids


def _end_of_text(tokenizer: TextTokenizer) -> tuple[int, ...]:
    """Return the tokenizer's end-of-text id, or None; tiktoken's interface raises KeyError if there is none."""
    try:
        found = tokenizer.eot_token
    except KeyError:
        return ()
    return () if found is None else (found,)


def stream_text(tokenizer: TextTokenizer, ids: Iterable[int], *, stop: Sequence[str] = ()) -> Iterator[str]:
    """Decode ids one by one into pieces of whole characters, up to a stop text.

    The joined pieces equal decoding all ids together with `errors="replace"`: bytes that cannot become a character,
    also at the end, become U+FFFD.
    """
    return _pieces(TextSoFar(tokenizer, (), stop), ids)


def _pieces(text: "TextSoFar", ids: Iterable[int]) -> Iterator[str]:
    for one_id in ids:
        if piece := text.push(one_id):
            yield piece
        if text.ended:
            return
    if rest := text.finish():
        yield rest


def _suits_hardware(model: CausalModel, n_spare: int) -> bool:
    """Return whether the extra rows are padding for speed: in a GPT-2, up to a multiple of 64 (nanoGPT has 50,304)."""
    return not isinstance(model, GPT2) or (n_spare < _LARGEST_PADDING and model.config.vocab_size % 64 == 0)


class TextSoFar:
    """Decode ids one by one, and return text as soon as it is certain.

    It holds back an incomplete character, and text that may be the beginning of a stop text.

    Args:
        tokenizer: Decodes the ids.
        stop_ids: Ids that end the text; they are not part of it.
        stop: The text ends before the first occurrence of any of these.

    Raises:
        ConfigError: A stop text is empty.
    """

    def __init__(self, tokenizer: TextTokenizer, stop_ids: Sequence[int], stop: Sequence[str]) -> None:
        if not all(stop):
            raise ConfigError("stop: an empty text matches everywhere; remove it")
        self._tokenizer, self._stop_ids, self._stop = tokenizer, stop_ids, stop
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.n_decoded = 0
        """Number of characters decoded so far, including those held back."""
        self.ended = False
        """Whether a stop id or stop text has been found; everything after it is dropped."""

    def push(self, new_id: int) -> str:
        """Take one id; return the text that is now certain."""
        if self.ended:
            return ""
        if new_id in self._stop_ids:
            self.ended = True
            return self._take(self._decoder.decode(b"", final=True), is_last=True)
        return self._take(self._decoder.decode(self._tokenizer.decode_bytes([new_id])), is_last=False)

    def finish(self) -> str:
        """Return the held-back text after the last id."""
        if self.ended:
            return ""
        return self._take(self._decoder.decode(b"", final=True), is_last=True)

    def _take(self, piece: str, *, is_last: bool) -> str:
        self.n_decoded += len(piece)
        text = self._held + piece
        found = [place for one in self._stop if (place := text.find(one)) >= 0]
        if found:
            self.ended = True
            return text[: min(found)]
        n_held = 0 if is_last else max((_overlap(text, one) for one in self._stop), default=0)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held]


def _overlap(text: str, stop: str) -> int:
    """Return the number of last characters of `text` that could begin `stop`."""
    lengths = range(min(len(text), len(stop) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)
