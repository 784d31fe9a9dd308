"""The settings of a run: typed, frozen, read from TOML and `--set a.b=c`, and saved with every run.

A setting has the same name everywhere (`train.learning_rate`), and errors name it. An unknown setting is an error that
suggests the nearest known one, so that a misspelt setting does not train for a day at its default.
"""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, model_validator

from bytemill.errors import ConfigError
from bytemill.json_reader import read_regular_file
from bytemill.model.config import GPT2Config
from bytemill.places import portable_path, resolved_path
from bytemill.train.settings.defaults import floor_of, with_defaults, with_floor_below_peak
from bytemill.train.settings.nearest import nearest_settings
from bytemill.train.settings.sections import (
    ClassifyConfig,
    DataConfig,
    LoraSettings,
    PreferenceConfig,
    SampleConfig,
    Section,
    TrainConfig,
    refuse_wrong_split,
)
from bytemill.train.settings.toml import toml_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "ClassifyConfig",
    "DataConfig",
    "LoraSettings",
    "PreferenceConfig",
    "RunConfig",
    "SampleConfig",
    "TrainConfig",
    "changed_settings",
    "config_from_settings",
    "dump_toml",
    "former_settings",
    "load_config",
    "portable_config",
    "read_toml",
    "setting_of",
    "unknown_setting",
]

MAX_SETTINGS_BYTES = 1 << 20
"""Maximum size of a settings file, in bytes."""
_DATA_PATHS = ("path", "val", "test", "tokenizer", "hellaswag")
_REPLACED_BY = {
    "train.max_steps": "epochs",
    "train.micro_batches": "total_batch_tokens",
    "train.warmup_steps": "warmup_share",
}
"""Settings that another setting determines: an override of the first drops the second."""
_BEFORE_IT_EXISTED: dict[str, dict[str, Any]] = {"data": {"long_texts": "cut"}}
"""Settings added later: what runs did before the setting existed, if that differs from its default."""


class RunConfig(Section):
    """Everything that a run depends on."""

    task: Literal["pretrain", "lm", "instruct", "chat", "classify", "preference"] = "pretrain"
    """What is trained."""
    base: str | None = None
    """Initial weights: folder of a checkpoint or Hugging Face model, or a hub id; random when not given."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Fields of bytemill.model.GPT2Config, or `name` for a known size; checked when the model is built."""
    data: DataConfig = DataConfig()
    """Training data, and how it is split and batched."""
    train: TrainConfig = TrainConfig()
    """Steps, optimizer, schedule, precision, and when to validate, sample and save."""
    lora: LoraSettings = LoraSettings()
    """Low-rank adapters (LoRA)."""
    preference: PreferenceConfig = PreferenceConfig()
    """The loss of preference tuning."""
    classify: ClassifyConfig = ClassifyConfig()
    """Training of a classifier."""
    sample: SampleConfig = SampleConfig()
    """Text samples from the model during training."""

    @model_validator(mode="before")
    @classmethod
    def _one_template(cls, settings: Any) -> Any:
        """Accept the two settings of earlier versions, where `data.chat_template` was for conversations."""
        data = settings.get("data") if isinstance(settings, dict) else None
        if not isinstance(data, dict) or "chat_template" not in data:
            return settings
        data = dict(data)
        chat = data.pop("chat_template")
        if "template" not in data:
            data["template"] = chat
        elif settings.get("task") == "chat" or (settings.get("task") == "preference" and chat == "chatml"):
            data["template"] = "chatml_text" if chat == "chatml" else chat
        return settings | {"data": data}

    @model_validator(mode="after")
    def _settings_of_this_task(self) -> RunConfig:
        if self.data.mask_documents and self.task != "pretrain":
            raise ValueError(f"data.mask_documents is for pretraining; task {self.task} may take data.pack_rows")
        if self.data.packing != "chunk" and self.task != "pretrain":
            raise ValueError(f"data.packing is for pretraining; task {self.task} has rows, and may take data.pack_rows")
        if self.data.more_val and self.task != "pretrain":
            raise ValueError(f"data.more_val is for pretraining, not for task {self.task}")
        if self.data.pack_rows and self.task not in ("lm", "instruct", "chat"):
            raise ValueError(f"data.pack_rows is for the tasks lm, instruct and chat, not for {self.task}")
        refuse_wrong_split(self.data)
        for name in ("val", "test", "split", "train_rows"):
            if self.task == "pretrain" and getattr(self.data, name):
                raise ValueError(f"data.{name} is for tasks with rows; token shards have their own validation split")
        return self

    def with_train(self, **settings: Any) -> RunConfig:
        """Return this configuration with some settings of its train section changed.

        >>> RunConfig().with_train(max_steps=3).train.max_steps
        3
        """
        given = self.train.model_dump()
        if "learning_rate" in settings and given["min_learning_rate"] == floor_of(given["learning_rate"]):
            del given["min_learning_rate"]
        train = TrainConfig.model_validate(given | settings)
        return self.model_copy(update={"train": train})


