"""Several instructions and answers in a row, in the words that instruction tuning used.

GPT-2 knows no roles: a conversation is one text in which instruction and response take turns under the
headings of the template (Taori et al., "Stanford Alpaca", 2023), and a heading that the model begins itself is
where its answer ends. When the text no longer fits the context, its oldest turns are left out.
"""

from collections.abc import Iterator
from typing import Unpack

from bytemill.data.rows import instruction_prompt
from bytemill.inference.text import Sampling, TextGenerator

__all__ = ["Conversation"]

_HEADING = "\n\n### Instruction:\n"
_RESPONSE = "\n\n### Response:\n"


class Conversation:
    """Turns of instruction and answer with one model.

    Args:
        generator: Model and tokenizer.
        max_new_tokens: Tokens of an answer at most; also what is kept free for it in the context, up to half of it.
        **sampling: As `bytemill.model.generate`.
    """

    def __init__(self, generator: TextGenerator, *, max_new_tokens: int = 256, **sampling: Unpack[Sampling]) -> None:
        self._generator, self._max_new_tokens, self._sampling = generator, max_new_tokens, sampling
        self._turns: list[tuple[str, str]] = []

    def answer(self, instruction: str) -> Iterator[str]:
        """The answer in pieces of whole characters; when it is over, it is part of the conversation."""
        pieces = []
        for piece in self._generator.stream(
            self._prompt(instruction), max_new_tokens=self._max_new_tokens, stop=("\n### ",), **self._sampling
        ):
            pieces.append(piece)
            yield piece
        self._turns.append((instruction, "".join(pieces).strip()))

    def forget(self) -> None:
        """Begin anew."""
        self._turns.clear()

    def _prompt(self, instruction: str) -> str:
        """The whole conversation, without the oldest turns if it would be too long."""
        n_positions = self._generator.model.config.n_positions
        n_room = n_positions - min(self._max_new_tokens, n_positions // 2)
        for first in range(len(self._turns) + 1):
            prompt = _as_text(self._turns[first:], instruction)
            if len(self._generator.tokenizer.encode_ordinary(prompt)) <= n_room:
                break
        return prompt


def _as_text(turns: list[tuple[str, str]], instruction: str) -> str:
    asked = [one for one, _ in turns] + [instruction]
    text = instruction_prompt(asked[0])
    for (_, answer), following in zip(turns, asked[1:], strict=True):
        text += f"{answer}{_HEADING}{following}{_RESPONSE}"
    return text
