"""The sections of a run's settings: each field with its default, limits and description.

The string under a field is its documentation, which `bytemill train --print-config` prints.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bytemill.train.settings.defaults import floor_of

__all__ = [
    "ClassifyConfig",
    "DataConfig",
    "LoraSettings",
    "PreferenceConfig",
    "SampleConfig",
    "Section",
    "TrainConfig",
    "refuse_wrong_split",
]

# Limits that no real run reaches. A larger number is a typing error, and would otherwise fail only after the start.
_MOST_STEPS = 10**12
_MOST_ROWS = 10**12
_MOST_SEQ_LEN = 1 << 20
_MOST_IN_A_BATCH = 1 << 16
_MOST_MICRO_BATCHES = 1 << 20
_MOST_SECONDS = 1e9
_MOST_SEED = 2**64 - 1
_MOST_THREADS = 4096
_NAME_OF_A_SET = r"^[A-Za-z0-9_.-]{1,64}$"

_Beta = Annotated[float, Field(ge=0, lt=1)]
_SetName = Annotated[str, Field(pattern=_NAME_OF_A_SET)]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown fields, finite numbers; the string under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class TrainConfig(Section):
    """Steps, optimizer, schedule, precision, and when to validate, sample and save."""

    max_steps: int = Field(1000, ge=0, le=_MOST_STEPS)
    """Optimizer steps of the whole run."""
    epochs: float | None = Field(None, gt=0, le=1e6)
    """Passes over the training data; sets max_steps."""
    max_seconds: float = Field(0, ge=0, le=_MOST_SECONDS)
    """Time limit in seconds from the start: stops before it with a checkpoint, to be resumed; 0 for no limit."""
    learning_rate: float = Field(6e-4, gt=0)
    """Highest learning rate, reached when the warm-up ends."""
    min_learning_rate: float = Field(6e-5, ge=0)
    """Learning rate at max_steps and after; when not given, a tenth of learning_rate."""
    warmup_steps: int = Field(100, ge=0, le=_MOST_STEPS)
    """Steps of linear warm-up."""
    warmup_share: float | None = Field(None, ge=0, le=1)
    """Fraction of the steps used for warm-up; sets warmup_steps, rounded down."""
    first_learning_rate: float | None = Field(None, ge=0)
    """Learning rate of the first step; when not given, the peak divided by warmup_steps."""
    schedule: Literal["cosine", "linear", "wsd", "constant"] = "cosine"
    """Schedule after the warm-up; wsd stays at the peak until the decay begins."""
    decay_share: float = Field(0.2, gt=0, le=1)
    """Fraction of the steps after the warm-up in which wsd decays."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon orthogonalises the updates of the blocks' matrices; all other parameters use AdamW."""
    weight_decay: float = Field(0.1, ge=0)
    """Weight decay, only for tensors of two or more dimensions."""
    betas: tuple[_Beta, _Beta] = (0.9, 0.95)
    """AdamW's decay rates of the first and second moment."""
    eps: float = Field(1e-8, gt=0, le=1)
    """AdamW's term against division by zero."""
    muon_momentum: float = Field(0.95, ge=0, lt=1)
    """Muon's momentum."""
    clip_norm: float = Field(1.0, ge=0)
    """Maximum norm of the whole gradient; larger gradients are clipped; 0 never clips."""
    clip_after_warmup: bool = False
    """Whether gradients are clipped only after the warm-up."""
    micro_batches: int = Field(1, ge=1, le=_MOST_MICRO_BATCHES)
    """Micro-batches that make one step, over all processes together."""
    total_batch_tokens: int | None = Field(None, ge=1, le=1 << 40)
    """Tokens of one step, over all processes; sets micro_batches."""
    find_batch_size: bool = False
    """Whether to try out and use the fastest data.batch_size that fits into memory, for a given total_batch_tokens."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """Number format of matrix products; auto is bf16 if the hardware supports it, else fp16 on CUDA, else fp32."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: each holds all weights (ddp), or a part of weights, gradients and moments (fsdp)."""
    checkpoint_activations: bool = False
    """Whether to recompute blocks in the backward pass: less memory, a third more arithmetic."""
    compile: bool = False
    """Whether torch.compile is applied to the training forward pass."""
    device: str = "auto"
    """cuda, mps, cpu, or auto for the first of them that is available."""
    threads: int | None = Field(None, ge=1, le=_MOST_THREADS)
    """Number of CPU threads for torch; torch's own choice when not given."""
    seed: int = Field(0, ge=0, le=_MOST_SEED)
    """Random seed for dropout and everything else random in training (data.seed sets the order of the data)."""
    log_every: int = Field(1, ge=1, le=_MOST_STEPS)
    """Steps between lines of metrics.jsonl."""
    eval_every: int = Field(250, ge=0, le=_MOST_STEPS)
    """Steps between validations; also validates before the first and after the last step; 0 never validates."""
    patience: int = Field(0, ge=0, le=_MOST_STEPS)
    """Number of validations without a new lowest loss after which the run ends; 0 never stops early."""
    sample_every: int = Field(0, ge=0, le=_MOST_STEPS)
    """Steps between text samples; also samples before the first and after the last step; 0 never samples."""
    sample_each_epoch: bool = False
    """Whether to sample text at the end of each epoch and after the last step."""
    checkpoint_every: int = Field(1000, ge=0, le=_MOST_STEPS)
    """Steps between checkpoints; 0 writes one only at the end. The last step always writes one."""
    keep_best: bool = False
    """Whether to write a checkpoint at each new lowest validation loss; always done with train.patience."""
    keep_checkpoints: int = Field(2, ge=1, le=_MOST_STEPS)
    """Number of newest checkpoints to keep, in addition to the one with the lowest validation loss."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What to do with a step whose loss or gradient is NaN or infinite."""
    tensorboard: bool = True
    """Whether to write TensorBoard files in addition to metrics.jsonl."""
    wandb: str | None = None
    """Weights & Biases project that also gets the metrics; needs the package wandb."""
    profile_steps: int = Field(0, ge=0, le=_MOST_STEPS)
    """Number of steps to profile after the first three; writes a trace into the run's folder; 0 for none."""

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


