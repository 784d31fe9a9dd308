"""Tunes a model on rows: texts, instructions with answers, or conversations; with LoRA or all weights.

The three kinds differ in how a row is encoded and which ids are trained, which is in `bytemill.data.rows`. After that
they are the same task.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bytemill.data.rows import (
    EncodedRows,
    RowBatches,
    collate,
    collate_packed,
    encode_conversations,
    encode_rows,
    encode_texts,
    read_rows,
    split_rows,
)
from bytemill.data.rows.messages import as_conversation, changes_note
from bytemill.errors import ConfigError, DataError
from bytemill.evaluate.loss import bytes_per_token, held_out_loss
from bytemill.model import GPT2
from bytemill.tasks.base_model import (
    adapt,
    base_of,
    files_for_use,
    fitted_to_data,
    lora_config,
    model_config_json,
    starting_model,
    template_of,
    tokenizer_of,
    with_settled_base,
)
from bytemill.tasks.next_token import TemplatedPrompt, draw_samples, labels_loss, own_prompts, refuse_misfit
from bytemill.tasks.row_parts import row_parts
from bytemill.train.config import DataConfig, SampleConfig
from bytemill.train.machine.distributed import World
from bytemill.train.plan import with_steps
from bytemill.train.task import Epoch, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

    from bytemill.data.rows.pairs import EncodedPairs
    from bytemill.model import CausalModel
    from bytemill.train.config import RunConfig

__all__ = [
    "COLUMN_SETTING",
    "at_most",
    "column_names",
    "encode_for_task",
    "held_out",
    "read_for_task",
    "resolve_epochs",
    "row_batches_once",
    "tuning_task",
    "tuning_task_from_config",
]

Encoded = TypeVar("Encoded", EncodedRows, "EncodedPairs")
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
    model_config: Mapping[str, Any] | None = None,
    base: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    fingerprints: Mapping[str, str] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Task:
    """Return the task of tuning on encoded rows; prompts are masked unless `data.mask_prompt` is false.

    Args:
        model: `model(ids, targets)` returns (anything, mean loss).
        train_rows: From one of the encoders of `bytemill.data.rows`.
        tokenizer: The model's tokenizer.
        validation_rows: Rows to measure once per validation.
        test_rows: Rows to measure once after training.
        parameters: Parameters to train, such as `lora_parameters(model)`; empty for all that require a gradient.
        data: Batch size, seed and masking.
        sample: Prompts to continue during training, complete with the template.
        prompts: Prompts to continue if `sample` has none.
        model_config: Settings that rebuild the model, saved with each checkpoint.
        base: Path and SHA-256 of a frozen base; checkpoints then do not contain its weights.
        files: Files to write into the run's folder: the tokenizer, the template.
        fingerprints: Fingerprint of the tokenizer, by name; the rows' fingerprint is added.
        rank: Rank of this process.
        world_size: Number of processes that share the rows.
    """
    data, sample = data or DataConfig(), sample or SampleConfig()
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
            rank=rank,
            world_size=world_size,
        ),
        loss=labels_loss,
        validate=lambda: measured(validation_rows, "val_"),
        test=lambda: measured(test_rows, "test_"),
        samples=lambda: draw_samples(model, tokenizer, sample.prompts or prompts, sample),
        epoch=Epoch(len(train_rows.rows), "rows", batch_size=data.batch_size),
        model_config=dict(model_config or {}),
        base=base,
        files=files or {},
        fingerprints={**(fingerprints or {}), "rows": train_rows.fingerprint()},
    )


def tuning_task_from_config(config: RunConfig) -> tuple[Task, RunConfig, list[str]]:
    """Return the task of a configuration, the completed configuration, and reports on the rows.

    The rows are split by `data.split` (default 85 / 10 / 5) into training, test and validation. Test rows are measured
    only if they come from a separate file, `data.test`.

    Raises:
        ConfigError: `data.path` or a tokenizer is missing, or a setting is invalid.
        DataError: No row can be used, or the model was trained with another tokenizer.
    """
    data, world = config.data, World.from_environment()
    if data.path is None:
        raise ConfigError("data.path is not given")
    config = with_settled_base(config)
    tokenizer = tokenizer_of(config)
    notes: list[str] = []
    parts = row_parts(
        config,
        read_for_task(config, notes=notes),
        lambda source: read_for_task(config, source, notes=notes),
        at_most=data.max_rows,
    )
    train_rows = encode_for_task(parts.train, tokenizer, config)
    train_rows = replace(train_rows, notes=(*train_rows.notes, *notes))
    kept_aside = ((parts.validation, data.val), (parts.test if data.test else (), data.test))
    (validation_rows, told), (test_rows, test_told) = (
        held_out(rows, lambda rows: encode_for_task(rows, tokenizer, config), source=source)
        for rows, source in kept_aside
    )
    config = fitted_to_data(config, tokenizer.n_vocab)
    model = starting_model(config, tokenizer_sha256=tokenizer.fingerprint)
    refuse_misfit(model, config, n_vocab=tokenizer.n_vocab, source=str(data.tokenizer or config.base))
    if data.pack_rows and not isinstance(model, GPT2):
        raise ConfigError("data.pack_rows: only bytemill's GPT-2 can limit attention to rows")
    parameters = adapt(model, config.lora)
    model.checkpoints_activations = config.train.checkpoint_activations
    task = tuning_task(
        model,
        train_rows,
        tokenizer,
        validation_rows=validation_rows,
        test_rows=test_rows,
        parameters=parameters,
        data=data,
        sample=config.sample,
        prompts=own_prompts(tokenizer, template_of(config)),
        model_config=model_config_json(model, lora_config(config.lora), backend=config.lora.backend),
        base=base_of(config),
        files=files_for_use(config, tokenizer, model.config.n_positions),
        fingerprints={"tokenizer": tokenizer.fingerprint},
        rank=world.rank,
        world_size=world.size,
    )
    reports = [f"training: {train_rows.report()}", f"validation: {told}"]
    if data.test is not None:
        reports.append(f"test: {test_told}")
    return task, resolve_epochs(config, n_rows=len(train_rows.rows)), reports


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


def at_most(rows: Sequence[Mapping[str, Any]], data: DataConfig) -> Sequence[Mapping[str, Any]]:
    """Return `data.max_rows` rows sampled by `data.seed`; all rows if there are not more, or if it is 0."""
    if not 0 < data.max_rows < len(rows):
        return rows
    return split_rows(rows, (1.0,), seed=data.seed, at_most=data.max_rows)[0]


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


def held_out(
    rows: Sequence[Mapping[str, Any]],
    encode: Callable[[Sequence[Mapping[str, Any]]], Encoded],
    *,
    source: str | None = None,
) -> tuple[Encoded | None, str]:
    """Encode the rows of a validation or test set; return them, or None if none can be used, and a report.

    Training does not need these rows: if there are few, the only one for validation may lack an answer. But rows from a
    separate file, `source`, must be usable, else DataError is raised.
    """
    if not rows:
        return None, "no rows are kept aside"
    try:
        encoded = encode(rows)
    except DataError as error:
        if source is not None:
            raise DataError(f"{source}: {error}") from None
        return None, str(error)
    return encoded, encoded.report()


def resolve_epochs(config: RunConfig, *, n_rows: int) -> RunConfig:
    """Turn `train.epochs` into `train.max_steps` and `train.warmup_share` into `train.warmup_steps`.

    Raises:
        ConfigError: `train.total_batch_tokens` or `train.find_batch_size` is set.

    >>> from bytemill.train.config import load_config
    >>> two_epochs = load_config(None, ["train.epochs=2", "data.batch_size=8"])
    >>> resolve_epochs(two_epochs, n_rows=935).train.max_steps
    234
    """
    for name in ("total_batch_tokens", "find_batch_size"):
        if getattr(config.train, name):
            raise ConfigError(
                f"train.{name} is only for pretraining; for rows, set data.batch_size and train.micro_batches"
            )
    return with_steps(config, Epoch(n_rows, "rows", batch_size=config.data.batch_size))


def row_batches_once(encoded: EncodedRows, data: DataConfig, *, pad_id: int) -> Iterator[tuple[Any, ...]]:
    """Yield batches with each row once, in order; `data.eval_batches` limits the number of batches."""
    starts = range(0, len(encoded.rows), data.batch_size)
    for start in starts[: data.eval_batches or None]:
        rows = encoded.rows[start : start + data.batch_size]
        if data.pack_rows:
            yield collate_packed(rows, mask_prompt=data.mask_prompt)
        else:
            yield collate(rows, pad_id=pad_id, mask_prompt=data.mask_prompt)
