"""The common options of all training commands, and the end of such a command."""

import dataclasses
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bytemill.cli.console import is_first_process, say
from bytemill.cli.output_paths import RunFolder
from bytemill.errors import ArgumentError, ConfigError, Interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.train.config import RunConfig
    from bytemill.train.loop import Outcome
    from bytemill.train.task import Task

__all__ = ["RunOptions", "TuningOptions", "finish", "fit_in", "resolve", "takes_options"]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Change settings, such as train.max_steps=100; separate several by spaces."
    ),
]
MoreSettings = Annotated[list[str] | None, typer.Argument(metavar="[A.B=C]...", help="More settings for --set.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with settings.")]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print all settings as commented TOML for --config, then exit.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the run's newest valid checkpoint.")]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        metavar="TIME",
        help="Time limit, such as 11h30m, 45m or 90s: save a checkpoint and stop before it is over.",
    ),
]
Model = Annotated[str | None, typer.Option(help="A run, a checkpoint, Hugging Face weights, or a hub id.")]
RowsPath = Annotated[
    str | None,
    typer.Option(
        help="Rows: .json, .jsonl, .csv, .tsv (also .gz), .parquet, a save_to_disk folder, label-tab-text lines, "
        "for lm also .txt, or hf:ID on the hub."
    ),
]
TokenizerPath = Annotated[
    Path | None, typer.Option("--tokenizer", "-t", help="Tokenizer file or folder. Default: the model's own.")
]
LoraRank = Annotated[
    int | None,
    typer.Option(
        help="Rank of the LoRA adapters; 0 trains without LoRA. Default: 8, for classify 0.", show_default=False
    ),
]

_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SECONDS = (86_400, 3_600, 60, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of all training commands."""

    config: ConfigFile = None
    settings: Settings = None
    more_settings: MoreSettings = None
    output: RunFolder
    resume: Resume = False
    time_limit: TimeLimit = None
    prints_config: PrintConfig = False

    def resolved(self, *settings: str) -> "RunConfig":
        """Return the settings of the run: `settings`, overridden by the given options."""
        limit = {} if self.time_limit is None else {"train.max_seconds": seconds_of(self.time_limit)}
        given = [*as_settings(self.own_settings()), *settings, *(self.settings or []), *(self.more_settings or [])]
        resumed_run = self.output if self.resume else None
        return resolve(self.config, [*given, *as_settings(limit)], resumed_run, prints=self.prints_config)

    def own_settings(self) -> "Mapping[str, Any]":
        """Return the options' values by setting name; None if an option is not given."""
        return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuningOptions(RunOptions):
    """Options of all tuning commands."""

    model: Model = None
    data: RowsPath = None
    tokenizer: TokenizerPath = None
    lora_rank: LoraRank = None

    def own_settings(self) -> "Mapping[str, Any]":
        """Return the options' values by setting name."""
        return {
            "base": self.model,
            "data.path": self.data,
            "data.tokenizer": self.tokenizer,
            "lora.r": self.lora_rank,
        }


def takes_options(options: type[RunOptions], output: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a class to a command; its first argument is then an object of the class.

    Args:
        options: The class: its fields become options.
        output: The default of `--output`.
    """
    fields = dataclasses.fields(options)
    of_all = {field.name for field in dataclasses.fields(RunOptions)}
    first, last = (
        [_parameter(one, output) for one in fields if (one.name in of_all) == late] for late in (False, True)
    )

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]

        def called(**given: Any) -> None:
            command(options(**{field.name: given.pop(field.name) for field in fields}), **given)

        parameters = [*first, *own, *last]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        called.__name__, called.__doc__, called.__module__ = command.__name__, command.__doc__, command.__module__
        return called

    return decorated


def _parameter(field: "dataclasses.Field[Any]", output: str) -> inspect.Parameter:
    default = Path(output) if field.name == "output" else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.type)


def seconds_of(time: str) -> float:
    """Return the seconds of a time such as `11h30m`, `1d`, `45m` or `90s`; a plain number is seconds.

    >>> seconds_of("11h30m"), seconds_of("1d2h"), seconds_of("0.5"), seconds_of("90s")
    (41400.0, 93600.0, 0.5, 90.0)

    Raises:
        ArgumentError: The text is not such a time.
    """
    match = _TIME.fullmatch(time.strip())
    if match is None or not any(match.groups()):
        raise ArgumentError(f"--time-limit is {time!r}, expected a time such as 11h30m, 45m or 90s")
    return sum(float(number) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True) if number)


def resolve(config: Path | None, settings: list[str], resumed_run: Path | None, *, prints: bool = False) -> "RunConfig":
    """Return the settings of a run: those of a file or of the resumed run, changed by `settings`.

    With `prints` they are printed to stdout with documentation, as TOML for --config, and the command ends.
    """
    from bytemill.train.config import former_settings, load_config, read_toml
    from bytemill.train.settings.documented import documented_toml

    if resumed_run is not None:
        saved = resumed_run / "config.toml"
        if saved.exists():
            settings = [*former_settings(read_toml(saved)), *settings]
        elif config is None:
            raise ConfigError(f"{resumed_run}: contains no run to resume; remove --resume to start a new run")
        config = config or saved
    resolved = load_config(config, settings)
    if prints:
        print(documented_toml(resolved), end="")
        raise typer.Exit
    return resolved


def as_settings(given: "Mapping[str, Any]") -> list[str]:
    """Return the given options as settings A.B=C; text stays text, even if it looks like a number."""
    from bytemill.train.settings.toml import toml_literal

    texts = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return [f"{name}={toml_literal(value)}" for name, value in texts.items() if value is not None]


def fit_in(options: RunOptions, task: "Task", config: "RunConfig") -> "Outcome":
    """Train in the folder of `options`; if the run ends before its last step, print how to continue."""
    from bytemill.train.loop import fit

    with _naming_how_to_continue(config, options.output):
        outcome = fit(task, config, options.output, resume=options.resume)
    if not outcome.is_complete:
        say(f"continue with: {_resuming(config, options.output)}")
    return outcome


def finish(options: RunOptions, outcome: "Outcome") -> None:
    """Print how a run ended to stderr, and its folder to stdout."""
    metrics = outcome.metrics
    figures = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("loss", "val_loss") if name in metrics)
    counted = "1 step" if outcome.steps == 1 else f"{outcome.steps} steps"
    say(f"{counted} done: {figures}" if figures else f"{counted} done already")
    if is_first_process():
        print(options.output)


@contextmanager
def _naming_how_to_continue(config: "RunConfig", output: Path) -> Iterator[None]:
    try:
        yield
    except Interrupted as interruption:
        said = f"{interruption}; continue with: {_resuming(config, output)}"
        raise Interrupted(said, exit_code=interruption.exit_code) from None


def _resuming(config: "RunConfig", output: Path) -> str:
    command = ["train"] if config.task == "pretrain" else ["finetune", config.task]
    return shlex.join(["bytemill", *command, "--resume", "-o", str(output)])
