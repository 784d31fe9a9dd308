"""From options to settings: each option of a training command sets one setting, as `--set` does."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bytemill.errors import ArgumentError, ConfigError

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig

__all__ = ["Sets", "as_settings", "refuse_contradictions", "resolve", "seconds_of"]

_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SECONDS = (86_400, 3_600, 60, 1)
_LENGTHS = ("train.max_steps", "train.epochs")
"""Settings that each set the length of a run."""


@dataclass(frozen=True)
class Sets:
    """The setting that an option sets; a mark in the annotation of the option."""

    setting: str
    """Its dotted name."""
    value_of: Callable[[Any], Any] = lambda given: given
    """From the option's value to the setting's."""


def as_settings(given: Mapping[str, Any]) -> list[str]:
    """Return the given values as settings A.B=C; text stays text, even if it looks like a number."""
    from bytemill.train.settings.toml import toml_literal

    texts = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return [f"{name}={toml_literal(value)}" for name, value in texts.items() if value is not None]


def refuse_contradictions(options: Mapping[str, tuple[str, Any]], settings: Iterable[str]) -> None:
    """Refuse an option and a `--set` that disagree, or that both set the length of the run.

    Args:
        options: The given options as they were written, such as `--steps 100` -> (setting, value).
        settings: The values of `--set`, such as `train.max_steps=100`.

    Raises:
        ArgumentError: Two of them contradict each other; the message names both.
    """
    given = [(shown, setting, value) for shown, (setting, value) in options.items()]
    for one in settings:
        name, _, text = one.partition("=")
        given.append((f"--set {one}", name.strip(), _value(text.strip())))
    for number, (shown, setting, value) in enumerate(given[: len(options)]):
        for other, other_setting, other_value in given[number + 1 :]:
            if setting == other_setting and value != other_value:
                raise ArgumentError(f"{shown} and {other} contradict each other; give one of the two")
            if setting != other_setting and {setting, other_setting} == set(_LENGTHS):
                raise ArgumentError(f"{shown} and {other} both set the length of the run; give one of the two")


def resolve(
    config: Path | None, settings: Sequence[str], resumed_run: Path | None, *, prints: bool = False
) -> "RunConfig":
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


def _value(text: str) -> Any:
    """Return the value of a setting as `--set` reads it: TOML, or else text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
