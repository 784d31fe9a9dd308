"""One answer of the engine: what is asked, the answer while it grows, and the pieces that it is sent in.

A row owns its random generator and its text, so it does not depend on the rows that are generated with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from bytemill.errors import ConfigError, DataError
from bytemill.inference.text import Sampling, TextSoFar
from bytemill.model.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from bytemill.inference.text import TextGenerator, TextTokenizer

__all__ = ["Failure", "Piece", "PromptTooLongError", "Request", "Row", "Token"]

_SLAB_POSITIONS = 64
"""Maximum positions of a prompt whose logits are in memory at the same time."""


class PromptTooLongError(DataError):
    """The prompt has more tokens than the model's context."""


@dataclass(frozen=True)
class Request:
    """One answer that is wanted."""

    prompt: Sequence[int]
    """Ids; at least 1, at most the model's context."""
    max_new_tokens: int
    """Maximum new tokens; the answer also ends where the context is full."""
    stop: Sequence[str] = ()
    """The answer ends before the first occurrence of any of these."""
    n_alternatives: int | None = None
    """Number of most likely ids per token to return with their log-probabilities; None returns none at all."""
    echo: bool = False
    """Whether the answer begins with the prompt."""
    sampling: Sampling = field(default_factory=Sampling)
    """As in `bytemill.model.generate`."""


class Token(NamedTuple):
    """A token of an answer."""

    id: int
    offset: int
    """Number of characters of the answer before it."""
    log_probability: float | None = None
    """Natural logarithm of the model's probability, before temperature; None for the first token of a prompt."""
    alternatives: tuple[tuple[int, float], ...] = ()
    """The most likely ids at this place with their log-probabilities, best first."""


class Piece(NamedTuple):
    """A part of an answer, in whole characters."""

    text: str
    tokens: tuple[Token, ...]
    """The tokens that begin in this piece or were held back before it; empty unless `n_alternatives` is given."""
    n_new: int
    """Number of tokens generated so far."""
    finish: Literal["stop", "length"] | None = None
    """Why the answer ends here: a stop id or stop text, or the maximum number of tokens; None if it goes on."""


class Failure(NamedTuple):
    """The end of an answer that could not be completed."""

    message: str