class _EveryTask(Section):
    """What every task reads, and how much at a time."""

    path: str | None = None
    """Folder of shards; or rows: a file (.json, .jsonl, .csv, .tsv, .parquet, label-tab-text, in lm .txt) or hf:ID."""
    tokenizer: str | None = None
    """File or folder of the tokenizer."""
    batch_size: int = Field(8, ge=1, le=_MOST_IN_A_BATCH)
    """Samples or rows per micro-batch and process."""
    seq_len: int = Field(256, ge=1, le=_MOST_SEQ_LEN)
    """Tokens per sample; rows are truncated to this length, texts are cut as data.long_texts says."""
    seed: int = Field(0, ge=0, le=_MOST_SEED)
    """Random seed for the order of samples or rows."""
    eval_batches: int = Field(0, ge=0, le=_MOST_ROWS)
    """Micro-batches per validation; 0 uses the whole split."""


class _Shards(Section):
    """Pretraining: samples of shards, and what else is measured."""

    packing: Literal["chunk", "bestfit"] = "chunk"
    """How to make samples from shards: windows that cut documents anywhere, or whole documents if they fit."""
    mask_documents: bool = False
    """Whether tokens attend only to their own document, with positions counted from its beginning."""
    more_val: dict[_SetName, str] = Field(default_factory=dict)
    """Further validation sets in pretraining: a name for each, and its folder of shards; logs val_loss/NAME."""
    hellaswag: str | None = None
    """File of HellaSwag items (.jsonl) to answer at each validation; needs data.tokenizer."""
    hellaswag_items: int = Field(0, ge=0, le=_MOST_ROWS)
    """Number of items to use, from the first; 0 uses all."""


