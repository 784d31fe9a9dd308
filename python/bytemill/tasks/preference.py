"""Preference tuning (DPO): make the chosen answer of each pair more likely than it was, the rejected one less.

No reward model and no sampling: the loss compares the log-probabilities of the two answers with those under a frozen
reference, the model as it was before tuning. The formula is in `bytemill.tasks.losses`.

Under LoRA the reference is the policy itself with its adapter switched off: no second model in memory.
Otherwise it is a frozen copy, and resuming the run needs the base again to make it.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

import torch

from bytemill.data.rows.pairs import EncodedPairs, PairBatches, collate_pairs, encode_pairs, read_preferences
from bytemill.errors import ConfigError
from bytemill.model.lora import adapter_disabled
from bytemill.targets import IGNORED_TARGET
from bytemill.tasks.base_model import adapt, template_of
from bytemill.tasks.losses import dpo_loss
from bytemill.tasks.next_token import TemplatedPrompt, draw_samples, own_prompts
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
from bytemill.tasks.tuning import COLUMN_SETTING, column_names
from bytemill.train.config import DataConfig, PreferenceConfig, SampleConfig
from bytemill.train.machine.device import to_device
from bytemill.train.machine.distributed import World
from bytemill.train.task import BatchLoss, Epoch, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bytemill.model import CausalModel
    from bytemill.train.config import LoraSettings, RunConfig

__all__ = [
    "Preferences",
    "answer_log_probabilities",
    "encode_for_preference",
    "losses_and_rewards",
    "preference_task",
    "preference_task_from_config",
    "read_pairs",
    "turn_off_dropout",
]

_COLUMNS = ("instruction", "input", "messages")
AnyModel = TypeVar("AnyModel", bound=torch.nn.Module)


@dataclass(frozen=True)
class Preferences:
    """What the policy makes of some pairs; each field is (B,), one value a pair."""

    losses: torch.Tensor
    chosen_rewards: torch.Tensor
    """beta x what the chosen answer gained on the reference, in nats."""
    rejected_rewards: torch.Tensor

    def sums(self) -> dict[str, torch.Tensor]:
        """Sums over the pairs, by the names under which the loop logs their means."""
        margins = self.chosen_rewards - self.rejected_rewards
        return {
            "reward_chosen": self.chosen_rewards.sum(),
            "reward_rejected": self.rejected_rewards.sum(),
            "margin": margins.sum(),
            "accuracy": (margins > 0).sum(),
        }


def losses_and_rewards(policy: torch.Tensor, reference: torch.Tensor, settings: PreferenceConfig) -> Preferences:
    """Return the loss of each pair and the rewards of its answers.

    Args:
        policy: (2B,) log-probabilities under the model that trains: B chosen answers, then B rejected ones.
        reference: (2B,) the same under the model as it was.
        settings: beta and label smoothing.

    >>> same = torch.tensor([-3.0, -5.0])
    >>> losses_and_rewards(same, same, PreferenceConfig()).losses
    tensor([0.6931])
    """
    beta, smoothing = settings.beta, settings.label_smoothing
    losses = dpo_loss(*policy.chunk(2), *reference.chunk(2), beta=beta, label_smoothing=smoothing)
    chosen, rejected = (beta * (policy - reference)).detach().chunk(2)
    return Preferences(losses, chosen, rejected)


def answer_log_probabilities(
    model: torch.nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    *,
    average: Literal["sum", "mean"] = "sum",
) -> torch.Tensor:
    """(B,) log-probability of each row's targets, together or a token.

    Args:
        model: `model(ids, targets, reduction="rows")` returns (anything, (B,) summed losses).
        inputs: (B, T) ids.
        targets: (B, T), -100 where nothing is asked.
        average: "mean" divides by the number of targets.
    """
    sums: torch.Tensor = -model(inputs, targets, reduction="rows")[1].float()
    return sums if average == "sum" else sums / (targets != IGNORED_TARGET).sum(dim=1).clamp(min=1)


def preference_task(
    model: CausalModel,
    train_pairs: EncodedPairs,
    tokenizer: Any,
    *,
    reference: torch.nn.Module | None = None,
    validation_pairs: EncodedPairs | None = None,
    test_pairs: EncodedPairs | None = None,
    settings: PreferenceConfig | None = None,
    parameters: Sequence[torch.nn.Parameter] = (),
    data: DataConfig | None = None,
    sample: SampleConfig | None = None,
    prompts: Sequence[str | TemplatedPrompt] = (),
    world: World | None = None,
    **saved: Unpack[SavedFields],
) -> Task:
    """Preference tuning of `model` on pairs of answers; its metrics are rewards, margin and accuracy.

    Args:
        model: Called as in `answer_log_probabilities`; see `turn_off_dropout`.
        train_pairs: From `encode_pairs`.
        tokenizer: Of the model.
        reference: A frozen copy of the model; None takes the model itself under its switched-off adapter.
        validation_pairs: Held-out pairs, each measured once a validation.
        test_pairs: Pairs that are measured once, after training.
        settings: beta, label smoothing, sum or mean.
        parameters: Those that train; empty takes all that require a gradient.
        data: Batch size (pairs) and seed.
        sample: Prompts that are continued on the way, in full, template included.
        prompts: Those that are continued when `sample` has none.
        world: The processes that share the pairs; this one alone when None.
        **saved: What is saved with the weights; the fingerprint of the pairs is added.
    """
    settings, data, sample = settings or PreferenceConfig(), data or DataConfig(), sample or SampleConfig()
    world = world or World()

    def preferences(policy: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> Preferences:
        # The reference first: it keeps no activations, so the two never stand in memory together.
        with torch.no_grad(), _reference(model, reference, batch[0].device) as frozen:
            theirs = answer_log_probabilities(frozen, *batch, average=settings.log_probabilities)
        own = answer_log_probabilities(policy, *batch, average=settings.log_probabilities)
        return losses_and_rewards(own, theirs, settings)

    def loss(policy: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> BatchLoss:
        found = preferences(policy, batch)
        return BatchLoss(found.losses.sum(), len(found.losses), found.sums())

    def measured(pairs: EncodedPairs | None, prefix: str) -> dict[str, float]:
        sums: dict[str, float] = {}
        n_pairs = 0
        for batch in _batches_once(pairs, data, pad_id=tokenizer.eot_token):
            found = preferences(model, to_device(batch, next(model.parameters()).device))
            for name, value in {"loss": found.losses.sum(), **found.sums()}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            n_pairs += len(found.losses)
        return {f"{prefix}{name}": value / n_pairs for name, value in sums.items()}

    return Task(
        model=model,
        parameters=parameters,
        hidden_matrices=[p for p in model.hidden_matrices() if p.requires_grad],
        batches=PairBatches(
            train_pairs.pairs,
            batch_size=data.batch_size,
            pad_id=tokenizer.eot_token,
            seed=data.seed,
            rank=world.rank,
            world_size=world.size,
        ),
        loss=loss,
        validate=lambda: measured(validation_pairs, "val_"),
        test=lambda: measured(test_pairs, "test_"),
        samples=lambda: draw_samples(model, tokenizer, sample.prompts or prompts, sample),
        epoch=Epoch(len(train_pairs.pairs), "pairs", batch_size=data.batch_size),
        **with_rows(saved, train_pairs.fingerprint()),
    )


def preference_task_from_config(config: RunConfig) -> Prepared:
    """Return the task that a configuration describes.

    The rows are split by `data.split`, 85 / 10 / 5 if it is not given, into training, test and validation. Test rows
    are measured only if they have a file of their own, `data.test`.

    Raises:
        ConfigError: `base` or `data.path` is not given, nor a tokenizer, or a setting cannot work.
        DataError: No row can be used, or the model was trained with another tokenizer.
    """
    if config.base is None:
        raise ConfigError("base is not given")
    config, tokenizer = settled(config)
    pairs = encoded_parts(config, read_pairs, lambda part: encode_for_preference(part, tokenizer, config))
    model, config = model_for_rows(config, tokenizer)
    model = turn_off_dropout(model)
    reference = _frozen_copy(model) if _needs_copy(config.lora) else None
    task = preference_task(
        model,
        pairs.train,
        tokenizer,
        reference=reference,
        validation_pairs=pairs.validation,
        test_pairs=pairs.test,
        settings=config.preference,
        parameters=adapt(model, config.lora),
        data=config.data,
        sample=config.sample,
        prompts=own_prompts(tokenizer, template_of(config)),
        world=World.from_environment(),
        **saved_fields(config, model, tokenizer),
    )
    return Prepared(task, resolve_epochs(config, n_rows=len(pairs.train.pairs)), pairs.reports)


def read_pairs(config: RunConfig, source: str | None = None, *, notes: list[str] | None = None) -> list[dict[str, Any]]:
    """The preference rows of `data.path`, or of another source, with our column names.

    Raises:
        DataError: They cannot be read, or lack a column.
    """
    return read_preferences(
        source or str(config.data.path),
        names=column_names(config.data, _COLUMNS),
        setting=COLUMN_SETTING,
        notes=notes,
    )


def encode_for_preference(rows: Sequence[Mapping[str, Any]], tokenizer: Any, config: RunConfig) -> EncodedPairs:
    """Rows to pairs of ids and masks.

    Raises:
        DataError: No row can be used; says why.
    """
    return encode_pairs(rows, tokenizer, max_tokens=config.data.seq_len, template=template_of(config))


def turn_off_dropout(model: AnyModel) -> AnyModel:
    """Take all dropout out, in place; adapters put on later keep their own.

    A reward is a difference of two log-probabilities; noise in one of them alone would drown it.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        # Attention keeps its share as a number, and so do the blocks of OPT and Bloom, under several names.
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    return model


