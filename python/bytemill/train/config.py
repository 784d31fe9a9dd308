"""The settings of a run: typed, frozen, read from TOML and `--set a.b=c`, saved again with every run.

A setting has one name everywhere (`train.learning_rate`), a unit under it, and a refusal that names
it. What is not a setting is an error, with the nearest that is: a misspelt one must not train for a
day at its default.
"""

from __future__ import annotations

import copy
import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bytemill.errors import ConfigError
from bytemill.json_reader import read_regular_file
from bytemill.places import portable_path, resolved_path
from bytemill.train.defaults import floor_of, with_defaults, with_floor_below_peak
from bytemill.train.toml import toml_text

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
]

MAX_SETTINGS_BYTES = 1 << 20
"""Bytes of a file of settings."""
_DATA_PATHS = ("path", "val", "test", "tokenizer", "hellaswag")
_REPLACED_BY = {
    "train.max_steps": "epochs",
    "train.micro_batches": "total_batch_tokens",
    "train.warmup_steps": "warmup_share",
}
"""What a setting would follow from, and no longer does once it is given itself."""
_BEFORE_IT_EXISTED: dict[str, dict[str, Any]] = {"data": {"long_texts": "cut"}}
"""What runs did whose saved settings lack a setting, if that is not its default."""

# Limits that no real run reaches: beyond them a number is a typing error, and would fail only after the start.
_MOST_STEPS = 10**12
_MOST_ROWS = 10**12
_MOST_SEQ_LEN = 1 << 20
_MOST_IN_A_BATCH = 1 << 16
_MOST_MICRO_BATCHES = 1 << 20
_MOST_SEED = 2**64 - 1
_MOST_THREADS = 4096
_NAME_OF_A_SET = r"^[A-Za-z0-9_.-]{1,64}$"

_Beta = Annotated[float, Field(ge=0, lt=1)]
_SetName = Annotated[str, Field(pattern=_NAME_OF_A_SET)]


