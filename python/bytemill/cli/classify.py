"""`bytemill classify`: the class of a text, or of each line of stdin."""

from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text, open_stdin, put, say
from bytemill.cli.several_models import OwnTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINES_AT_ONCE = 32


def classify(
    model: Annotated[
        str, typer.Option("--model", "-m", help="A run of `bytemill finetune classify`, RUN@best, or a checkpoint.")
    ],
    text: Annotated[str | None, typer.Argument(help="Text to classify. Default: each line of stdin.")] = None,
    tokenizer: OwnTokenizer = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per text, with all probabilities.")
    ] = False,
) -> None:
    """Print the class of a text: the label and its probability.

    Example: bytemill classify -m runs/spam "You have won a prize, call now"
    """
    from bytemill.tasks.usable_model import open_place, tokenizer_for

    place = open_place(model, say=say)
    loaded = tokenizer_for(place, tokenizer)
    from bytemill.tasks.classify import classify_texts, load_classifier

    classifier, max_tokens = load_classifier(place)
    for texts in [[text]] if text is not None else _lines():
        for one, found in zip(texts, classify_texts(classifier, loaded, texts, max_tokens=max_tokens), strict=True):
            label = max(found, key=lambda name: found[name])
            if as_json:
                print(json_text({"text": one, "label": label, "probabilities": found}))
            else:
                put(f"{label}\t{found[label]:.4f}")


def _lines() -> "Iterator[list[str]]":
    """Yield lines of stdin in groups; one by one if stdin is a terminal."""
    stdin = open_stdin()
    held: list[str] = []
    for line in stdin:
        held.append(line.rstrip("\r\n"))
        if len(held) == _LINES_AT_ONCE or stdin.isatty():
            yield held
            held = []
    if held:
        yield held
