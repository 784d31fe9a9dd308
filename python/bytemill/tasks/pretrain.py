"""Pretraining: trains a model to predict the next token of a stream of text."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Protocol, Unpack

from bytemill.errors import ConfigError, DataError
from bytemill.evaluate.hellaswag import HellaSwagItem, HellaSwagScore, hellaswag_score, read_hellaswag
from bytemill.evaluate.loss import bytes_per_token, held_out_loss
from bytemill.model import GPT2
from bytemill.progress import report
from bytemill.tasks.base_model import model_config_json
from bytemill.tasks.base_settings import files_for_use, with_settled_base
from bytemill.tasks.inputs import check_inputs, shards_at
from bytemill.tasks.next_token import draw_samples, next_token_loss
from bytemill.tasks.prepared import Prepared, SavedFields, built_model
from bytemill.tokenizer.source import open_tokenizer, tokenizer_in
from bytemill.train.config import SampleConfig
from bytemill.train.machine.distributed import World
from bytemill.train.plan import resolve_micro_batches, with_steps
from bytemill.train.task import BatchStream, Epoch, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bytemill.data import Manifest
    from bytemill.model import CausalModel
    from bytemill.train.config import RunConfig

__all__ = ["one_pass", "pretrain_task", "pretrain_task_from_config"]

_DEFAULT_PROMPTS = ("",)
Split = Literal["train", "val"]


class SampleLoader(BatchStream, Protocol):
    """A stream of (inputs, targets) over a known number of samples, such as bytemill.data.TokenLoader."""

    @property
    def n_samples(self) -> int:
        """Number of samples in one epoch."""
        ...


def pretrain_task(
    model: CausalModel,
    batches: BatchStream,
    *,
    validation: SampleLoader | None = None,
    validation_batches: int = 0,
    more_validation: Mapping[str, SampleLoader] | None = None,
    tokenizer: Any = None,
    sample: SampleConfig | None = None,
    hellaswag: Sequence[HellaSwagItem] = (),
    seq_len: int | None = None,
    epoch: Epoch | None = None,
    **saved: Unpack[SavedFields],
) -> Task:
    """Return the task of next-token training on a stream of (inputs, targets).

    Args:
        model: Called as in `next_token_loss`.
        batches: Endless and resumable, such as a TokenLoader.
        validation: Held-out samples in file order (`shuffle=False`), a loader of their own.
        validation_batches: Batches of one validation; 0 takes every sample once.
        more_validation: Further held-out samples by name; their metrics are `val_loss/NAME` and the like.
        tokenizer: For bits per byte and samples; without it there are none.
        sample: How samples are drawn.
        hellaswag: Items to answer at each validation, split over the processes.
        seq_len: Tokens of a sample, for MFU; without it there is none.
        epoch: What one pass over `batches` is, for the log.
        **saved: What is saved with the weights.
    """
    sample = sample or SampleConfig()
    token_bytes = None if tokenizer is None else bytes_per_token(tokenizer)

    def measured(loader: SampleLoader) -> dict[str, float]:
        held_out = one_pass(loader, n_batches=validation_batches)
        return held_out_loss(model, held_out, token_bytes=token_bytes).as_metrics()

    def validate() -> dict[str, float]:
        found = {} if validation is None else measured(validation)
        for name, loader in (more_validation or {}).items():
            found |= {f"{key}/{name}": value for key, value in measured(loader).items()}
        return found

    def samples() -> list[dict[str, str]]:
        return draw_samples(model, tokenizer, sample.prompts or _DEFAULT_PROMPTS, sample)

    def answer(world: World) -> dict[str, float]:
        own = hellaswag[world.rank :: world.size]
        score = hellaswag_score(
            model,
            tokenizer,
            own,
            n_positions=model.config.n_positions,
            shown=lambda n_done: report("HellaSwag", n_done, len(own)),
        )
        n_right, n_items = world.sum([score.n_right, score.n_items], next(model.parameters()).device)
        return HellaSwagScore(int(n_right), int(n_items)).as_metrics()

    return Task(
        model=model,
        batches=batches,
        loss=next_token_loss,
        hidden_matrices=model.hidden_matrices(),
        flops_per_token=model.flops_per_token(seq_len) if seq_len else 0.0,
        validate=validate,
        validate_together=answer if hellaswag else None,
        samples=None if tokenizer is None else samples,
        why_no_samples="data.tokenizer is not given",
        epoch=epoch,
        **saved,
    )


def pretrain_task_from_config(config: RunConfig) -> Prepared:
    """Return the task that a configuration describes; there is nothing to report on shards.

    Raises:
        ConfigError: `data.path` is not given, or settings contradict each other or the data.
        DataError: The tokenizer, a further validation set or the base does not match the shards.
        FormatError: The shards are damaged.
    """
    from bytemill.data import TokenLoader

    data, world = config.data, World.from_environment()
    check_inputs(config)
    assert data.path is not None
    manifest = shards_at(data.path)
    config = with_settled_base(config)
    tokenizer = tokenizer_in(manifest.folder) if data.tokenizer is None else open_tokenizer(data.tokenizer)
    if tokenizer is not None:
        manifest.refuse_other(tokenizer)
    model, config = built_model(
        config, n_vocab=manifest.n_vocab, tokenizer_sha256=manifest.tokenizer_sha256, source=data.path
    )
    if data.mask_documents and not isinstance(model, GPT2):
        raise ConfigError("data.mask_documents: only bytemill's GPT-2 can limit attention to documents")
    documents: Literal["cu_seqlens"] | None = "cu_seqlens" if data.mask_documents else None
    training = TokenLoader(
        data.path,
        batch_size=data.batch_size,
        seq_len=data.seq_len,
        seed=data.seed,
        rank=world.rank,
        world_size=world.size,
        packing=data.packing,
        documents=documents,
    )

    def held_out(folder: str, split: Split) -> TokenLoader:
        return TokenLoader(
            folder,
            batch_size=data.batch_size,
            seq_len=data.seq_len,
            split=split,
            shuffle=False,
            documents=documents,
        )

    validation = held_out(data.path, "val") if manifest.tokens("val") > data.seq_len else None
    epoch = Epoch(training.n_samples, f"samples of {data.seq_len:,} tokens", batch_size=data.batch_size)
    task = pretrain_task(
        model,
        training,
        validation=validation,
        validation_batches=data.eval_batches,
        more_validation={name: held_out(*place) for name, place in _more_validation(config, manifest).items()},
        tokenizer=tokenizer,
        sample=config.sample,
        hellaswag=_hellaswag_items(config, has_tokenizer=tokenizer is not None),
        seq_len=data.seq_len,
        epoch=epoch,
        model_config=model_config_json(model),
        files=files_for_use(config, tokenizer, model.config.n_positions),
        fingerprints={"data": manifest.root_sha256, "tokenizer": manifest.tokenizer_sha256},
    )
    return Prepared(task, with_steps(resolve_micro_batches(config), epoch), [])


def one_pass(loader: SampleLoader, *, n_batches: int = 0) -> Iterator[tuple[Any, ...]]:
    """Yield batches with each sample of an endless loader once, from the first; the last batch may be smaller.

    Args:
        loader: Loader in file order; its position changes.
        n_batches: Maximum number of batches; 0 for all.
    """
    loader.load_state_dict(loader.state_dict() | {"position": 0})
    left = total = loader.n_samples
    report("validation", 0, total)
    for inputs, targets, *documents in islice(loader, n_batches or None):
        n_ids = targets[:left].numel()
        yield inputs[:left], targets[:left], *(cu_seqlens.clamp(max=n_ids) for cu_seqlens in documents)
        if n_batches:
            total = min(loader.n_samples, n_batches * len(inputs))
        left -= len(inputs)
        report("validation", loader.n_samples - max(left, 0), total)
        if left <= 0:
            return


def _more_validation(config: RunConfig, training: Manifest) -> dict[str, tuple[str, Split]]:
    """Return folder and split of each further validation set: its validation split, or all of it if that is too small.

    Raises:
        ConfigError: A folder cannot be read, or has too few tokens for one sample.
        DataError: A set has another tokenizer than the training data.
    """
    places: dict[str, tuple[str, Split]] = {}
    for name, folder in config.data.more_val.items():
        manifest = shards_at(folder, setting=f"data.more_val.{name}")
        if manifest.tokenizer_sha256 != training.tokenizer_sha256:
            raise DataError(
                f"data.more_val.{name}: {folder} was tokenized with another tokenizer than {config.data.path}; prepare "
                "it with the same one"
            )
        split: Split = "val" if manifest.tokens("val") > config.data.seq_len else "train"
        if manifest.tokens(split) <= config.data.seq_len:
            raise ConfigError(
                f"data.more_val.{name}: {folder} has {manifest.tokens(split):,} tokens, too few for one sample of "
                f"data.seq_len, {config.data.seq_len:,}"
            )
        places[name] = folder, split
    return places


def _hellaswag_items(config: RunConfig, *, has_tokenizer: bool) -> list[HellaSwagItem]:
    if config.data.hellaswag is None:
        return []
    if not has_tokenizer:
        raise ConfigError("data.hellaswag needs data.tokenizer: the items are text")
    return read_hellaswag(config.data.hellaswag)[: config.data.hellaswag_items or None]
