"""Hold a conversation with a model, in the template that it was tuned with.

The ids of a conversation are those of training (`bytemill.data.rows.encode.prompt_ids`): the same template,
and the same end token after each earlier answer. If they do not fit the context, the oldest turns are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from bytemill.data.rows import Template, Turn, prompt_ids, stop_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bytemill.inference.text import Sampling, TextGenerator

__all__ = ["Conversation"]


class Conversation:
    """A conversation with one model.

    Args:
        generator: Model and tokenizer.
        template: The template that the model was tuned with.
        system: System message before the first turn; "" omits it.
        max_new_tokens: Maximum tokens per answer; the same number is reserved in the context, up to half of it.
        **sampling: As in `bytemill.model.generate`.
    """

    def __init__(
        self,
        generator: TextGenerator,
        *,
        template: Template = "alpaca",
        system: str = "",
        max_new_tokens: int = 256,
        **sampling: Unpack[Sampling],
    ) -> None:
        self._generator, self._template, self._max_new_tokens, self._sampling = (
            generator,
            template,
            max_new_tokens,
            sampling,
        )
        self._system = [Turn("system", system)] if system else []
        self._turns: list[Turn] = []

    def answer(self, text: str) -> Iterator[str]:
        """Yield the answer in pieces of whole characters; when complete, it is added to the conversation."""
        asked = Turn("user", text)
        pieces = []
        for piece in self._generator.stream(
            self._prompt(asked), max_new_tokens=self._max_new_tokens, stop=stop_texts(self._template), **self._sampling
        ):
            pieces.append(piece)
            yield piece
        self._turns += [asked, Turn("assistant", "".join(pieces).strip())]

    def forget(self) -> None:
        """Start a new conversation."""
        self._turns.clear()

    def _prompt(self, asked: Turn) -> list[int]:
        """Return the prompt's ids; the oldest turns are left out if it would be too long."""
        n_positions = self._generator.model.config.n_positions
        n_room = n_positions - min(self._max_new_tokens, n_positions // 2)
        for first in range(0, len(self._turns) + 1, 2):
            turns = [*self._system, *self._turns[first:], asked]
            ids = prompt_ids(turns, self._generator.tokenizer, self._template)  # type: ignore[arg-type]
            if len(ids) <= n_room:
                break
        return ids
