"""What all tasks that predict the next token share: the start, the loss, and samples on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from bytemill.errors import CheckpointError, ConfigError
from bytemill.model import GPT2, GPT2Config, generate, load_model
from bytemill.model.lora import LoraConfig, apply_lora, merge_lora
from bytemill.train.checkpoint import load_weights, newest_valid, verify_checkpoint
from bytemill.train.task import BatchLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bytemill.train.config import RunConfig, SampleConfig

__all__ = ["draw_samples", "labels_loss", "model_config_json", "refuse_misfit", "starting_model"]

_IGNORED_LABEL = -100


class _Tokenizer(Protocol):
    @property
    def eot_token(self) -> int: ...
    def encode_ordinary(self, text: str, /) -> list[int]: ...
    def decode(self, ids: Any, /) -> str: ...


def labels_loss(model: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> BatchLoss:
    """Summed cross-entropy of a batch, weighed by its labels, so that ragged batches add up exactly.

    Args:
        model: `model(ids, targets)` returns (anything, mean loss over targets that are not -100).
        batch: (inputs, targets), each (B, T).
    """
    inputs, targets = batch
    n_labels = (targets != _IGNORED_LABEL).sum()
    _, mean = model(inputs, targets)
    return BatchLoss(mean.float() * n_labels, n_labels)


def draw_samples(
    model: torch.nn.Module,
    tokenizer: _Tokenizer,
    prompts: Sequence[str],
    settings: SampleConfig,
    generate: Callable[..., torch.Tensor] = generate,
) -> list[dict[str, str]]:
    """Continue each prompt; an empty one starts at an end-of-text, where documents begin.

    Args:
        model: In eval mode.
        tokenizer: Of the model.
        prompts: Texts to continue.
        settings: How to draw.
        generate: As `bytemill.model.generate`.

    Returns:
        Each as {"prompt": …, "text": the continuation alone}.
    """
    device = next(model.parameters()).device
    samples = []
    for prompt in prompts:
        ids = tokenizer.encode_ordinary(prompt) or [tokenizer.eot_token]
        drawn = generate(
            model,
            torch.tensor([ids], device=device),
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            stop_ids=[tokenizer.eot_token],
            seed=settings.seed,
        )
        new_ids = [int(token) for token in drawn[0, len(ids) :] if int(token) != tokenizer.eot_token]
        samples.append({"prompt": prompt, "text": tokenizer.decode(new_ids)})
    return samples


def starting_model(config: RunConfig) -> GPT2:
    """The GPT-2 that a run starts from: a checkpoint, Hugging Face weights, or random ones by seed.

    Raises:
        ConfigError: The model section has an unknown field or a value that cannot work.
        CheckpointError: `config.base` is a damaged checkpoint.
    """
    torch.manual_seed(config.train.seed)
    if config.base is not None:
        folder = _checkpoint_folder(Path(config.base))
        return GPT2.from_huggingface(config.base) if folder is None else _model_of_checkpoint(folder)
    fields = dict(config.model)
    name = fields.pop("name", None)
    try:
        return GPT2(GPT2Config(**fields) if name is None else GPT2Config.named(name, **fields))
    except ConfigError as error:
        raise ConfigError(f"model.{error}") from None


def refuse_misfit(model: GPT2, config: RunConfig, *, n_vocab: int, source: str) -> None:
    """Make sure that the model knows every id and is as long as a sample.

    Raises:
        ConfigError: It does not, or is not; names both values.
    """
    shape, seq_len = model.config, config.data.seq_len
    if n_vocab > shape.vocab_size:
        raise ConfigError(f"model.vocab_size is {shape.vocab_size}, but the ids of {source} need {n_vocab}")
    if seq_len > shape.n_positions:
        raise ConfigError(f"data.seq_len is {seq_len}, above model.n_positions, {shape.n_positions}")


def model_config_json(model: GPT2, lora: LoraConfig | None = None) -> dict[str, Any]:
    """What a checkpoint's config.json says of a model; without adapters, `load_model` reads it too."""
    fields = {"format": "bytemill-gpt2", "version": 1, **model.config.model_dump(mode="json")}
    return fields if lora is None else {**fields, "lora": lora.model_dump(mode="json")}


def _checkpoint_folder(base: Path) -> Path | None:
    """The folder itself if it is a checkpoint, the newest one in it if it is a run, else None."""
    if (base / "state.json").exists():
        verify_checkpoint(base)
        return base
    if not (base / "checkpoints").is_dir():
        return None
    newest, faults = newest_valid(base)
    if newest is None:
        raise CheckpointError(f"{base}: no checkpoint of this run is whole: {'; '.join(faults)}")
    return newest.path


def _model_of_checkpoint(folder: Path) -> GPT2:
    """The model saved in a checkpoint, its adapters merged into its weights."""
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "lora" not in fields:
        return load_model(folder)
    shape = {name: fields[name] for name in GPT2Config.model_fields}
    model = apply_lora(GPT2(GPT2Config(**shape)), LoraConfig(**fields["lora"]))
    load_weights(folder, model)
    return merge_lora(model, unwrap=True).requires_grad_(True)