class _Section(BaseModel):
    """Frozen, no unknown fields, finite numbers; the string under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class TrainConfig(_Section):
    """How the weights are moved: steps, optimizer, schedule, precision, and what happens when."""

    max_steps: int = Field(1000, ge=0, le=_MOST_STEPS)
    """Optimizer steps of the whole run."""
    epochs: float | None = Field(None, gt=0, le=1e6)
    """Passes over the training data; sets max_steps."""
    learning_rate: float = Field(6e-4, gt=0)
    """Highest learning rate, reached when the warm-up ends."""
    min_learning_rate: float = Field(6e-5, ge=0)
    """Learning rate at max_steps and after; when not given, a tenth of learning_rate."""
    warmup_steps: int = Field(100, ge=0, le=_MOST_STEPS)
    """Steps of linear warm-up."""
    warmup_share: float | None = Field(None, ge=0, le=1)
    """Share of the steps that warm up; sets warmup_steps, rounded down."""
    first_learning_rate: float | None = Field(None, ge=0)
    """Learning rate of the very first step; when not given, the peak divided by warmup_steps."""
    schedule: Literal["cosine", "linear", "wsd", "constant"] = "cosine"
    """What follows the warm-up; wsd stays at the peak until the decay begins."""
    decay_share: float = Field(0.2, gt=0, le=1)
    """Share of the steps after the warm-up in which wsd goes down."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon orthogonalises the updates of the blocks' matrices; all other parameters keep AdamW."""
    weight_decay: float = Field(0.1, ge=0)
    """Decay of the weights, on tensors of two or more dimensions only."""
    betas: tuple[_Beta, _Beta] = (0.9, 0.95)
    """AdamW's decay rates of the first and second moment."""
    eps: float = Field(1e-8, gt=0, le=1)
    """AdamW's term against division by zero."""
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    """Muon's share of the past in its update."""
    clip_norm: float = Field(1.0, ge=0)
    """Largest norm of the whole gradient; 0 never clips."""
    clip_after_warmup: bool = False
    """Whether gradients are clipped only after the warm-up."""
    micro_batches: int = Field(1, ge=1, le=_MOST_MICRO_BATCHES)
    """Micro-batches that make one step, over all processes together."""
    total_batch_tokens: int | None = Field(None, ge=1, le=1 << 40)
    """Tokens of one step, over all processes; sets micro_batches."""
    find_batch_size: bool = False
    """Whether the fastest data.batch_size that fits is found by trying, for a given total_batch_tokens."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """Number format of matrix products; auto is bf16 where the hardware multiplies it, else fp16 on CUDA, else fp32."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Of several processes: each holds all weights (ddp), or a share of weights, gradients and moments (fsdp)."""
    checkpoint_activations: bool = False
    """Whether blocks are computed again on the way back instead of kept: less memory, a third more arithmetic."""
    compile: bool = False
    """Whether torch.compile is applied to the training forward pass."""
    device: str = "auto"
    """cuda, mps, cpu, or auto for the first of them that is there."""
    threads: int | None = Field(None, ge=1, le=_MOST_THREADS)
    """CPU threads of torch; torch's own choice when not given."""
    seed: int = Field(0, ge=0, le=_MOST_SEED)
    """Seed of dropout and of everything else drawn while training (data.seed orders the data)."""
    log_every: int = Field(1, ge=1, le=_MOST_STEPS)
    """Steps between lines of metrics.jsonl."""
    eval_every: int = Field(250, ge=0, le=_MOST_STEPS)
    """Steps between validations, also done before the first and after the last; 0 never validates."""
    patience: int = Field(0, ge=0, le=_MOST_STEPS)
    """Validations in a row without a new lowest loss after which the run ends; 0 never ends it early."""
    sample_every: int = Field(0, ge=0, le=_MOST_STEPS)
    """Steps between samples of text, also drawn before the first and after the last; 0 never samples."""
    sample_each_epoch: bool = False
    """Whether samples of text are drawn at the end of each epoch, and after the last step."""
    checkpoint_every: int = Field(1000, ge=0, le=_MOST_STEPS)
    """Steps between checkpoints; 0 writes one only at the end. The last step always writes one."""
    keep_best: bool = False
    """Whether each new lowest validation loss writes a checkpoint; always so with train.patience."""
    keep_checkpoints: int = Field(2, ge=1, le=_MOST_STEPS)
    """Newest checkpoints that are kept, in addition to the one of lowest validation loss."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What to do with a step whose loss or gradient is no number."""
    tensorboard: bool = True
    """Whether TensorBoard files are written beside metrics.jsonl."""
    wandb: str | None = None
    """Project of Weights & Biases that gets the metrics as well; needs the package wandb."""
    profile_steps: int = Field(0, ge=0, le=_MOST_STEPS)
    """Steps of which a trace is written into the run's folder, after the first three; 0 for none."""

    @model_validator(mode="before")
    @classmethod
    def _floor_of_peak(cls, given: Any) -> Any:
        if isinstance(given, dict) and "learning_rate" in given and "min_learning_rate" not in given:
            floor = floor_of(given["learning_rate"])
            return given if floor is None else {**given, "min_learning_rate": floor}
        return given

    @model_validator(mode="after")
    def _floor_below_peak(self) -> TrainConfig:
        if self.schedule != "constant" and self.min_learning_rate > self.learning_rate:
            raise ValueError(f"min_learning_rate {self.min_learning_rate} is above learning_rate {self.learning_rate}")
        return self


class DataConfig(_Section):
    """What is read, and in which portions."""

    path: str | None = None
    """Folder of shards; or rows: a file (.json, .jsonl, .csv, .tsv, .parquet, label-tab-text, in lm .txt) or hf:ID."""
    val: str | None = None
    """Rows for validation, of the kinds of data.path; when not given, a share of data.path's rows."""
    test: str | None = None
    """Rows for the test after training, of the kinds of data.path; when not given, a share of data.path's rows."""
    split: tuple[float, ...] | None = None
    """Shares of training, test and validation rows; not given, [0.85, 0.1, 0.05], in classify [0.7, 0.2, 0.1]."""
    tokenizer: str | None = None
    """File or folder of the tokenizer."""
    batch_size: int = Field(8, ge=1, le=_MOST_IN_A_BATCH)
    """Samples or rows of one micro-batch of one process."""
    seq_len: int = Field(256, ge=1, le=_MOST_SEQ_LEN)
    """Tokens of one sample; rows are cut to this many, texts as data.long_texts says."""
    long_texts: Literal["window", "cut"] = "window"
    """In lm, what a text longer than seq_len becomes: windows that train every token once, or its beginning."""
    seed: int = Field(0, ge=0, le=_MOST_SEED)
    """Seed of the order of samples or rows."""
    packing: Literal["chunk", "bestfit"] = "chunk"
    """Samples of shards: windows that cut documents wherever they end, or whole documents where they fit."""
    mask_documents: bool = False
    """Whether tokens see their own document alone, with positions counted from its beginning."""
    pack_rows: bool = False
    """Whether the rows of a micro-batch lie behind each other, each seeing itself alone, so that nothing is padded."""
    eval_batches: int = Field(0, ge=0, le=_MOST_ROWS)
    """Micro-batches of one validation; 0 takes the whole split."""
    more_val: dict[_SetName, str] = Field(default_factory=dict)
    """Further validation sets in pretraining: a name for each, and its folder of shards; logs val_loss/NAME."""
    hellaswag: str | None = None
    """File of HellaSwag items (.jsonl) to answer at each validation; needs data.tokenizer."""
    hellaswag_items: int = Field(0, ge=0, le=_MOST_ROWS)
    """How many of them, from the first; 0 takes all."""
    template: Literal["alpaca", "alpaca_one_header", "chatml", "chatml_text", "own"] | None = None
    """Wording around instructions and turns; own is the chat template that the base brings. Default: the one that the
    base was tuned with, else alpaca. alpaca_one_header opens rows with and without input alike; chatml marks turns by
    <|im_start|> and <|im_end|>; chatml_text is the chatml of earlier versions."""
    mask_prompt: bool = True
    """Whether only the response is trained."""
    max_rows: int = Field(0, ge=0, le=_MOST_ROWS)
    """Rows taken of all parts together, drawn by the seed; 0 takes all."""
    train_rows: int = Field(0, ge=0)
    """Most rows of the training part, drawn by the seed; 0 takes all."""
    text_column: str = "text"
    """Column of the text, in lm and classify."""
    label_column: str = "label"
    """Column of the class, in classify."""
    instruction_column: str = "instruction"
    """Column of the instruction, in instruct."""
    input_column: str = "input"
    """Column of its input, in instruct; rows may lack it."""
    output_column: str = "output"
    """Column of the answer, in instruct."""
    messages_column: str = "conversations"
    """Column of the turns, in chat; rows without it may call it messages."""


