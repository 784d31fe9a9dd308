"""Loads a trained model for use: its weights on the default device, its tokenizer and its template.

All of it comes from the model's folder. The caller can give another tokenizer or template, which is then reported.
torch is imported only when the weights are loaded, so a missing model is reported without delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bytemill.extras import require
from bytemill.tasks.model_place import ModelPlace, find_model
from bytemill.tokenizer import Tokenizer
from bytemill.tokenizer.source import open_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Unpack

    from bytemill.data.rows import Template
    from bytemill.inference import Conversation, Sampling, TextGenerator
    from bytemill.model import CausalModel
    from bytemill.model.packed import PackedProducts

__all__ = ["UsableModel", "open_model", "open_place", "tokenizer_for"]


class UsableModel(NamedTuple):
    """A language model with its tokenizer and template."""

    place: ModelPlace
    model: CausalModel
    tokenizer: Tokenizer
    template: Template
    """Template that the model was tuned with; alpaca if it was not tuned."""

    def generator(self, *, products: PackedProducts | None = None) -> TextGenerator:
        """Return a generator that continues text until an id that ends a text or an answer.

        `products` is that of another generator of the same model, to share the second layout of its weights.
        """
        from bytemill.inference import TextGenerator

        stop_ids = self.place.stop_ids(self.tokenizer)
        return TextGenerator(self.model, self.tokenizer, stop_ids=stop_ids, products=products)

    def conversation(
        self, *, system: str = "", max_new_tokens: int = 256, **sampling: Unpack[Sampling]
    ) -> Conversation:
        """Return a conversation with the model, in the model's template."""
        from bytemill.inference import Conversation

        return Conversation(
            self.generator(), template=self.template, system=system, max_new_tokens=max_new_tokens, **sampling
        )


def open_model(
    given: str | Path,
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    template: Template | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> UsableModel:
    """Load a model with its tokenizer and template.

    Args:
        given: See `bytemill.tasks.model_place`.
        tokenizer: Used instead of the model's own tokenizer.
        template: Used instead of the template that the model was tuned with.
        say: Called with a sentence for each skipped checkpoint, and for a template that is not the model's.

    Raises:
        DataError: The model is a classifier, or was trained with another tokenizer.
        CheckpointError: The checkpoint is damaged, or its base is missing or has changed.
        FormatError: There is no such model, or it is not a causal language model.
        ConfigError: No tokenizer is given, and the model's folder has none.
    """
    place = open_place(given, say=say)
    own = tokenizer_for(place, tokenizer)
    tuned_with = place.template()
    if template is not None and tuned_with is not None and template != tuned_with:
        say(f"{given}: asked by the template {_name(template)}; it was tuned with {_name(tuned_with)}")
    from bytemill.tasks.base_model import load_model_at
    from bytemill.train.machine.device import pick_device

    return UsableModel(place, load_model_at(place).to(pick_device()), own, template or tuned_with or "alpaca")


def open_place(given: str | Path, *, say: Callable[[str], None]) -> ModelPlace:
    """Find a model, and report which checkpoints were skipped.

    Raises:
        ModuleNotFoundError: torch is not installed, so the model could not be loaded.
    """
    require("torch")
    place = find_model(given)
    for fault in place.passed_over:
        say(f"passed over a damaged checkpoint: {fault}")
    if place.passed_over and place.state is not None:
        say(f"{given}: using the checkpoint of step {place.state['step']}")
    return place


def tokenizer_for(place: ModelPlace, given: str | Path | Tokenizer | None) -> Tokenizer:
    """Return the given tokenizer, or the model's own.

    Raises:
        DataError: The model was trained with another tokenizer.
        ConfigError: No tokenizer is given, and the model's folder has none.
    """
    if given is None:
        return place.tokenizer()
    tokenizer = given if isinstance(given, Tokenizer) else open_tokenizer(given)
    place.refuse_other_tokenizer(tokenizer)
    return tokenizer


def _name(template: Template) -> str:
    return template if isinstance(template, str) else "own"
