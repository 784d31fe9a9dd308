"""Continue many prompts in batches of equal length, so that no padding is needed.

A padded prompt would need masks in every layer, and its last bits would differ from those of the prompt alone. The
prompts of a test set have some tens of different lengths. The longest are first, so too little memory shows
immediately.
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
    """Continue each prompt once; yield (its number, the new text) as soon as its batch is done.

    With temperature 0 a text does not depend on the other prompts in its batch.

    Args:
        generator: Model and tokenizer.
        prompts: Texts or ids; an empty prompt starts a document.
        batch_size: Maximum number of prompts at the same time.
        max_new_tokens: Maximum new tokens per text.
        stop: A text ends before the first occurrence of any of these.
        **sampling: As in `bytemill.model.generate`.
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