class _Rows(Section):
    """All tasks but pretraining: which rows are in which part, and how they become ids."""

    val: str | None = None
    """Rows for validation, in any format of data.path; when not given, a fraction of data.path's rows."""
    test: str | None = None
    """Rows for the test after training, in any format of data.path; when not given, a fraction of data.path's rows."""
    split: tuple[float, ...] | None = None
    """Fractions of training, test and validation rows; default [0.85, 0.1, 0.05], for classify [0.7, 0.2, 0.1]."""
    max_rows: int = Field(0, ge=0, le=_MOST_ROWS)
    """Maximum number of rows of all parts together, sampled by the seed; 0 uses all."""
    train_rows: int = Field(0, ge=0)
    """Maximum number of training rows, sampled by the seed; 0 uses all."""
    template: Literal["alpaca", "alpaca_one_header", "chatml", "chatml_text", "own"] | None = None
    """Prompt template for instructions and turns; own is the base's chat template. Default: the template that the base
    was tuned with, else alpaca. alpaca_one_header uses the same header for rows with and without input; chatml marks
    turns by <|im_start|> and <|im_end|>; chatml_text is the chatml of earlier versions."""
    mask_prompt: bool = True
    """Whether to train only on the response."""
    long_texts: Literal["window", "cut"] = "window"
    """For lm, how to use a text longer than seq_len: windows that train every token once, or only its beginning."""
    pack_rows: bool = False
    """Whether to put the rows of a micro-batch one after another without padding; each attends only to itself."""


class _Columns(Section):
    """All tasks but pretraining: what the columns of the rows are called."""

    text_column: str = "text"
    """Column of the text, in lm and classify."""
    label_column: str = "label"
    """Column of the class, in classify."""
    instruction_column: str = "instruction"
    """Column of the instruction, in instruct."""
    input_column: str = "input"
    """Column of the instruction's input, in instruct; optional."""
    output_column: str = "output"
    """Column of the answer, in instruct."""
    messages_column: str = "conversations"
    """Column of the turns, in chat; rows without it may have a column messages instead."""


# pydantic lists the fields of the last base first.
class DataConfig(_Columns, _Rows, _Shards, _EveryTask):
    """Training data, and how it is split and batched."""


class LoraSettings(Section):
    """Low-rank adapters (LoRA), with peft's names; rank 0 trains all parameters."""

    r: int = Field(0, ge=0, le=1 << 17)
    """Rank of the update; 0 trains all parameters."""
    lora_alpha: float = Field(16.0, gt=0, le=1e9)
    """Scale of the update; it is divided by the rank."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout probability of an adapter's inputs in training."""
    target_modules: tuple[str, ...] | str = "all-linear"
    """Names of the modules that get an adapter, or all-linear for every linear module except the output head."""
    bias: Literal["none", "lora_only", "all"] = "none"
    """Which biases are also trained."""
    use_rslora: bool = False
    """Whether the scale is alpha / sqrt(r) instead of alpha / r."""
    use_dora: bool = False
    """Whether to train magnitude and direction separately (DoRA)."""
    backend: Literal["bytemill", "peft"] = "bytemill"
    """Implementation of the adapters: bytemill's own, or that of the package peft, for comparison."""


class ClassifyConfig(Section):
    """Training of a classifier."""

    train_layers: Literal["head", "last_block", "all"] = "last_block"
    """Which weights train when lora.r is 0; last_block also has the last norm and the head."""
    imbalance: Literal["none", "undersample", "weighted"] = "none"
    """undersample uses as many rows of each label as the rarest label has; weighted gives rare labels more weight."""
    names: dict[str, str] = Field(default_factory=dict)
    """Displayed names of classes, by their label in the rows, such as ham = "not spam"; others keep their label."""


class PreferenceConfig(Section):
    """The loss of preference tuning (Rafailov et al. 2023, "DPO")."""

    beta: float = Field(0.1, gt=0, le=1e6)
    """Penalty for moving away from the reference model; higher values stay closer."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Assumed fraction of pairs with swapped labels (conservative DPO)."""
    log_probabilities: Literal["sum", "mean"] = "sum"
    """How to combine the log-probabilities of an answer's tokens: sum, or mean, which is independent of its length."""


class SampleConfig(Section):
    """Text samples from the model during training."""

    prompts: tuple[str, ...] = ()
    """Prompts to continue; the task's own when empty."""
    max_new_tokens: int = Field(64, ge=1, le=1 << 24)
    """Number of tokens to sample per prompt."""
    temperature: float = Field(0.8, ge=0, le=1e6)
    """Sampling temperature; 0 always takes the most likely token."""
    top_k: int = Field(50, ge=0, le=1 << 24)
    """Sample only from the K most likely tokens; 0 allows all."""
    seed: int = Field(42, ge=0, le=_MOST_SEED)
    """Random seed for sampling."""


def refuse_wrong_split(data: DataConfig) -> None:
    """Refuse a split that is not three fractions that sum to 1, or that overlaps with a validation or test file."""
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
