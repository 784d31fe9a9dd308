"""Shared parts of all next-token tasks: the loss, text samples, and checks of model against data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bytemill.data.rows import Turn, instruction_prompt, prompt_ids
from bytemill.errors import ConfigError
from bytemill.evaluate.prompts import DEFAULT_PROMPTS
from bytemill.inference import Sampling, TextGenerator, TextTokenizer
from bytemill.targets import IGNORED_TARGET
from bytemill.train.task import BatchLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from bytemill.data.rows import RowEncoder, Template
    from bytemill.model import CausalModel
    from bytemill.train.config import RunConfig, SampleConfig

__all__ = ["TemplatedPrompt", "draw_samples", "labels_loss", "own_prompts", "own_prompts_as_text", "refuse_misfit"]

_INSTRUCTION = "Give three tips for staying healthy."


def labels_loss(model: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> BatchLoss:
    """Return the summed cross-entropy of a batch and its number of labels, so that uneven batches add up exactly.

    Args:
        model: `model(ids, targets, …)` returns (anything, mean loss over targets that are not -100).
        batch: (inputs, targets), each (B, T), and further arguments of the model: cu_seqlens.
    """
    inputs, targets, *documents = batch
    n_labels = (targets != IGNORED_TARGET).sum()
    _, mean = model(inputs, targets, *documents)
    return BatchLoss(mean.float() * n_labels, n_labels)


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


def refuse_misfit(model: CausalModel, config: RunConfig, *, n_vocab: int, source: str) -> None:
    """Check that the model has every token id and that its context is at least one sample long.

    Raises:
        ConfigError: It lacks an id or its context is too short; the error names both values.
    """
    shape, seq_len = model.config, config.data.seq_len
    if n_vocab > shape.vocab_size:
        raise ConfigError(f"model.vocab_size is {shape.vocab_size}, but the ids of {source} need {n_vocab}")
    if seq_len > shape.n_positions:
        raise ConfigError(f"data.seq_len is {seq_len}, above model.n_positions, {shape.n_positions}")
