"""`bytemill chat`: a conversation with a model that was tuned on instructions."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import open_stdin, put, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bytemill.inference import Conversation

_HELP = "An empty line or /quit ends, /forget begins anew."


def chat(
    model: Annotated[str, typer.Option("--model", "-m", help="A run, a checkpoint, or Hugging Face weights.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="The model's tokenizer.")],
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at most.")] = 256,
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.")] = 0.7,
    top_k: Annotated[int, typer.Option(help="Likeliest tokens that may be drawn.")] = 50,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens up to this probability.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Makes the draws repeatable.")] = None,
) -> None:
    """Talk with a model tuned by `bytemill finetune instruct`: each line is an instruction.

    Answers go to stdout, so instructions may come through a pipe, one a line.

    Example: bytemill chat -m runs/tuned -t tokenizer.json
    """
    from bytemill.inference import Conversation, TextGenerator
    from bytemill.tasks.base_model import model_at_work
    from bytemill.tokenizer.source import open_tokenizer

    loaded = open_tokenizer(tokenizer)
    generator = TextGenerator(model_at_work(model, tokenizer_sha256=loaded.fingerprint), loaded)
    conversation = Conversation(
        generator, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
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
    """What is typed, line by line, until the end of the input; a prompt is shown to people only."""
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