class LoraSettings(_Section):
    """Which low-rank adapters train; rank 0 trains all parameters. peft's names."""

    r: int = Field(0, ge=0, le=1 << 17)
    """Rank of the update; 0 trains all parameters."""
    lora_alpha: float = Field(16.0, gt=0, le=1e9)
    """Scale of the update, divided by the rank."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of an adapter's inputs dropped while training."""
    target_modules: tuple[str, ...] | str = "all-linear"
    """Names of the modules that get an adapter, or all-linear for every one but the output head."""
    bias: Literal["none", "lora_only", "all"] = "none"
    """Which biases train too."""
    use_rslora: bool = False
    """Whether the scale is alpha / sqrt(r) instead of alpha / r."""
    use_dora: bool = False
    """Whether magnitude and direction are tuned apart."""
    backend: Literal["bytemill", "peft"] = "bytemill"
    """Whose adapters: this project's, or the package peft's, to compare."""


class ClassifyConfig(_Section):
    """What is special about learning to classify."""

    train_layers: Literal["head", "last_block", "all"] = "last_block"
    """Which weights train when lora.r is 0; last_block also has the last norm and the head."""
    imbalance: Literal["none", "undersample", "weighted"] = "none"
    """undersample takes as many rows of each label as the rarest has; weighted gives rare labels more weight."""
    names: dict[str, str] = Field(default_factory=dict)
    """What classes are called, by their label in the rows, such as ham = "not spam"; others keep their label."""


class PreferenceConfig(_Section):
    """How strongly a liked answer is preferred to the other (Rafailov et al. 2023, "DPO")."""

    beta: float = Field(0.1, gt=0, le=1e6)
    """How dear it is to move away from the reference: the higher, the closer the model stays."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of the rows whose two answers are taken to be mixed up."""
    log_probabilities: Literal["sum", "mean"] = "sum"
    """Whether an answer's log-probability is the sum over its tokens or their mean, which forgets its length."""


class SampleConfig(_Section):
    """Text drawn from the model on the way."""

    prompts: tuple[str, ...] = ()
    """Prompts to continue; the task's own when empty."""
    max_new_tokens: int = Field(64, ge=1, le=1 << 24)
    """Tokens drawn for each prompt."""
    temperature: float = Field(0.8, ge=0, le=1e6)
    """Divisor of the logits; 0 takes the likeliest token."""
    top_k: int = Field(50, ge=0, le=1 << 24)
    """Likeliest tokens that may be drawn; 0 takes all."""
    seed: int = Field(42, ge=0, le=_MOST_SEED)
    """Seed of the draws."""


