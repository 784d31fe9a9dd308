"""Many prompts continued several at a time: those of equal length share a batch, so that nothing is padded.

A padded prompt would need masks all the way down and give other last bits than the prompt alone. Prompts of a
test set come in some tens of lengths; the longest go first, so a memory that is too small shows at once.
"""

from collections.abc import Iterator, Sequence
from typing import Unpack

import torch

from bytemill.inference.text import Sampling, TextGenerator

__all__ = ["complete_all"]


def complete_all(
    generator: TextGenerator,
    prompts: Sequence[str | Sequence[int]],
    *,
    batch_size: int = 8,
    max_new_tokens: int = 32,
    stop: Sequence[str] = (),
    **sampling: Unpack[Sampling],
) -> Iterator[tuple[int, str]]:
    """Continue each prompt once; give (its number, the new text) as soon as its batch is done.

    With temperature 0 a text does not depend on what shares its batch.

    Args:
        generator: Model and tokenizer.
        prompts: Texts, or ids; an empty one starts a document.
        batch_size: Prompts at a time at most.
        max_new_tokens: Tokens of each text at most.
        stop: A text ends before the first of these that would come up in it.
        **sampling: As `bytemill.model.generate`.
    """
    by_length: dict[int, list[tuple[int, torch.Tensor]]] = {}
    for number, prompt in enumerate(prompts):
        ids = generator.prompt_ids(prompt)
        by_length.setdefault(ids.shape[1], []).append((number, ids))
    for _, group in sorted(by_length.items(), reverse=True):
        for start in range(0, len(group), batch_size):
            numbers, rows = zip(*group[start : start + batch_size], strict=True)
            texts = generator.complete_ids(torch.cat(rows), max_new_tokens=max_new_tokens, stop=stop, **sampling)
            yield from zip(numbers, texts, strict=True)
