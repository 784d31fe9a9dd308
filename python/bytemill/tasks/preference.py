"""Preference tuning (DPO): makes the chosen answer of each pair more likely, and the rejected one less likely.

    for each batch of pairs:
        p = log p(answer) of every answer under the policy, the model that trains
        q = the same under the reference, the model before tuning
        loss = dpo_loss(p of chosen, p of rejected, q of chosen, q of rejected)

That is `preferences` inside `preference_task`. `bytemill.tasks.losses` has the formula of the loss. Tuning in this way
needs no reward model and no sampling.

With LoRA the reference is the policy itself with its adapter disabled, so there is no second model in memory. Otherwise
it is a frozen copy, and resuming the run needs the base again to make the copy.
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
from bytemill.progress import counted
from bytemill.targets import IGNORED_TARGET
from bytemill.tasks.base_model import adapt
from bytemill.tasks.base_settings import template_of
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
    """Losses and rewards of some pairs; each field is (B,), one value per pair."""

    losses: torch.Tensor
    chosen_rewards: torch.Tensor
    """beta x (log-probability of the chosen answer under the policy - under the reference), in nats."""
    rejected_rewards: torch.Tensor

    def sums(self) -> dict[str, torch.Tensor]:
        """Return sums over the pairs, by the names under which the loop logs their means."""
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
        policy: (2B,) log-probabilities under the trained model: B chosen answers, then B rejected ones.
        reference: (2B,) the same under the model before tuning.
        settings: beta and label smoothing.

    >>> same = torch.tensor([-3.0, -5.0])
    >>> losses_and_rewards(same, same, PreferenceConfig()).losses
    tensor([0.6931])
    """
    beta, smoothing = settings.beta, settings.label_smoothing
    losses = dpo_loss(*policy.chunk(2), *reference.chunk(2), beta=beta, label_smoothing=smoothing)
    # For the log alone: a loss function returns only losses, which may be made of something other than rewards.
    chosen, rejected = (beta * (policy - reference)).detach().chunk(2)
    return Preferences(losses, chosen, rejected)


def answer_log_probabilities(
    model: torch.nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    *,
    average: Literal["sum", "mean"] = "sum",
) -> torch.Tensor:
    """Return the log-probability (B,) of each row's targets: the sum of log softmax(logits)[target], or the mean.

    The sum is computed by `GPT2.row_log_probabilities`, or by the same method of another network.

    Args:
        model: `model(ids, targets, reduction="rows")[1]` is the loss summed over each row, (B,): minus the sum above.
        inputs: (B, T) ids.
        targets: (B, T), the next id at each position (already shifted), -100 to ignore it: in prompt and padding.
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
    """Return the task of preference tuning on pairs of answers; its metrics are rewards, margin and accuracy.

    Args:
        model: Called as in `answer_log_probabilities`; see `turn_off_dropout`.
        train_pairs: From `encode_pairs`.
        tokenizer: The model's tokenizer.
        reference: A frozen copy of the model; None uses the model itself with its adapter disabled.
        validation_pairs: Pairs to measure once per validation.
        test_pairs: Pairs to measure once after training.
        settings: beta, label smoothing, sum or mean.
        parameters: Parameters to train; empty for all that require a gradient.
        data: Batch size (pairs) and seed.
        sample: Prompts to continue during training, complete with the template.
        prompts: Prompts to continue if `sample` has none.
        world: The processes that share the pairs; this one alone when None.
        **saved: What is saved with the weights; the fingerprint of the pairs is added.
    """
    settings, data, sample = settings or PreferenceConfig(), data or DataConfig(), sample or SampleConfig()
    world = world or World()

    def preferences(policy: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> Preferences:
        # The reference first: it keeps no activations, so those of both models are never in memory together.
        with torch.no_grad(), _reference(model, reference, batch[0].device) as reference_model:
            under_reference = answer_log_probabilities(reference_model, *batch, average=settings.log_probabilities)
        under_policy = answer_log_probabilities(policy, *batch, average=settings.log_probabilities)
        return losses_and_rewards(under_policy, under_reference, settings)

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

    The rows are split by `data.split` (default 85 / 10 / 5) into training, test and validation. Test rows are measured
    only if they come from a separate file, `data.test`.

    Raises:
        ConfigError: `base`, `data.path` or a tokenizer is missing, or a setting is invalid.
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
    """Read the preference rows of `data.path`, or of another source, with bytemill's column names.

    Raises:
        DataError: The rows cannot be read, or lack a column.
    """
    return read_preferences(
        source or str(config.data.path),
        names=column_names(config.data, _COLUMNS),
        setting=COLUMN_SETTING,
        notes=notes,
    )


def encode_for_preference(rows: Sequence[Mapping[str, Any]], tokenizer: Any, config: RunConfig) -> EncodedPairs:
    """Encode rows as pairs of ids and masks.

    Raises:
        DataError: No row can be used; the error says why.
    """
    return encode_pairs(rows, tokenizer, max_tokens=config.data.seq_len, template=template_of(config))


def turn_off_dropout(model: AnyModel) -> AnyModel:
    """Set all dropout of the model to 0, in place; adapters that are added later keep theirs.

    A reward is a small difference of two log-probabilities; dropout noise in one of them would hide it.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        # Attention stores its dropout as a number, and so do the blocks of OPT and Bloom, under several names.
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    return model


def _needs_copy(lora: LoraSettings) -> bool:
    """Return whether the reference must be a copy: all parameters or biases are trained, or peft has the adapter."""
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
    """Yield the model as it was before tuning."""
    if frozen is not None:
        yield frozen.to(device)
        return
    with adapter_disabled(policy):
        yield policy


def _batches_once(encoded: EncodedPairs | None, data: DataConfig, *, pad_id: int) -> Iterator[tuple[Any, Any]]:
    """Yield each pair once, in order; `data.eval_batches` limits the number of batches."""
    pairs = encoded.pairs if encoded else []
    starts = range(0, len(pairs), data.batch_size)
    starts = starts[: data.eval_batches or None]
    for start in counted(starts, "validation", len(starts)):
        yield collate_pairs(pairs[start : start + data.batch_size], pad_id=pad_id)
