"""Instruction tuning: a model that continues text learns to answer, by LoRA or with all its weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bytemill.data.rows import EncodedRows, RowBatches, collate, encode_rows, read_rows, split_rows
from bytemill.errors import ConfigError
from bytemill.evaluate.loss import bytes_per_token, held_out_loss
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters
from bytemill.tasks.base_model import fitted_to_data, model_config_json, starting_model
from bytemill.tasks.next_token import draw_samples, labels_loss, refuse_misfit
from bytemill.tokenizer import Tokenizer
from bytemill.train.config import DataConfig, SampleConfig
from bytemill.train.distributed import World
from bytemill.train.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from bytemill.model import GPT2
    from bytemill.train.config import RunConfig

__all__ = ["instruct_task", "instruct_task_from_config", "resolve_epochs", "row_batches_once"]


def instruct_task(
    model: GPT2,
    train_rows: EncodedRows,
    tokenizer: Any,
    *,
    validation_rows: EncodedRows | None = None,
    parameters: Sequence[torch.nn.Parameter] = (),
    data: DataConfig | None = None,
    sample: SampleConfig | None = None,
    model_config: Mapping[str, Any] | None = None,
    fingerprints: Mapping[str, str] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Task:
    """Training of `model` on encoded rows, the prompts masked unless `data.mask_prompt` is off.

    Args:
        model: `model(ids, targets)` returns (anything, mean loss).
        train_rows: From `encode_rows`.
        tokenizer: Of the model.
        validation_rows: Held-out rows, each measured once a validation.
        parameters: Those that train, such as `lora_parameters(model)`; empty takes all that require a
            gradient.
        data: Batch size, seed and masking.
        sample: Prompts that are continued on the way, in full, template included.
        model_config: Saved with each checkpoint; rebuilds the model.
        fingerprints: Of the tokenizer, by name; the rows' own is added.
        rank: Of this process.
        world_size: Processes that share the rows.
    """
    data, sample = data or DataConfig(), sample or SampleConfig()
    pad_id, token_bytes = tokenizer.eot_token, bytes_per_token(tokenizer)

    def validate() -> dict[str, float]:
        if validation_rows is None:
            return {}
        held_out = row_batches_once(validation_rows, data, pad_id=pad_id)
        return held_out_loss(model, held_out, token_bytes=token_bytes).as_metrics()

    return Task(
        model=model,
        parameters=parameters,
        hidden_matrices=[p for p in model.hidden_matrices() if p.requires_grad],
        batches=RowBatches(
            train_rows.rows,
            batch_size=data.batch_size,
            pad_id=pad_id,
            mask_prompt=data.mask_prompt,
            seed=data.seed,
            rank=rank,
            world_size=world_size,
        ),
        loss=labels_loss,
        validate=validate,
        samples=lambda: draw_samples(model, tokenizer, sample.prompts, sample),
        model_config=dict(model_config or {}),
        fingerprints={**(fingerprints or {}), "rows": train_rows.fingerprint()},
    )


def instruct_task_from_config(config: RunConfig) -> tuple[Task, RunConfig, list[str]]:
    """The task that a configuration describes, its settled configuration, and what became of the rows.

    The rows are parted 85 / 10 / 5 into training, test and validation; the test rows are left alone.

    Raises:
        ConfigError: `data.path` or `data.tokenizer` is not given, or a setting cannot work.
        DataError: No row can be used, or the model was trained with another tokenizer.
    """
    data, world = config.data, World.from_environment()
    for name in ("path", "tokenizer"):
        if getattr(data, name) is None:
            raise ConfigError(f"data.{name} is not given")
    tokenizer = Tokenizer.load(str(data.tokenizer))
    train, _, validation = split_rows(read_rows(str(data.path)), seed=data.seed)

    def encoded(rows: list[dict[str, Any]]) -> EncodedRows:
        return encode_rows(rows, tokenizer, max_tokens=data.seq_len, template=data.template)

    train_rows, validation_rows = encoded(train), encoded(validation) if validation else None
    config = fitted_to_data(config, tokenizer.n_vocab)
    model = starting_model(config, tokenizer_sha256=tokenizer.fingerprint)
    refuse_misfit(model, config, n_vocab=tokenizer.n_vocab, source=str(data.tokenizer))
    lora = LoraConfig(**config.lora.model_dump()) if config.lora.r else None
    if lora is not None:
        apply_lora(model, lora)
    model.checkpoints_activations = config.train.checkpoint_activations
    task = instruct_task(
        model,
        train_rows,
        tokenizer,
        validation_rows=validation_rows,
        parameters=() if lora is None else lora_parameters(model),
        data=data,
        sample=config.sample,
        model_config=model_config_json(model, lora),
        fingerprints={"tokenizer": tokenizer.fingerprint},
        rank=world.rank,
        world_size=world.size,
    )
    reports = [f"training: {train_rows.report()}"]
    reports.append(f"validation: {validation_rows.report() if validation_rows else 'too few rows to keep any aside'}")
    return task, resolve_epochs(config, n_rows=len(train_rows.rows)), reports


def resolve_epochs(config: RunConfig, *, n_rows: int) -> RunConfig:
    """Turn `train.epochs` into `train.max_steps`, rounded up to whole steps.

    >>> from bytemill.train.config import load_config
    >>> two_epochs = load_config(None, ["train.epochs=2", "data.batch_size=8"])
    >>> resolve_epochs(two_epochs, n_rows=935).train.max_steps
    234
    """
    if config.train.epochs is None:
        return config
    rows_per_step = config.data.batch_size * config.train.micro_batches
    return config.with_train(max_steps=math.ceil(config.train.epochs * n_rows / rows_per_step))


def row_batches_once(encoded: EncodedRows, data: DataConfig, *, pad_id: int) -> Iterator[tuple[Any, Any]]:
    """Each row once, in order; `data.eval_batches` limits how many batches."""
    starts = range(0, len(encoded.rows), data.batch_size)
    for start in starts[: data.eval_batches or None]:
        rows = encoded.rows[start : start + data.batch_size]
        yield collate(rows, pad_id=pad_id, mask_prompt=data.mask_prompt)
