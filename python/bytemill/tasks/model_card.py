"""Writes the README.md of an exported model: its size, its training and an example of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.places import without_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.data.rows import Template
    from bytemill.tasks.model_place import ModelPlace
    from bytemill.tasks.usable_model import UsableModel

__all__ = ["classifier_card", "model_card"]

_CHAT = """
```python
from transformers import pipeline

chat = pipeline("text-generation", model="PATH")
print(chat([{"role": "user", "content": "Name a colour."}], max_new_tokens=64)[0]["generated_text"][-1]["content"])
```
"""
_CONTINUE = """
```python
from transformers import pipeline

print(pipeline("text-generation", model="PATH")("Once upon a time", max_new_tokens=64)[0]["generated_text"])
```
"""
_CLASSIFY = """
```python
from transformers import pipeline

print(pipeline("text-classification", model="PATH")("You have won a prize, call now"))
```
"""


def model_card(opened: UsableModel, template: Template | None) -> str:
    """Return the model card of a language model: Markdown with the header for the hub."""
    n_parameters = opened.model.n_parameters()
    facts = [
        f"{n_parameters:,} parameters, a context of {opened.model.config.n_positions:,} tokens",
        f"{opened.tokenizer.n_vocab:,} token ids",
        *_training(opened.place),
    ]
    if template is not None:
        facts.append("tuned to answer; the folder's chat template is the wording that it was tuned with")
    return _card("text-generation", facts, _CONTINUE if template is None else _CHAT)


def classifier_card(place: ModelPlace, labels: Sequence[str]) -> str:
    """Return the model card of a classifier."""
    return _card("text-classification", [f"classes: {', '.join(labels)}", *_training(place)], _CLASSIFY)


def _card(task: str, facts: Sequence[str], example: str) -> str:
    header = f"---\nlibrary_name: transformers\npipeline_tag: {task}\ntags: [bytemill]\n---\n"
    listed = "".join(f"* {without_user(fact)}\n" for fact in facts)
    return f"{header}\n# A model trained with bytemill\n\n{listed}{example}"


def _training(place: ModelPlace) -> list[str]:
    if place.state is None:
        return []
    lines = [f"trained for {place.state['step']:,} steps ({place.state['tokens_seen']:,} tokens seen)"]
    if place.state.get("validation_loss") is not None:
        lines.append(f"validation loss {place.state['validation_loss']:.4f} nats per token")
    if place.settings is not None:
        lines.append(f"task: {place.settings.task}")
    return lines
