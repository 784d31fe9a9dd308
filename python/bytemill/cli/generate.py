"""`bytemill generate`: generate text with a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.answers import answer_rows
from bytemill.cli.console import json_text, open_stdin, put
from bytemill.cli.output_paths import on_disk
from bytemill.cli.several_models import AskedBy, Model, OwnTokenizer, Split, SplitSeed, open_for_use
from bytemill.errors import ArgumentError
from bytemill.json_reader import read_regular_file

if TYPE_CHECKING:
    from bytemill.inference import Sampling

MAX_PROMPT_BYTES = 1 << 26
"""Maximum bytes of a prompt file."""


def generate(
    model: Model,
    prompt: Annotated[
        str,
        typer.Argument(help="Text to continue; - reads it from stdin. Default: none; the model begins a new document."),
    ] = "",
    tokenizer: OwnTokenizer = None,
    prompt_file: Annotated[
        Path | None, typer.Option(help="Read the prompt from this file.", show_default=False)
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Number of continuations.")] = 1,
    max_new_tokens: Annotated[int, typer.Option(min=0, help="Maximum number of new tokens per sample.")] = 128,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature; 0 always takes the most likely token.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Sample only from the K most likely tokens; 0 allows all.")] = 50,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Sample only from the most likely tokens whose probabilities sum to this value, 0 to 1. Default: off."
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help="Leave out tokens with a probability below this fraction (0 to 1) of the highest one. Default: off."
        ),
    ] = None,
    stop: Annotated[
        list[str] | None, typer.Option(help="End a sample before this text; repeat the option for several texts.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Random seed for sampling. Default: a new one each time.")
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            help="File with instructions, as for finetune instruct; the model answers each row. Give no prompt then."
        ),
    ] = None,
    template: AskedBy = None,
    split: Split = "all",
    split_seed: SplitSeed = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="With --rows: JSON file for the rows and their answers.", callback=on_disk),
    ] = Path("answers.json"),
    batch_size: Annotated[
        int, typer.Option(min=1, help="With --rows: number of rows that are answered at the same time.")
    ] = 8,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per sample, with prompt and text.")
    ] = False,
) -> None:
    """Continue a prompt until the model ends the text or --max-new-tokens is reached.

    With --rows, the model answers the instructions in a file, and the answers are written to --output. After an
    interruption, run the same command again: finished answers are kept.

    Example: bytemill generate -m runs/first "Hello, I'm a language model,"

    Example: bytemill generate -m runs/tuned --rows alpaca.json --split test -o answers.json
    """
    options: Sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    ends = tuple(stop or ())
    if rows is not None:
        answer_rows(
            model,
            tokenizer,
            rows,
            output,
            template=template,
            split=split,
            split_seed=split_seed,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            stop=ends,
            **options,
        )
        return
    prompt = _whole_prompt(prompt, prompt_file)
    generator = open_for_use(model, tokenizer).generator()
    if samples == 1 and not as_json:
        pieces = generator.stream(prompt, max_new_tokens=max_new_tokens, stop=ends, **options)
        put(prompt, end="")
        for piece in pieces:
            put(piece, end="")
        put("")
        return
    texts = generator.complete(prompt, n_samples=samples, max_new_tokens=max_new_tokens, stop=ends, **options)
    for number, text in enumerate(texts, 1):
        if as_json:
            print(json_text({"prompt": prompt, "text": text}))
        else:
            put(f"--- sample {number} of {samples} ---")
            put(prompt + text)


def _whole_prompt(prompt: str, file: Path | None) -> str:
    """Return the prompt, or the text of a file or stdin, without its last line break.

    Raises:
        ArgumentError: The prompt is given twice, or the file cannot be read as UTF-8.
    """
    if file is not None and prompt:
        raise ArgumentError(f"a prompt and --prompt-file {file} are both given; give one of the two")
    if file is not None:
        try:
            return read_regular_file(file, max_bytes=MAX_PROMPT_BYTES, error=ArgumentError).decode().removesuffix("\n")
        except OSError as error:
            raise ArgumentError(f"--prompt-file {file}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ArgumentError(f"--prompt-file {file}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    return open_stdin().read().removesuffix("\n") if prompt == "-" else prompt