def load_config(path: str | Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """Read settings from a TOML file, then apply overrides of the form `train.max_steps=100`.

    An override of train.max_steps drops train.epochs of the file; likewise train.micro_batches drops
    train.total_batch_tokens, and train.warmup_steps drops train.warmup_share. A setting that is not given has the
    task's default (see `bytemill.train.settings.defaults`).

    Args:
        path: The file; None starts from the defaults.
        overrides: `section.setting=value`, with the value as in TOML; a bare word is a string.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown or has an invalid value.

    >>> load_config(overrides=["train.max_steps=5", "train.precision=fp32"]).train.max_steps
    5
    >>> load_config(overrides=["train.learning_rte=1"])
    Traceback (most recent call last):
    bytemill.errors.ConfigError: train.learning_rte is not a setting; did you mean train.learning_rate?
    """
    if path is None:
        return config_from_settings({}, overrides)
    return config_from_settings(read_toml(Path(path)), overrides, run=Path(path).parent)


def config_from_settings(
    settings: Mapping[str, Any], overrides: Iterable[str] = (), *, run: Path | None = None
) -> RunConfig:
    """Check settings that are already read, section by section, and apply overrides; see `load_config`.

    Paths that begin with `~` are resolved, and so are saved paths that are relative to the run's folder, `run`.

    >>> config_from_settings({"train": {"max_steps": 5}}, ["train.max_steps=6"]).train.max_steps
    6
    """
    changed = copy.deepcopy(dict(settings))
    for override in overrides:
        _apply(changed, override)
    changed = with_defaults(with_floor_below_peak(changed, before=settings))
    try:
        return _with_paths(RunConfig.model_validate(changed), lambda path: resolved_path(path, run))
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(fault) for fault in error.errors())) from None


def former_settings(saved: Mapping[str, Any]) -> list[str]:
    """Return the overrides that keep an old run's behaviour, for settings that did not exist when it was saved.

    >>> former_settings({"task": "lm", "data": {"seq_len": 8}})
    ['data.long_texts=cut']
    """
    return [
        f"{section}.{name}={value}"
        for section, defaults in _BEFORE_IT_EXISTED.items()
        for name, value in defaults.items()
        if name not in saved.get(section, {})
    ]


def changed_settings(old: RunConfig, new: RunConfig) -> list[tuple[str, Any, Any]]:
    """Return each setting that differs, as (dotted name, old value, new value).

    >>> changed_settings(RunConfig(), RunConfig().with_train(seed=7))
    [('train.seed', 0, 7)]
    """
    before, after = (dict(_flatten(config.model_dump(mode="json"))) for config in (old, new))
    names = dict.fromkeys([*before, *after])
    return [(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def setting_of(config: RunConfig, name: str) -> Any:
    """Return the value of a setting by its dotted name; None if there is no such setting.

    >>> setting_of(RunConfig(), "train.seed")
    0
    """
    return dict(_flatten(config.model_dump(mode="json"))).get(name)


def portable_config(config: RunConfig, run: Path) -> RunConfig:
    """Return the settings as they are saved in the folder `run`: without home folders and user names in paths."""
    return _with_paths(config, lambda path: portable_path(path, run))


def dump_toml(config: RunConfig) -> str:
    """Return the settings as TOML that `load_config` reads back to an equal object; None is left out.

    >>> print(dump_toml(RunConfig()).splitlines()[0])
    task = "pretrain"
    """
    return toml_text(config.model_dump(mode="json"))


def unknown_setting(name: str) -> str:
    """Return the error for a name that is not a setting, with the known settings that are most like it.

    >>> unknown_setting("train.batch_size")
    'train.batch_size is not a setting; did you mean data.batch_size?'
    >>> unknown_setting("train.n_layers")
    'train.n_layers is not a setting; did you mean model.n_layer?'
    """
    known = [*RunConfig.model_fields, *(name for name, _ in _flatten(RunConfig().model_dump()))]
    known += ["model.name", *(f"model.{field}" for field in GPT2Config.model_fields)]
    nearest = nearest_settings(name, known)
    return f"{name} is not a setting" + (f"; did you mean {' or '.join(nearest)}?" if nearest else "")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: The file cannot be read or is not TOML; the error names it.
    """
    try:
        text = read_regular_file(path, max_bytes=MAX_SETTINGS_BYTES, error=ConfigError).decode()
        return tomllib.loads(text.replace("\r\n", "\n"))
    except OSError as error:
        raise ConfigError(f"{path}: the settings cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path}: lists or tables are nested too deeply") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _with_paths(config: RunConfig, change: Callable[[str], str]) -> RunConfig:
    """Return the configuration with each of its paths changed."""
    data = {name: change(path) for name in _DATA_PATHS if (path := getattr(config.data, name)) is not None}
    more_val = {name: change(path) for name, path in config.data.more_val.items()}
    base = None if config.base is None else change(config.base)
    return config.model_copy(
        update={"base": base, "data": config.data.model_copy(update={**data, "more_val": more_val})}
    )


def _apply(settings: dict[str, Any], override: str) -> None:
    """Apply one override `a.b=c` to nested settings."""
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"{override!r} is not of the form section.setting=value")
    for key in keys[:-1]:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise ConfigError(f"{name.strip()} is not a setting: {key} has no settings below it")
    settings[keys[-1]] = _toml_value(text.strip())
    settings.pop(_REPLACED_BY.get(name.strip(), ""), None)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _explain(fault: Mapping[str, Any]) -> str:
    """Return one sentence for one of pydantic's errors."""
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return unknown_setting(name)
    if fault["type"] == "value_error":
        return f"{name}: {fault['ctx']['error']}" if name else str(fault["ctx"]["error"])
    return f"{name} is {fault['input']!r}: {fault['msg']}"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
