"""The forms of answers in OpenAI's interface: whole, or in chunks for a stream."""

from __future__ import annotations

import math
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bytemill.inference import TextTokenizer
    from bytemill.inference.rows import Piece, Token

_IMPOSSIBLE = -9999.0

__all__ = ["ChatForm", "CompletionForm", "Whole"]


@dataclass
class Whole:
    """An answer that is collected from its pieces."""

    texts: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    n_new: int = 0
    finish: str | None = None

    def add(self, piece: Piece) -> None:
        """Append a piece."""
        self.texts.append(piece.text)
        self.tokens += piece.tokens
        self.n_new, self.finish = piece.n_new, piece.finish


class _Form(ABC):
    """What both forms have in common: one id and time for all parts of a reply, and the counts of tokens."""

    prefix, whole, chunk = "", "", ""

    def __init__(self, model: str, tokenizer: TextTokenizer, n_prompt: int, *, with_tokens: bool) -> None:
        self._model, self._tokenizer, self._n_prompt, self._with_tokens = model, tokenizer, n_prompt, with_tokens
        self._id, self._created = f"{self.prefix}-{uuid.uuid4().hex}", int(time.time())

    def reply(self, wholes: Sequence[Whole]) -> dict[str, Any]:
        """Return the reply with whole answers."""
        choices = [self._choice(number, one) for number, one in enumerate(wholes)]
        return self._object(self.whole, choices, usage=self.usage(one.n_new for one in wholes))

    def part(self, number: int, piece: Piece) -> dict[str, Any]:
        """Return a chunk of a stream."""
        return self._object(self.chunk, [self._part(number, piece)])

    def opening(self, n_choices: int) -> list[dict[str, Any]]:
        """Return the chunks before the first piece."""
        del n_choices
        return []

    def last(self, n_new: Iterable[int]) -> dict[str, Any]:
        """Return the chunk with the counts of tokens."""
        return self._object(self.chunk, [], usage=self.usage(n_new))

    def usage(self, n_new: Iterable[int]) -> dict[str, int]:
        """Return the counts of tokens."""
        n_completion = sum(n_new)
        return {
            "prompt_tokens": self._n_prompt,
            "completion_tokens": n_completion,
            "total_tokens": self._n_prompt + n_completion,
        }

    def _object(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        about = {"id": self._id, "object": kind, "created": self._created, "model": self._model}
        return {**about, "choices": choices, **more}

    @abstractmethod
    def _choice(self, number: int, one: Whole) -> dict[str, Any]:
        """Return a whole answer."""

    @abstractmethod
    def _part(self, number: int, piece: Piece) -> dict[str, Any]:
        """Return a part of an answer."""

    def _name(self, one_id: int) -> str:
        r"""Return a token's text, or its bytes as OpenAI writes them (`bytes:\xe5\x8c`) if they are not characters."""
        data = self._tokenizer.decode_bytes([one_id])
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


class CompletionForm(_Form):
    """Replies of /v1/completions."""

    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def _choice(self, number: int, one: Whole) -> dict[str, Any]:
        return self._entry(number, "".join(one.texts), one.tokens, one.finish)

    def _part(self, number: int, piece: Piece) -> dict[str, Any]:
        return self._entry(number, piece.text, piece.tokens, piece.finish)

    def _entry(self, number: int, text: str, tokens: Sequence[Token], finish: str | None) -> dict[str, Any]:
        found = self._logprobs(tokens) if self._with_tokens else None
        return {"index": number, "text": text, "logprobs": found, "finish_reason": finish}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        return {
            "tokens": [self._name(token.id) for token in tokens],
            "token_logprobs": [_finite(token.log_probability) for token in tokens],
            "top_logprobs": [self._best(token) for token in tokens],
            "text_offset": [token.offset for token in tokens],
        }

    def _best(self, token: Token) -> dict[str, float | None] | None:
        """Return the most likely tokens and the one that was taken; None for the first token of a prompt."""
        if token.log_probability is None:
            return None
        best = {self._name(one_id): _finite(value) for one_id, value in token.alternatives}
        return {**best, self._name(token.id): _finite(token.log_probability)}


class ChatForm(_Form):
    """Replies of /v1/chat/completions."""

    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def opening(self, n_choices: int) -> list[dict[str, Any]]:
        """Return a chunk per answer that says who speaks."""
        delta = {"role": "assistant", "content": ""}
        return [
            self._object(self.chunk, [{"index": number, "delta": delta, "logprobs": None, "finish_reason": None}])
            for number in range(n_choices)
        ]

    def _choice(self, number: int, one: Whole) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(one.texts), "refusal": None}
        found = self._logprobs(one.tokens)
        return {"index": number, "message": message, "logprobs": found, "finish_reason": one.finish}

    def _part(self, number: int, piece: Piece) -> dict[str, Any]:
        delta = {"content": piece.text} if piece.text else {}
        return {
            "index": number,
            "delta": delta,
            "logprobs": self._logprobs(piece.tokens),
            "finish_reason": piece.finish,
        }

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any] | None:
        if not self._with_tokens:
            return None
        return {"content": [self._token(token) for token in tokens], "refusal": None}

    def _token(self, token: Token) -> dict[str, Any]:
        best = [self._scored(one_id, value) for one_id, value in token.alternatives]
        return {**self._scored(token.id, token.log_probability), "top_logprobs": best}

    def _scored(self, one_id: int, log_probability: float | None) -> dict[str, Any]:
        data = list(self._tokenizer.decode_bytes([one_id]))
        return {"token": self._name(one_id), "logprob": _finite(log_probability), "bytes": data}


def _finite(value: float | None) -> float | None:
    """Return a log-probability that JSON can hold; OpenAI writes -9999 for impossible tokens."""
    return value if value is None or math.isfinite(value) else _IMPOSSIBLE