def _needs_copy(lora: LoraSettings) -> bool:
    """Whether the base alone cannot be had back: all parameters train, or its biases do, or peft holds the adapter."""
    return lora.r == 0 or lora.bias != "none" or lora.backend == "peft"


def _frozen_copy(model: CausalModel) -> CausalModel:
    """The policy as it is before it is tuned, to compare with."""
    reference = copy.deepcopy(model).requires_grad_(False)
    reference.checkpoints_activations = False  # without gradients it keeps no activations
    return reference


@contextmanager
def _reference(
    policy: torch.nn.Module, frozen: torch.nn.Module | None, device: torch.device
) -> Iterator[torch.nn.Module]:
    """The model as it was before it was tuned."""
    if frozen is not None:
        yield frozen.to(device)
        return
    with adapter_disabled(policy):
        yield policy


def _batches_once(encoded: EncodedPairs | None, data: DataConfig, *, pad_id: int) -> Iterator[tuple[Any, Any]]:
    """Each pair once, in order; `data.eval_batches` limits how many batches."""
    pairs = encoded.pairs if encoded else []
    starts = range(0, len(pairs), data.batch_size)
    for start in starts[: data.eval_batches or None]:
        yield collate_pairs(pairs[start : start + data.batch_size], pad_id=pad_id)
