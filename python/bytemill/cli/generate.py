"""`bytemill generate`: text from a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.answers import answer_rows
from bytemill.cli.console import put, say
from bytemill.cli.models import Split, SplitSeed
from bytemill.cli.written import on_disk

if TYPE_CHECKING:
    from bytemill.inference import Sampling


def generate(
    model: Annotated[str, typer.Option("--model", "-m", help="A run, a checkpoint, or Hugging Face weights.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="The model's tokenizer.")],
    prompt: Annotated[str, typer.Argument(help="What to continue; nothing starts a new document.")] = "",
    samples: Annotated[int, typer.Option(min=1, help="How many continuations.")] = 1,
    max_new_tokens: Annotated[int, typer.Option(min=0, help="Tokens of each at most.")] = 128,
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Likeliest tokens that may be drawn.")] = 50,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens up to this probability.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Draw from tokens of at least this share of the best's.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text; may be given several times.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Makes the draws repeatable.")] = None,
    rows: Annotated[Path | None, typer.Option(help="Answer the instruction rows of this file instead.")] = None,
    split: Split = "all",
    split_seed: SplitSeed = 0,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the answers to --rows go.", callback=on_disk)
    ] = Path("answers.json"),
    batch_size: Annotated[int, typer.Option(min=1, help="Of --rows, so many at a time.")] = 8,
) -> None:
    """Continue a prompt, to the end of the text or so many tokens; one sample streams as it is drawn.

    With --rows it answers a test set, each row by its template; called again it goes on where it was cut off.

    Example: bytemill generate -m runs/first -t tokenizer.json "Hello, I'm a language model,"

    Example: bytemill generate -m runs/tuned -t tokenizer.json --rows alpaca.json --split test -o answers.json
    """
    options: Sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    ends = tuple(stop or ())
    if rows is not None:
        answer_rows(
            model,
            tokenizer,
            rows,
            output,
            split=split,
            split_seed=split_seed,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            stop=ends,
            **options,
        )
        return
    from bytemill.inference import TextGenerator
    from bytemill.tasks.base_model import model_at_work
    from bytemill.tokenizer.source import open_tokenizer

    loaded = open_tokenizer(tokenizer)
    generator = TextGenerator(model_at_work(model, tokenizer_sha256=loaded.fingerprint), loaded)
    if samples == 1:
        pieces = generator.stream(prompt, max_new_tokens=max_new_tokens, stop=ends, **options)
        put(prompt, end="")
        for piece in pieces:
            put(piece, end="")
        put("")
        return
    texts = generator.complete(prompt, n_samples=samples, max_new_tokens=max_new_tokens, stop=ends, **options)
    for number, text in enumerate(texts, 1):
        say(f"--- sample {number} of {samples}")
        put(prompt + text)
