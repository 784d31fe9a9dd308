"""Tunes a model on rows: texts, instructions with answers, or conversations; with LoRA or all weights.

The three kinds differ in how a row is encoded and which ids are trained, which is in `bytemill.data.rows`. After that
they are the same task.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from bytemill.data.rows import (
    EncodedRows,
    RowBatches,
    collate,
    collate_packed,
    encode_conversations,
    encode_rows,
    encode_texts,
    read_rows,
)
from bytemill.data.rows.messages import as_conversation, changes_note
from bytemill.errors import ConfigError
from bytemill.evaluate.loss import bytes_per_token, held_out_loss
from bytemill.model import GPT2
from bytemill.progress import counted
from bytemill.tasks.base_model import adapt
from bytemill.tasks.base_settings import template_of
from bytemill.tasks.next_token import TemplatedPrompt, draw_samples, next_token_loss, own_prompts
from bytemill.tasks.prepared import (
    Prepared,
    SavedFields,
    encoded_parts,
    model_for_rows,
    resolve_epochs,
    saved_fields,
    settled,
    with_rows,
)
from bytemill.train.config import DataConfig, SampleConfig
from bytemill.train.machine.distributed import World
from bytemill.train.task import Epoch, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from bytemill.model import CausalModel
    from bytemill.train.config import RunConfig

__all__ = [
    "COLUMN_SETTING",
    "column_names",
    "encode_for_task",
    "read_for_task",
    "row_batches_once",
    "tuning_task",
    "tuning_task_from_config",
]

COLUMN_SETTING = "data.{}_column"
"""The setting that names a column; the placeholder is bytemill's name for the column."""
_COLUMNS = {
    "lm": ("text",),
    "instruct": ("instruction", "input", "output"),
    "chat": ("messages",),
    "classify": ("text", "label"),
}


def tuning_task(
    model: CausalModel,
    train_rows: EncodedRows,
    tokenizer: Any,
    *,
    validation_rows: EncodedRows | None = None,
    test_rows: EncodedRows | None = None,
    parameters: Sequence[torch.nn.Parameter] = (),
    data: DataConfig | None = None,
    sample: SampleConfig | None = None,
    prompts: Sequence[str | TemplatedPrompt] = (),
    world: World | None = None,
    **saved: Unpack[SavedFields],
) -> Task:
    """Return the task of tuning on encoded rows; prompts are masked unless `data.mask_prompt` is false.

    Args:
        model: Called as in `next_token_loss`.
        train_rows: From one of the encoders of `bytemill.data.rows`.
        tokenizer: The model's tokenizer.
        validation_rows: Rows to measure once per validation.
        test_rows: Rows to measure once after training.
        parameters: Parameters to train, such as `lora_parameters(model)`; empty for all that require a gradient.
        data: Batch size, seed and masking.
        sample: Prompts to continue during training, complete with the template.
        prompts: Prompts to continue if `sample` has none.
        world: The processes that share the rows; this one alone when None.
        **saved: What is saved with the weights; the fingerprint of the rows is added.
    """
    data, sample, world = data or DataConfig(), sample or SampleConfig(), world or World()
    pad_id, token_bytes = tokenizer.eot_token, bytes_per_token(tokenizer)

    def measured(rows: EncodedRows | None, prefix: str) -> dict[str, float]:
        if rows is None:
            return {}
        held_out = row_batches_once(rows, data, pad_id=pad_id)
        return held_out_loss(model, held_out, token_bytes=token_bytes).as_metrics(prefix)

    return Task(
        model=model,
        parameters=parameters,
        hidden_matrices=[p for p in model.hidden_matrices() if p.requires_grad],
        batches=RowBatches(
            train_rows.rows,
            batch_size=data.batch_size,
            pad_id=pad_id,
            mask_prompt=data.mask_prompt,
            packed=data.pack_rows,
            seed=data.seed,
            rank=world.rank,
            world_size=world.size,
        ),
        loss=next_token_loss,
        validate=lambda: measured(validation_rows, "val_"),
        test=lambda: measured(test_rows, "test_"),
        samples=lambda: draw_samples(model, tokenizer, sample.prompts or prompts, sample),
        epoch=Epoch(len(train_rows.rows), "rows", batch_size=data.batch_size),
        **with_rows(saved, train_rows.fingerprint()),
    )


