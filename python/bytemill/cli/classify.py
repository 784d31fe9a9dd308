"""`bytemill classify`: the class of a text, or of each line of stdin."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text, open_stdin, put

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINES_AT_ONCE = 32


def classify(
    model: Annotated[str, typer.Option("--model", "-m", help="A run of `bytemill finetune classify`.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="The model's tokenizer.")],
    text: Annotated[str | None, typer.Argument(help="The text; without one, each line of stdin is a text.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a text, with all probabilities.")
    ] = False,
) -> None:
    """Tell the class of a text: its label, and how probable the model finds it.

    Example: bytemill classify -m runs/spam -t tokenizer.json "You have won a prize, call now"
    """
    from bytemill.tasks.classify import classify_texts, load_classifier
    from bytemill.tokenizer.source import open_tokenizer

    loaded = open_tokenizer(tokenizer)
    classifier, max_tokens = load_classifier(model, tokenizer_sha256=loaded.fingerprint)
    for texts in [[text]] if text is not None else _lines():
        for one, found in zip(texts, classify_texts(classifier, loaded, texts, max_tokens=max_tokens), strict=True):
            label = max(found, key=lambda name: found[name])
            if as_json:
                print(json_text({"text": one, "label": label, "probabilities": found}))
            else:
                put(f"{label}\t{found[label]:.4f}")


def _lines() -> "Iterator[list[str]]":
    """Lines of stdin, some at a time; one by one where a person types them."""
    stdin = open_stdin()
    held: list[str] = []
    for line in stdin:
        held.append(line.rstrip("\r\n"))
        if len(held) == _LINES_AT_ONCE or stdin.isatty():
            yield held
            held = []
    if held:
        yield held
