"""The command line: one file a command group; it parses, calls and prints.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 failed, 2 misused,
130 or 143 interrupted with everything saved.
"""

import os
import sys

import typer

from bytemill.cli import data, demo, evaluate, finetune, generate, model, report, tokenizer, train
from bytemill.errors import ArgumentError, BytemillError, ConfigError, Interrupted

__all__ = ["app", "main"]

app = typer.Typer(
    name="bytemill",
    help="From raw text to a fine-tuned GPT-2.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.add_typer(finetune.app, name="finetune")
app.command("generate")(generate.generate)
app.add_typer(evaluate.app, name="eval")
app.add_typer(model.app, name="model")
app.command("report")(report.report)


def main() -> None:
    """Run the command line; a fault in the input is one sentence on stderr, never a traceback."""
    try:
        app()
    except (ArgumentError, ConfigError) as error:
        _stop(str(error), 2)
    except Interrupted as interruption:
        _stop(str(interruption), interruption.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _stop(f"{place}{error.strerror or error}", 1)
    except BytemillError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        _stop("interrupted", 130)


def _stop(message: str, code: int) -> None:
    typer.echo(f"bytemill: {message}", err=True)
    raise SystemExit(code)