def tuning_task_from_config(config: RunConfig) -> Prepared:
    """Return the task that a configuration describes.

    The rows are split by `data.split` (default 85 / 10 / 5) into training, test and validation. Test rows are measured
    only if they come from a separate file, `data.test`.

    Raises:
        ConfigError: `data.path` or a tokenizer is missing, or a setting is invalid.
        DataError: No row can be used, or the model was trained with another tokenizer.
    """
    config, tokenizer = settled(config)
    rows = encoded_parts(config, read_for_task, lambda part: encode_for_task(part, tokenizer, config))
    model, config = model_for_rows(config, tokenizer)
    if config.data.pack_rows and not isinstance(model, GPT2):
        raise ConfigError("data.pack_rows: only bytemill's GPT-2 can limit attention to rows")
    task = tuning_task(
        model,
        rows.train,
        tokenizer,
        validation_rows=rows.validation,
        test_rows=rows.test,
        parameters=adapt(model, config.lora),
        data=config.data,
        sample=config.sample,
        prompts=own_prompts(tokenizer, template_of(config)),
        world=World.from_environment(),
        **saved_fields(config, model, tokenizer),
    )
    return Prepared(task, resolve_epochs(config, n_rows=len(rows.train.rows)), rows.reports)


def read_for_task(
    config: RunConfig, source: str | None = None, *, notes: list[str] | None = None
) -> list[dict[str, Any]]:
    """Read the rows of `data.path`, or of another source, with bytemill's column names.

    Args:
        config: Task and column settings.
        source: Where to read from instead of `data.path`; see `read_rows`.
        notes: List that gets notes on the rows; see `read_rows`.

    Raises:
        DataError: The rows cannot be read, or lack a column that the task needs.
    """
    columns = _COLUMNS[config.task]
    needed = [column for column in columns if column != "input"]
    return read_rows(
        source or str(config.data.path),
        needed,
        names=column_names(config.data, columns),
        setting=COLUMN_SETTING,
        notes=notes,
    )


def column_names(data: DataConfig, columns: Sequence[str]) -> dict[str, str | tuple[str, ...]]:
    """Return the columns' names in the file; by default turns may also be in `messages`, as for OpenAI and trl."""
    names: dict[str, str | tuple[str, ...]] = {column: getattr(data, f"{column}_column") for column in columns}
    if names.get("messages") == DataConfig().messages_column:
        names["messages"] = (DataConfig().messages_column, "messages")
    return names


def encode_for_task(rows: Sequence[Mapping[str, Any]], tokenizer: Any, config: RunConfig) -> EncodedRows:
    """Encode rows as ids and masks for `config.task`.

    Raises:
        DataError: No row can be used; the error says why.
    """
    data = config.data
    if config.task == "lm":
        return encode_texts(rows, tokenizer, max_tokens=data.seq_len, long_texts=data.long_texts)
    if config.task == "chat":
        changes: Counter[str] = Counter()
        plain = [as_conversation(row, changes) for row in rows]
        encoded = encode_conversations(plain, tokenizer, max_tokens=data.seq_len, template=template_of(config))
        return replace(encoded, notes=(*encoded.notes, *changes_note(changes)))
    return encode_rows(rows, tokenizer, max_tokens=data.seq_len, template=template_of(config))


def row_batches_once(encoded: EncodedRows, data: DataConfig, *, pad_id: int) -> Iterator[tuple[Any, ...]]:
    """Yield batches with each row once, in order; `data.eval_batches` limits the number of batches."""
    starts = range(0, len(encoded.rows), data.batch_size)
    starts = starts[: data.eval_batches or None]
    for start in counted(starts, "validation", len(starts)):
        rows = encoded.rows[start : start + data.batch_size]
        if data.pack_rows:
            yield collate_packed(rows, mask_prompt=data.mask_prompt)
        else:
            yield collate(rows, pad_id=pad_id, mask_prompt=data.mask_prompt)
