"""The options of the training commands, each declared once, with the setting that it sets and its real default."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from bytemill.cli.console import is_first_process
from bytemill.cli.given_settings import Sets, as_settings, refuse_contradictions, resolve, seconds_of
from bytemill.cli.help_pages import HelpPage
from bytemill.cli.output_paths import RunFolder
from bytemill.extras import require

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig

__all__ = [
    "MoreSettings",
    "PreferenceOptions",
    "PretrainingOptions",
    "RunOptions",
    "Settings",
    "TrainingCommand",
    "TuningOptions",
    "takes_options",
]

_USUAL = "Usual settings"
_ALL = "All settings"

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Change any setting, such as train.precision=fp32. Several settings may follow one --set.",
        rich_help_panel=_ALL,
    ),
]
MoreSettings = Annotated[
    list[str] | None,
    typer.Argument(metavar="A.B=C", hidden=True, help="Settings that follow the first one of --set."),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of all training commands."""

    output: RunFolder
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in the folder of --output from its newest checkpoint, with the settings of the run.",
        ),
    ] = False
    time_limit: Annotated[
        str | None,
        Sets("train.max_seconds", seconds_of),
        typer.Option(
            metavar="TIME",
            help="Stop with a checkpoint before this time is over; a time such as 11h30m, 45m or 90s. Default: none.",
            show_default=False,
        ),
    ] = None
    steps: Annotated[
        int | None,
        Sets("train.max_steps"),
        typer.Option(help="Number of optimizer steps of the whole run.", rich_help_panel=_USUAL),
    ] = None
    epochs: Annotated[
        float | None,
        Sets("train.epochs"),
        typer.Option(help="Number of passes over the training data.", rich_help_panel=_USUAL),
    ] = None
    learning_rate: Annotated[
        float | None,
        Sets("train.learning_rate"),
        typer.Option(help="Highest learning rate, reached when the warm-up ends.", rich_help_panel=_USUAL),
    ] = None
    batch_size: Annotated[
        int | None,
        Sets("data.batch_size"),
        typer.Option(help="Samples or rows that one device computes at the same time.", rich_help_panel=_USUAL),
    ] = None
    seq_len: Annotated[
        int | None,
        Sets("data.seq_len"),
        typer.Option(help="Maximum number of tokens per sample or row.", rich_help_panel=_USUAL),
    ] = None
    seed: Annotated[
        int | None,
        Sets("train.seed"),
        typer.Option(
            help="Random seed of new weights and dropout; data.seed sets the order of the data.",
            rich_help_panel=_USUAL,
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Read settings from this TOML file.", rich_help_panel=_ALL),
    ] = None
    settings: Settings = None
    more_settings: MoreSettings = None
    prints_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Print all settings with their explanations as TOML for --config, and do not train.",
            rich_help_panel=_ALL,
        ),
    ] = False

    def resolved(self, task: str | None = None, *settings: str, writes: bool = True) -> "RunConfig":
        """Return the settings of the run: `settings`, overridden by the given options.

        What they name is checked here, before the caller imports torch.

        Args:
            task: The task; None for the default, or the one of --config.
            settings: Further settings A.B=C that --set may override.
            writes: Whether the run's folder is written; then it must not contain another run.

        Raises:
            ArgumentError: Options or settings contradict each other.
            ConfigError: A setting is wrong, or the folder already contains a run.
        """
        options = self._given()
        changes = [*(self.settings or []), *(self.more_settings or [])]
        refuse_contradictions(options, changes)
        own = as_settings({"task": task, **dict(options.values())})
        resumed_run = self.output if self.resume else None
        config = resolve(self.config, [*own, *settings, *changes], resumed_run, prints=self.prints_config)
        require("torch")
        from bytemill.tasks.inputs import check_inputs
        from bytemill.train.run.resumable import refuse_run_in

        if writes and not self.resume and is_first_process():  # the other processes may see the folder of the first
            refuse_run_in(self.output)
        check_inputs(config)
        return config

    def _given(self) -> dict[str, tuple[str, Any]]:
        """Return the given options that set a setting, such as `--steps 100` -> (setting, value)."""
        given = {}
        for name, sets in _sets(type(self)):
            value = getattr(self, name)
            if value is not None:
                shown = f"{value:g}" if isinstance(value, float) else str(value)
                plain = str(value) if isinstance(value, Path) else value
                given[f"--{name.replace('_', '-')} {shown}"] = (sets.setting, sets.value_of(plain))
        return given


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingOptions(RunOptions):
    """Options of `bytemill train`."""

    data: Annotated[
        Path | None,
        Sets("data.path"),
        typer.Option(help="Token shards to train on: the folder that `bytemill data prepare` wrote."),
    ] = None
    layers: Annotated[
        int | None,
        Sets("model.n_layer"),
        typer.Option(help="Number of blocks of the new model.", rich_help_panel=_USUAL),
    ] = None
    heads: Annotated[
        int | None,
        Sets("model.n_head"),
        typer.Option(help="Attention heads per block.", rich_help_panel=_USUAL),
    ] = None
    width: Annotated[
        int | None,
        Sets("model.n_embd"),
        typer.Option(help="Length of the vector of each token; a multiple of --heads.", rich_help_panel=_USUAL),
    ] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuningOptions(RunOptions):
    """Options of all tuning commands."""

    model: Annotated[
        str | None,
        Sets("base"),
        typer.Option(
            help="Model to tune: a run (RUN, RUN@best or RUN@STEP), a checkpoint, Hugging Face weights, or a hub id."
        ),
    ] = None
    data: Annotated[
        str | None,
        Sets("data.path"),
        typer.Option(
            help="Rows to train on: a file (.parquet, .json, .jsonl, .csv, .tsv, .json.gz and so on), a folder written "
            "by save_to_disk, or hf:ID for a data set of the hub. finetune classify also reads lines with a label, a "
            "tab and a text; finetune lm also reads .txt files."
        ),
    ] = None
    tokenizer: Annotated[
        Path | None,
        Sets("data.tokenizer"),
        typer.Option("--tokenizer", "-t", help="Tokenizer file or folder. Default: the model's own."),
    ] = None
    lora_rank: Annotated[
        int | None,
        Sets("lora.r"),
        typer.Option(help="Rank of the LoRA adapters; 0 trains the weights themselves.", rich_help_panel=_USUAL),
    ] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceOptions(TuningOptions):
    """Options of `bytemill finetune preference`."""

    beta: Annotated[
        float | None,
        Sets("preference.beta"),
        typer.Option(
            help="Penalty for moving away from the base; higher values stay closer to it.", rich_help_panel=_USUAL
        ),
    ] = None