class RunConfig(_Section):
    """Everything that a run depends on."""

    task: Literal["pretrain", "lm", "instruct", "chat", "classify", "preference"] = "pretrain"
    """What is trained."""
    base: str | None = None
    """Where the weights start: a checkpoint's or Hugging Face folder, or a hub id; random when not given."""
    model: dict[str, Any] = Field(default_factory=dict)
    """Fields of bytemill.model.GPT2Config, or `name` for a known size; checked when the model is built."""
    data: DataConfig = DataConfig()
    """What is read."""
    train: TrainConfig = TrainConfig()
    """How it is trained."""
    lora: LoraSettings = LoraSettings()
    """Which adapters train."""
    preference: PreferenceConfig = PreferenceConfig()
    """How answers are compared, in preference tuning."""
    classify: ClassifyConfig = ClassifyConfig()
    """What is special about learning to classify."""
    sample: SampleConfig = SampleConfig()
    """Text drawn on the way."""

    @model_validator(mode="before")
    @classmethod
    def _one_template(cls, settings: Any) -> Any:
        """Runs of earlier versions have two settings, of which `data.chat_template` was for conversations."""
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
        _refuse_wrong_split(self.data)
        for name in ("val", "test", "split", "train_rows"):
            if self.task == "pretrain" and getattr(self.data, name):
                raise ValueError(f"data.{name} is for tasks with rows; token shards have their own validation split")
        return self

    def with_train(self, **settings: Any) -> RunConfig:
        """This configuration with other settings of its train section.

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

    A number of steps takes the place of a number of epochs given before it, train.micro_batches that of
    train.total_batch_tokens, and train.warmup_steps that of train.warmup_share. What is not given has the task's
    default (see `bytemill.train.defaults`).

    Args:
        path: The file; None starts from the defaults.
        overrides: `section.setting=value`, the value as in TOML; a bare word is a string.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown or has a value that cannot work.

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
    """As `load_config`, from settings that are read already, section by section.

    Paths that begin with `~` are resolved, and those that a run's folder holds relative to itself, `run`.

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
    """Overrides that make a run which saved these settings go on as it began, where a setting did not exist yet.

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
    """Each setting that differs, as (dotted name, old value, new value).

    >>> changed_settings(RunConfig(), RunConfig().with_train(seed=7))
    [('train.seed', 0, 7)]
    """
    before, after = (dict(_flatten(config.model_dump(mode="json"))) for config in (old, new))
    names = dict.fromkeys([*before, *after])
    return [(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def portable_config(config: RunConfig, run: Path) -> RunConfig:
    """The settings as they are saved in the folder `run`: without home folders and user names in paths."""
    return _with_paths(config, lambda path: portable_path(path, run))


def dump_toml(config: RunConfig) -> str:
    """The settings as TOML that `load_config` reads back to an equal object; None is left out.

    >>> print(dump_toml(RunConfig()).splitlines()[0])
    task = "pretrain"
    """
    return toml_text(config.model_dump(mode="json"))


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigError: It cannot be read, or is not TOML; names the file.
    """
    try:
        text = read_regular_file(path, max_bytes=MAX_SETTINGS_BYTES, error=ConfigError).decode()
        return tomllib.loads(text.replace("\r\n", "\n"))
    except OSError as error:
        raise ConfigError(f"{path}: the settings cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path}: its lists or tables are nested too deeply") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _refuse_wrong_split(data: DataConfig) -> None:
    """Refuse shares that are not three of a whole, or that keep rows where a file of their own is given."""
    if data.split is None:
        return
    if len(data.split) != 3 or not data.split[0] > 0 or min(data.split) < 0 or not abs(sum(data.split) - 1) < 1e-9:
        raise ValueError(
            f"data.split is {list(data.split)}, expected shares of training, test and validation rows that sum to 1, "
            "such as [0.85, 0.1, 0.05]; [1.0, 0, 0] trains on all"
        )
    for name, share in (("test", data.split[1]), ("val", data.split[2])):
        if share and getattr(data, name) is not None:
            raise ValueError(
                f"data.split keeps {share} of the rows for {name}, and data.{name} names others; give only one"
            )


def _with_paths(config: RunConfig, change: Callable[[str], str]) -> RunConfig:
    """The configuration with each of its paths changed."""
    data = {name: change(path) for name in _DATA_PATHS if (path := getattr(config.data, name)) is not None}
    more_val = {name: change(path) for name, path in config.data.more_val.items()}
    base = None if config.base is None else change(config.base)
    return config.model_copy(
        update={"base": base, "data": config.data.model_copy(update={**data, "more_val": more_val})}
    )


def _apply(settings: dict[str, Any], override: str) -> None:
    """Write one `a.b=c` into nested settings."""
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
    """One sentence on one of pydantic's errors."""
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = [*RunConfig.model_fields, *(name for name, _ in _flatten(RunConfig().model_dump()))]
        nearest = difflib.get_close_matches(name, known, n=1)
        return f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else "")
    if fault["type"] == "value_error":
        return f"{name}: {fault['ctx']['error']}" if name else str(fault["ctx"]["error"])
    return f"{name} is {fault['input']!r}: {fault['msg']}"


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
