"""`bytemill demo`: the whole pipeline on text found on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.output_paths import Private, on_disk


def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="Use less text and a smaller model: about one minute instead of four.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", callback=on_disk)] = Path(
        "runs/demo"
    ),
    is_private: Private = False,
) -> None:
    """Run the whole pipeline, from raw text to a fine-tuned GPT-2: offline, in about four minutes.

    The demo trains a tokenizer on the source code of Python's standard library, writes token shards, and pretrains a
    small GPT-2. Then it tunes the model with LoRA on questions about Python's functions, and writes report.html. On a
    slow machine the model is smaller, so that the time is about the same.

    Example: bytemill demo --fast
    """
    from bytemill.experiment.demo.run import run_demo
    from bytemill.experiment.demo.sizes import FAST, FULL
    from bytemill.report.demo import write_demo_page

    say("From raw text to a fine-tuned GPT-2: " + ("about a minute." if fast else "about four minutes."))
    results = run_demo(output, FAST if fast else FULL, say)
    pretrain, tune = results.pretrain, results.tune
    say(
        f"Pretraining: {pretrain.val_bits_per_byte:.3f} bits per byte on held-out text, "
        f"{pretrain.ratio_to_unigram:.2f} of the {pretrain.unigram_bits_per_byte:.3f} that token frequencies give."
    )
    say(f"Tuning: loss on held-out questions {tune.base_loss:.3f} before, {tune.tuned_loss:.3f} after.")
    page = write_demo_page(results, output / "report.html", is_private=is_private)
    if pretrain.missed:
        say(f"The model did not learn enough: {pretrain.missed}. Run the demo again when the machine is free.")
    say(f"Done in {results.total_seconds:.0f} s.")
    say(f"Talk to it:  bytemill chat -m {output / 'tune'}")
    say(f"Look at it:  open {page} in a browser")
    say("What next:   docs/first-hour.md, with your own text")
    print(page)
