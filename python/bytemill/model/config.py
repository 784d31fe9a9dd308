"""The configuration of a GPT-2 as plain data, without torch.

The fields carry transformers' names, so a `config.json` from the hub reads like ours. Two fields are our own:
`qkv_bias`, and `pad_vocab_to`, which rounds the embedding table up to a size that suits matrix units. Fields added
later have defaults that keep older models unchanged; see `with_added_fields`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bytemill.errors import ConfigError

__all__ = ["GPT2Config", "GPT2Name", "refuse_absurd_sizes", "with_added_fields"]

# Sizes above those of any model: a damaged or hostile config.json is refused before memory is allocated.
MAX_LAYERS = 1_000
MAX_WIDTH = 1 << 17
MAX_POSITIONS = 1 << 24
MAX_VOCAB = 1 << 24  # the limit of the core's tokenizers
_MOST = {
    **dict.fromkeys(("n_layer", "n_layers", "num_layers", "num_hidden_layers"), MAX_LAYERS),
    **dict.fromkeys(("n_embd", "hidden_size", "d_model", "n_head", "num_attention_heads", "head_dim"), MAX_WIDTH),
    **dict.fromkeys(("n_inner", "intermediate_size", "ffn_dim", "num_key_value_heads"), 4 * MAX_WIDTH),
    **dict.fromkeys(("n_positions", "max_position_embeddings"), MAX_POSITIONS),
    "vocab_size": MAX_VOCAB,
}

GPT2Name = Literal["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"]


class GPT2Config(BaseModel):
    """The settings that determine the tensors and the arithmetic of a GPT-2.

    A wrong value raises `ConfigError`, whose text names the field.

    >>> GPT2Config.named("gpt2", n_layer=2).padded_vocab_size
    50304
    >>> GPT2Config(n_embd=100, n_head=12)
    Traceback (most recent call last):
    bytemill.errors.ConfigError: n_embd: 100 cannot be divided into 12 heads (n_head)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    vocab_size: int = Field(50_257, gt=0, le=MAX_VOCAB)
    """Number of ids of the tokenizer; all input and output ids are below it."""

    n_positions: int = Field(1_024, gt=0, le=MAX_POSITIONS)
    """Context length in tokens."""

    n_embd: int = Field(768, gt=0, le=MAX_WIDTH)
    """Width of the residual stream; a multiple of `n_head`."""

    n_layer: int = Field(12, gt=0, le=MAX_LAYERS)
    """Number of blocks."""

    n_head: int = Field(12, gt=0, le=MAX_WIDTH)
    """Attention heads per block."""

    n_inner: int | None = Field(None, gt=0, le=4 * MAX_WIDTH)
    """Width inside the MLP; None means 4 * n_embd."""

    layer_norm_epsilon: float = Field(1e-5, gt=0)
    """Epsilon that each layer norm adds to the variance."""

    initializer_range: float = Field(0.02, gt=0)
    """Standard deviation of initial weights."""

    embd_pdrop: float = Field(0.0, ge=0, lt=1)
    """Dropout on the summed embeddings. All three are 0 by default, not GPT-2's 0.1: in pretraining each
    token is seen about once, so overfitting is not a risk; fine-tuning on a few rows may need 0.1."""

    attn_pdrop: float = Field(0.0, ge=0, lt=1)
    """Dropout on the attention weights."""

    resid_pdrop: float = Field(0.0, ge=0, lt=1)
    """Dropout on the outputs of attention and MLP, before they are added to the residual stream."""

    qkv_bias: bool = True
    """Whether queries, keys and values have biases, as GPT-2's do."""

    pad_vocab_to: int = Field(64, gt=0, le=MAX_WIDTH)
    """The number of rows of the embedding table is rounded up to a multiple of this; 1 means no padding. Rows from
    `vocab_size` on are never sampled and add no loss."""

    activation_function: Literal["gelu_new", "gelu"] = "gelu_new"
    """GELU in the MLP: "gelu_new" is the tanh form that GPT-2 was trained with, "gelu" is exact, as in nanoGPT."""

    tie_word_embeddings: bool = True
    """Whether the token embedding is also the output head, as in GPT-2. False gives the head its own table."""

    if not TYPE_CHECKING:  # the type checker keeps pydantic's own signature, with its field names

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise ConfigError(_first_fault(error)) from None

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd: {self.n_embd} cannot be divided into {self.n_head} heads (n_head)")
        return self

    @classmethod
    def named(cls, name: GPT2Name, **overrides: Any) -> Self:
        """Return the configuration of one of the four published models, with some fields changed.

        >>> GPT2Config.named("gpt2-xl").n_layer
        48
        """
        if name not in _NAMED:
            raise ConfigError(f"name: there is no GPT-2 named {name!r}; the names are {', '.join(_NAMED)}")
        return cls(**{**_NAMED[name], **overrides})

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding table: `vocab_size` rounded up to a multiple of `pad_vocab_to`."""
        return -(-self.vocab_size // self.pad_vocab_to) * self.pad_vocab_to

    def n_parameters(self) -> int:
        """Return the number of parameters, with padded rows and with a tied table counted once, without making tensors.

        >>> GPT2Config.named("gpt2", pad_vocab_to=1).n_parameters()
        124439808
        """
        width, inner = self.n_embd, self.inner_width
        block = 4 * width * width + 2 * width * inner + (9 if self.qkv_bias else 6) * width + inner
        n_tables = 1 if self.tie_word_embeddings else 2
        return (n_tables * self.padded_vocab_size + self.n_positions) * width + self.n_layer * block + 2 * width

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.n_embd // self.n_head

    @property
    def inner_width(self) -> int:
        """Width of the hidden layer of the MLP."""
        return self.n_inner or 4 * self.n_embd


# Radford et al. 2019, table 2; the parameter counts there (117M, 345M, …) were later corrected.
_NAMED: dict[str, dict[str, int]] = {
    "gpt2": {"n_layer": 12, "n_head": 12, "n_embd": 768},  # 124M parameters
    "gpt2-medium": {"n_layer": 24, "n_head": 16, "n_embd": 1_024},  # 355M
    "gpt2-large": {"n_layer": 36, "n_head": 20, "n_embd": 1_280},  # 774M
    "gpt2-xl": {"n_layer": 48, "n_head": 25, "n_embd": 1_600},  # 1,558M
}


def refuse_absurd_sizes(settings: Mapping[str, Any], source: object) -> None:
    """Raise ConfigError if a config.json, of any architecture, has a size that no model has.

    Raises:
        ConfigError: A size is above its limit; the message names it.

    >>> refuse_absurd_sizes({"hidden_size": 10**9}, "config.json")
    Traceback (most recent call last):
    bytemill.errors.ConfigError: config.json: hidden_size is 1000000000, expected at most 131072
    """
    for name, value in settings.items():
        if isinstance(value, dict):
            refuse_absurd_sizes(value, source)
        elif isinstance(value, int) and value > _MOST.get(name, value):
            raise ConfigError(f"{source}: {name} is {value}, expected at most {_MOST[name]}")


_ADDED_FIELDS = ("activation_function", "tie_word_embeddings")  # config.json of earlier versions lacks them


def with_added_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config.json of our GPT-2 with default values for fields that earlier versions did not write.

    >>> with_added_fields({"format": "bytemill-gpt2", "n_layer": 2})["activation_function"]
    'gelu_new'
    """
    if fields.get("format") != "bytemill-gpt2":
        return dict(fields)
    return {**{name: GPT2Config.model_fields[name].default for name in _ADDED_FIELDS}, **fields}


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    if fault["type"] == "extra_forbidden":
        return f"{fault['loc'][0]}: no such field; there are {', '.join(GPT2Config.model_fields)}"
    return f"{fault['loc'][0]}: {message}, got {fault['input']!r}"
