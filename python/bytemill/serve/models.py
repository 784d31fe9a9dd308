"""Load what is served: models, and adapters that share the first model's network."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError
from bytemill.tasks.usable_model import UsableModel, open_model, open_place, tokenizer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bytemill.data.rows import Template
    from bytemill.inference import TextGenerator

__all__ = ["ServedModel", "open_models"]


@dataclass(frozen=True)
class ServedModel:
    """A model or adapter under its name."""

    name: str
    generator: TextGenerator
    """The network, the tokenizer, and the ids that end an answer."""
    adapter: str | None
    """The adapter's name in the network; None means the network alone."""
    template: Template
    """The template of its conversations."""
    created: int = field(default_factory=lambda: int(time.time()))

    def as_json(self) -> dict[str, Any]:
        """Return the entry of /v1/models."""
        return {"id": self.name, "object": "model", "created": self.created, "owned_by": "bytemill"}


def open_models(
    models: Mapping[str, str],
    adapters: Mapping[str, str],
    *,
    tokenizer: Path | None = None,
    template: Template | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, ServedModel]:
    """Load models by name, and adapters on the first of them.

    Args:
        models: Name -> model; see `bytemill.tasks.model_place`.
        adapters: Name -> LoRA run, checkpoint of one, or folder in PEFT's format.
        tokenizer: Used instead of the models' own tokenizers.
        template: Used instead of the templates that the models were tuned with.
        say: Called with messages about the models.

    Raises:
        ArgumentError: A model and an adapter have the same name.
        BytemillError: A model or adapter cannot be loaded; see `open_model` and `attach_adapter`.
    """
    if both := models.keys() & adapters.keys():
        raise ArgumentError(f"--adapter {sorted(both)[0]}: a model has this name too; give the adapter another name")
    for given in models.values():  # every fault of a path or tokenizer, before torch is imported
        tokenizer_for(open_place(given, say=lambda _: None), tokenizer)
    from bytemill.tasks.adapters_on_base import attach_adapter, find_adapter

    places = {name: find_adapter(given) for name, given in adapters.items()}
    opened = {
        name: open_model(given, tokenizer=tokenizer, template=template, say=say) for name, given in models.items()
    }
    base = next(iter(opened.values()))
    inner_names = {name: f"adapter_{number}" for number, name in enumerate(places)}
    for name, place in places.items():
        attach_adapter(base, place, inner_names[name])
    base.model.requires_grad_(False)
    served = {name: ServedModel(name, one.generator(), None, one.template) for name, one in opened.items()}
    first = next(iter(served.values())).generator
    for name, place in places.items():
        own = base.place if place.state is None else place  # a folder of PEFT's has no tokenizer
        tuned = UsableModel(own, base.model, base.tokenizer, template or place.template() or base.template)
        generator = tuned.generator(products=first.products)
        served[name] = ServedModel(name, generator, inner_names[name], tuned.template)
    return served
