"""What all tasks that predict the next token share: the loss, samples on the way, and what must fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.data.rows import instruction_prompt
from bytemill.data.rows.templates import conversation_parts
from bytemill.errors import ConfigError
from bytemill.evaluate.prompts import DEFAULT_PROMPTS
from bytemill.inference import Sampling, TextGenerator, TextTokenizer
from bytemill.train.task import BatchLoss

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from bytemill.model import CausalModel
    from bytemill.train.config import RunConfig, SampleConfig

__all__ = ["draw_samples", "labels_loss", "own_prompts", "refuse_misfit"]

_IGNORED_LABEL = -100
_INSTRUCTION = "Give three tips for staying healthy."


def labels_loss(model: torch.nn.Module, batch: tuple[torch.Tensor, ...]) -> BatchLoss:
    """Summed cross-entropy of a batch, weighed by its labels, so that ragged batches add up exactly.

    Args:
        model: `model(ids, targets, …)` returns (anything, mean loss over targets that are not -100).
        batch: (inputs, targets), each (B, T), and what else the model takes: cu_seqlens.
    """
    inputs, targets, *documents = batch
    n_labels = (targets != _IGNORED_LABEL).sum()
    _, mean = model(inputs, targets, *documents)
    return BatchLoss(mean.float() * n_labels, n_labels)


def draw_samples(
    model: CausalModel, tokenizer: TextTokenizer, prompts: Sequence[str], settings: SampleConfig
) -> list[dict[str, str]]:
    """Continue each prompt; an empty one starts where documents begin.

    Returns:
        Each as {"prompt": …, "text": the continuation alone}.
    """
    generator = TextGenerator(model, tokenizer)
    options: Sampling = {
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "seed": settings.seed,
    }

    def continuation(prompt: str) -> str:
        return "".join(generator.stream(prompt, max_new_tokens=settings.max_new_tokens, **options))

    return [{"prompt": prompt, "text": continuation(prompt)} for prompt in prompts]


def own_prompts(config: RunConfig) -> tuple[str, ...]:
    """Return what is continued when `sample.prompts` is empty: an ordinary text and a templated instruction.

    >>> from bytemill.train.config import load_config
    >>> ordinary, instruction = own_prompts(load_config(None, ["task=chat", "data.chat_template=chatml"]))
    >>> ordinary, instruction.splitlines()[0]
    ('I love this movie because', '<|im_start|>user')
    """
    return DEFAULT_PROMPTS[0].text, _instruction_in_template(config)


def _instruction_in_template(config: RunConfig) -> str:
    if config.task != "chat":
        return instruction_prompt(_INSTRUCTION, template=config.data.template)
    turns = [{"role": "user", "content": _INSTRUCTION}, {"role": "assistant", "content": "-"}]
    parts = conversation_parts(turns, template=config.data.chat_template)
    return "".join(part.text for part in parts if not part.is_answer)


def refuse_misfit(model: CausalModel, config: RunConfig, *, n_vocab: int, source: str) -> None:
    """Make sure that the model knows every id and is as long as a sample.

    Raises:
        ConfigError: It does not, or is not; names both values.
    """
    shape, seq_len = model.config, config.data.seq_len
    if n_vocab > shape.vocab_size:
        raise ConfigError(f"model.vocab_size is {shape.vocab_size}, but the ids of {source} need {n_vocab}")
    if seq_len > shape.n_positions:
        raise ConfigError(f"data.seq_len is {seq_len}, above model.n_positions, {shape.n_positions}")
