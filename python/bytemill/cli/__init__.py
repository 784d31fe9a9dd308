"""The command line: one file per command group, which parses options, calls the package and prints results.

Results go to stdout, progress and messages to stderr. Exit codes: 0 success, 1 failure, 2 misuse,
130 or 143 interrupted with everything saved.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer

from bytemill import __version__
from bytemill.cli import (
    chat,
    classify,
    data,
    demo,
    doctor,
    evaluate,
    finetune,
    generate,
    ladder,
    model,
    report,
    serve,
    sweep,
    tokenizer,
    train,
)
from bytemill.cli.console import TerminalText
from bytemill.cli.help_pages import Stages, prepare_help
from bytemill.cli.output_paths import guard_inputs
from bytemill.cli.run_options import TrainingCommand
from bytemill.errors import ArgumentError, BytemillError, ConfigError, Interrupted
from bytemill.extras import needing
from bytemill.outside_text import for_people
from bytemill.system.streams import use_utf8

__all__ = ["app", "main"]

# Newer versions of typer have their own copies of click's exceptions; this is the base class of misuse in both.
_Misuse: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="bytemill",
    cls=Stages,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(data.app, name="data")
app.command("train", cls=TrainingCommand)(train.train)
app.command("ladder")(ladder.ladder)
app.add_typer(finetune.app, name="finetune")
app.command("sweep")(sweep.sweep)
app.add_typer(evaluate.app, name="eval")
app.command("report")(report.report)
app.command("generate")(generate.generate)
app.command("chat")(chat.chat)
app.command("classify")(classify.classify)
app.command("serve")(serve.serve)
app.add_typer(model.app, name="model")
guard_inputs(app)
prepare_help(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Build a small GPT-2 from raw text: tokenizer, token shards, pretraining, fine-tuning, evaluation."""


def main() -> None:
    """Run the command line; an error in the input is one sentence on stderr, not a traceback."""
    use_utf8()
    if sys.stdout and sys.stdout.isatty():
        sys.stdout = cast("TextIO", TerminalText(sys.stdout))
    try:
        _refuse_other_encodings(sys.argv[1:])
        # In standalone mode, typer would print a page of boxes for misuse.
        code = app(prog_name="bytemill", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except _Misuse as misuse:
        _stop(_explain_misuse(misuse), 2)
    except (ArgumentError, ConfigError) as error:
        _stop(str(error), 2)
    except UnicodeDecodeError as error:
        _stop(f"what was read is not UTF-8 text: it has the byte {error.object[error.start]:#04x}", 1)
    except UnicodeEncodeError as error:
        _stop(
            f"text that is not UTF-8 was given: {error.object[error.start : error.end]!r} in an argument or a name", 2
        )
    except OverflowError as error:  # integers of 64 bits and more
        _stop(f"a number is out of range: {error}", 2)
    except RecursionError:
        _stop("what was read is nested too deeply", 1)
    except Interrupted as interruption:
        _stop(str(interruption), interruption.exit_code)
    except (BrokenPipeError, SystemExit):  # typer exits by itself only for a closed pipe
        _forget_output()
        return
    except OSError as error:
        place = f"{error.filename}: " if error.filename else _standard_output(error)
        made_folder = place and error.strerror == os.strerror(errno.EEXIST)
        _stop(f"{place}{'is there and is not a folder' if made_folder else error.strerror or error}", 1)
    except BytemillError as error:
        _stop(str(error), 1)
    except ModuleNotFoundError as error:
        message = needing("this command", error)
        if message is None:
            raise
        _stop(message, 1)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:  # typer's exception for Ctrl-C
        _stop("interrupted", 130)
    raise SystemExit(code)


def _refuse_other_encodings(arguments: list[str]) -> None:
    """Refuse arguments that are not UTF-8; only names of existing files may have any bytes."""
    for argument in arguments:
        if argument.isascii() or not any("\ud800" <= character <= "\udfff" for character in argument):
            continue
        if not any(name and Path(name).exists() for name in (argument, argument.partition("=")[2])):
            shown = os.fsencode(argument).decode(errors="backslashreplace")
            raise ArgumentError(f"the argument '{shown}' is not UTF-8 text, and no file with that name exists")


def _explain_misuse(misuse: Any) -> str:
    """Print one sentence about a wrong option or argument; nothing if typer has already shown the help."""
    message = str(misuse.format_message()).strip()
    command = misuse.ctx.command_path if misuse.ctx else "bytemill"
    return f"{message.rstrip('.')}; see {command} --help" if message else ""


def _forget_output() -> None:
    """Replace the closed stdout, because Python would report an error again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _standard_output(error: OSError) -> str:
    """Add "standard output" to an OSError without a file name, such as a full disk for redirected output."""
    is_full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    return "standard output: " if is_full and sys.stdout and not sys.stdout.isatty() else ""


def _stop(message: str, code: int) -> None:
    if message:
        typer.echo(f"bytemill: {for_people(message)}", err=True)
    raise SystemExit(code)
