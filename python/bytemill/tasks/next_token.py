"""Shared parts of all next-token tasks: the loss and text samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bytemill.data.rows import Turn, instruction_prompt, prompt_ids
from bytemill.evaluate.prompts import DEFAULT_PROMPTS
from bytemill.inference import Sampling, TextGenerator, TextTokenizer
from bytemill.targets import IGNORED_TARGET
from bytemill.train.task import BatchLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from bytemill.data.rows import RowEncoder, Template
    from bytemill.model import CausalModel
    from bytemill.train.config import SampleConfig

__all__ = ["TemplatedPrompt", "draw_samples", "next_token_loss", "own_prompts", "own_prompts_as_text"]

_INSTRUCTION = "Give three tips for staying healthy."


def next_token_loss(model: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> BatchLoss:
    """Return the summed cross-entropy of a batch and how many targets it sums over.

    Args:
        model: `model(ids, targets, …, reduction="sum")` returns (anything, the loss summed over targets that are not
            -100).
        batch: (inputs, targets), each (B, T), and further arguments of the model: cu_seqlens.
    """
    inputs, targets, *documents = batch
    _, loss_sum = model(inputs, targets, *documents, reduction="sum")
    return BatchLoss(loss_sum.float(), (targets != IGNORED_TARGET).sum())


class TemplatedPrompt(NamedTuple):
    """A prompt with its ids, which may differ from those of its text: template markers may be special tokens."""

    text: str
    ids: list[int]


def draw_samples(
    model: CausalModel, tokenizer: TextTokenizer, prompts: Sequence[str | TemplatedPrompt], settings: SampleConfig
) -> list[dict[str, str]]:
    """Continue each prompt; an empty prompt starts a new document.

    Returns:
        One {"prompt": …, "text": …} per prompt; "text" is the continuation without the prompt.
    """
    generator = TextGenerator(model, tokenizer)
    options: Sampling = {
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "seed": settings.seed,
    }

    def continuation(prompt: str | TemplatedPrompt) -> str:
        given = prompt if isinstance(prompt, str) else prompt.ids
        return "".join(generator.stream(given, max_new_tokens=settings.max_new_tokens, **options))

    return [{"prompt": one if isinstance(one, str) else one.text, "text": continuation(one)} for one in prompts]


def own_prompts(tokenizer: RowEncoder, template: Template) -> tuple[str | TemplatedPrompt, ...]:
    """Return the prompts used when `sample.prompts` is empty: an ordinary text and an instruction in the template."""
    ordinary, text = own_prompts_as_text(template)
    return ordinary, TemplatedPrompt(text, prompt_ids([Turn("user", _INSTRUCTION)], tokenizer, template))


def own_prompts_as_text(template: Template) -> tuple[str, str]:
    """Return the prompts of `own_prompts` as text.

    >>> own_prompts_as_text("chatml")[1].splitlines()[0]
    '<|im_start|>user'
    """
    return DEFAULT_PROMPTS[0].text, instruction_prompt(_INSTRUCTION, template=template)
