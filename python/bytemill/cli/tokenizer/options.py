"""Options that several commands of `bytemill tokenizer` share."""

from typing import Annotated

import typer

__all__ = ["SOURCE_HELP", "Special", "TokenizerSource"]

SOURCE_HELP = "Tokenizer: a file, a folder, hf:REPOSITORY, or a tiktoken name."
TokenizerSource = Annotated[str, typer.Option("--tokenizer", "-t", help=SOURCE_HELP)]
Special = Annotated[
    bool,
    typer.Option(
        help="Encode the text of special tokens, such as <|endoftext|>, as their ids; otherwise as plain text."
    ),
]
