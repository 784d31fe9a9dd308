"""`bytemill chat`: a conversation with a model that was tuned on instructions."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import open_stdin, put, say
from bytemill.cli.several_models import AskedBy, Model, OwnTokenizer, open_for_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bytemill.inference import Conversation

_HELP = "An empty line or /quit ends, /forget begins anew."


def chat(
    model: Model,
    tokenizer: OwnTokenizer = None,
    template: AskedBy = None,
    system: Annotated[str, typer.Option(help="System message before the first turn. Default: none.")] = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens per answer.")] = 256,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature; 0 always takes the most likely token.")
    ] = 0.7,
    top_k: Annotated[int, typer.Option(help="Sample only from the K most likely tokens; 0 allows all.")] = 50,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Sample only from the most likely tokens whose probabilities sum to this value, 0 to 1. Default: off."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Random seed for sampling. Default: a new one each time.")
    ] = None,
) -> None:
    """Chat with a model that was tuned on instructions or conversations; each input line is a question.

    Each question is put into the prompt template that the model was tuned with. Without a terminal, the questions are
    read from stdin, one per line, and the answers are written to stdout.

    Example: bytemill chat -m runs/tuned
    """
    conversation = open_for_use(model, tokenizer, template).conversation(
        system=system, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
    )
    say(_HELP)
    for instruction in _lines():
        if instruction in ("", "/quit"):
            return
        if instruction == "/forget":
            conversation.forget()
        else:
            _answer(conversation, instruction)


def _lines() -> "Iterator[str]":
    """Yield the input line by line; a prompt is shown only on a terminal."""
    stdin = open_stdin()
    while True:
        if stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = stdin.readline()
        if not line:
            return
        yield line.strip()


def _answer(conversation: "Conversation", instruction: str) -> None:
    for piece in conversation.answer(instruction):
        put(piece, end="")
    put("")