class TrainingCommand(HelpPage):
    """A command whose help shows the default of each setting; they are computed only if the help is shown."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Add the defaults to the help texts, and print them."""
        from bytemill.cli.setting_defaults import described_default

        task = self.callback.task  # type: ignore[union-attr]
        marks = dict(_sets(self.callback.options))  # type: ignore[union-attr]
        for parameter in self.params:
            usual: Any = parameter
            sets = marks.get(parameter.name or "")
            if sets is not None and usual.rich_help_panel == _USUAL:
                usual.help = f"{usual.help} Default: {described_default(sets.setting, task)}."
        super().format_help(ctx, formatter)


def takes_options(
    options: type[RunOptions], *, task: str, output: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a class to a command; its first argument is then an object of the class.

    Args:
        options: The class: its fields become options.
        task: The task of the command, whose defaults the help shows.
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
        called.task, called.options = task, options  # type: ignore[attr-defined]
        return called

    return decorated


def _parameter(field: "dataclasses.Field[Any]", output: str) -> inspect.Parameter:
    default = Path(output) if field.name == "output" else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=field.type)


def _sets(options: type[RunOptions]) -> Iterator[tuple[str, Sets]]:
    """Yield each option that sets a setting: its name, and its mark."""
    for field in dataclasses.fields(options):
        for mark in get_args(field.type):
            if isinstance(mark, Sets):
                yield field.name, mark