class Row:
    """An answer in progress.

    Args:
        request: What is asked.
        generator: The model, its tokenizer and stop ids.
        listener: Called with each piece, in the engine's thread.

    Raises:
        PromptTooLongError: The prompt does not fit into the context.
        DataError: The prompt is empty, or has an unknown id.
        ConfigError: A sampling option or stop text is not valid.
    """

    def __init__(self, request: Request, generator: TextGenerator, listener: Callable[[Piece | Failure], None]) -> None:
        _check_prompt(request.prompt, generator)
        if request.max_new_tokens < 0:
            raise ConfigError(f"max_new_tokens: {request.max_new_tokens} is negative")
        self.request = request
        self.send = listener
        self.cancelled = False
        """Whether nobody waits for the answer; any thread may set it."""
        self.newest: int | None = None
        """The id that the model reads next."""
        self.n_new = 0
        room = generator.model.config.n_positions + 1 - len(request.prompt)
        self._n_wanted = min(request.max_new_tokens, room)
        self._tokenizer, self._stop_ids = generator.tokenizer, generator.stop_ids
        self._n_ids = generator.tokenizer.n_vocab
        device = next(generator.model.parameters()).device
        self._sampler = Sampler(device, **request.sampling)
        self._text = TextSoFar(generator.tokenizer, generator.stop_ids, request.stop)
        self._n_sent = 0
        self._echoed = 0
        self._pending: list[Token] = []

    def begin(self, hidden: Tensor, logits_of: Callable[[Tensor], Tensor]) -> bool:
        """Take the hidden states (1, T, C) of the prompt; return whether the answer has ended.

        The first new token is sampled, and the prompt is sent if it is part of the answer.
        """
        if self.request.echo:
            self._send_prompt(hidden, logits_of)
        if self._n_wanted == 0:
            self.send(Piece("", (), 0, "length"))
            return True
        return self.take(logits_of(hidden[:, -1]).float())

    def take(self, logits: Tensor) -> bool:
        """Sample the next token from logits (1, V), and send what is certain; return whether the answer has ended."""
        logits = logits[:, : self._n_ids]
        new_id = int(self._sampler.draw(logits))
        self.newest, self.n_new = new_id, self.n_new + 1
        if self.request.n_alternatives is not None and new_id not in self._stop_ids:
            offset = self._echoed + self._text.n_decoded
            self._pending.append(_token(new_id, offset, torch.log_softmax(logits[0], -1), self.request.n_alternatives))
        piece = self._text.push(new_id)
        if self._text.ended:
            self._send(piece, "stop")
        elif self.n_new == self._n_wanted:
            self._send(piece + self._text.finish(), "stop" if self._text.ended else "length")
        elif piece:
            self._send(piece, None)
        return self._text.ended or self.n_new == self._n_wanted

    def _send(self, text: str, finish: Literal["stop", "length"] | None) -> None:
        self._n_sent += len(text)
        is_whole = finish == "length"
        tokens = [token for token in self._pending if is_whole or token.offset < self._echoed + self._n_sent]
        self._pending = self._pending[len(tokens) :]
        self.send(Piece(text, tuple(tokens), self.n_new, finish))

    def _send_prompt(self, hidden: Tensor, logits_of: Callable[[Tensor], Tensor]) -> None:
        """Send the prompt as the first piece, with the probability of each token after those before it."""
        texts, offsets = _decoded(self._tokenizer, self.request.prompt)
        self._echoed = len(texts)
        tokens: list[Token] = []
        if self.request.n_alternatives is not None:
            tokens.append(Token(self.request.prompt[0], 0))
            for start in range(0, len(self.request.prompt) - 1, _SLAB_POSITIONS):
                slab = hidden[0, start : min(start + _SLAB_POSITIONS, hidden.shape[1] - 1)]
                for row in torch.log_softmax(logits_of(slab).float()[:, : self._n_ids], -1):
                    place = len(tokens)
                    found = _token(self.request.prompt[place], offsets[place], row, self.request.n_alternatives)
                    tokens.append(found)
        self.send(Piece(texts, tuple(tokens), 0))


def _token(one_id: int, offset: int, chances: Tensor, n_alternatives: int) -> Token:
    """Return a token with its place among log-probabilities (V,)."""
    best = chances.topk(min(n_alternatives, len(chances)))
    alternatives = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return Token(one_id, offset, float(chances[one_id]), alternatives)


def _decoded(tokenizer: TextTokenizer, ids: Sequence[int]) -> tuple[str, list[int]]:
    """Return the text of ids, and for each id the number of characters before it."""
    text, pieces, offsets = TextSoFar(tokenizer, (), ()), [], []
    for one_id in ids:
        offsets.append(text.n_decoded)
        pieces.append(text.push(one_id))
    return "".join([*pieces, text.finish()]), offsets


def _check_prompt(prompt: Sequence[int], generator: TextGenerator) -> None:
    n_positions, n_vocab = generator.model.config.n_positions, generator.tokenizer.n_vocab
    if not prompt:
        raise DataError("the prompt is empty; give at least one token")
    if len(prompt) > n_positions:
        raise PromptTooLongError(
            f"the prompt has {len(prompt):,} tokens, expected 1 to {n_positions:,}, the model's context; "
            "shorten it, or leave out earlier turns"
        )
    if not 0 <= min(prompt) <= max(prompt) < n_vocab:
        wrong = next(one_id for one_id in prompt if not 0 <= one_id < n_vocab)
        raise DataError(f"the prompt has the id {wrong}, expected ids from 0 to {n_vocab - 1}")
