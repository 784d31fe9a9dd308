"""The settings of a LoRA adapter, with PEFT's names and without torch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from bytemill._core import matches_whole
from bytemill.errors import ArgumentError, ConfigError

__all__ = ["LoraConfig"]

Value = TypeVar("Value")

_LATER_FIELDS = ("rank_pattern", "alpha_pattern", "modules_to_save")  # omitted if empty, as in earlier versions


class LoraConfig(BaseModel):
    """The modules that get a low-rank update, and its size.

    A wrong value raises `ConfigError`, whose text names the field.

    >>> LoraConfig(r=4, lora_alpha=16, target_modules=["c_attn"]).scaling
    4.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    r: int = Field(8, gt=0)
    """Rank of the update."""

    lora_alpha: int | float = Field(16, gt=0)
    """The update is multiplied by lora_alpha / r, so that r can change without a new learning rate."""

    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the input of A; the base layer's input has none."""

    target_modules: tuple[str, ...] | str
    """Module names or their last parts. Or one text: a regular expression that must match a full name, a last part if
    it
    matches no full name, or "all-linear": every linear layer except the output head."""

    bias: Literal["none", "lora_only", "all"] = "none"
    """Which biases train too: none, those of the targeted modules, or all in the model."""

    use_rslora: bool = False
    """Whether to scale by lora_alpha / sqrt(r), so that high ranks learn as fast as low ones (Kalajdzievski 2023)."""

    use_dora: bool = False
    """Whether to train the length of each row of the weight separately from its direction (Liu et al. 2024)."""

    rank_pattern: dict[str, PositiveInt] = Field(default_factory=dict)
    """Ranks other than `r`: regular expression -> rank. It must match the end of a module's name, from the name's
    beginning or after a dot; the first match is used."""

    alpha_pattern: dict[str, PositiveInt | PositiveFloat] = Field(default_factory=dict)
    """Values other than `lora_alpha`, by patterns as in `rank_pattern`."""

    modules_to_save: tuple[str, ...] = ()
    """Names, or last parts, of modules that train in full and are saved with the adapter, such as a head."""

    if not TYPE_CHECKING:  # the type checker keeps pydantic's own signature, with its field names

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                fault = error.errors()[0]
                raise ConfigError(f"{fault['loc'][0]}: {fault['msg']}, got {fault['input']!r}") from None

    @property
    def scaling(self) -> float:
        """The factor of the product BA, if no pattern applies."""
        return self.scaling_of(())

    @property
    def changes_base(self) -> bool:
        """Whether parameters of the base train, so that the original base is not available any more."""
        return self.bias != "none" or bool(self.modules_to_save)

    def rank_of(self, names: Sequence[str]) -> int:
        r"""Return the rank of the update of a module with these names.

        >>> LoraConfig(r=4, target_modules=["c_attn"], rank_pattern={r"h\.0\..*": 2}).rank_of(["h.0.attn.c_attn"])
        2
        """
        return _first_match(self.rank_pattern, names, self.r, "rank_pattern")

    def alpha_of(self, names: Sequence[str]) -> float:
        """Return `lora_alpha` for a module with these names."""
        return _first_match(self.alpha_pattern, names, self.lora_alpha, "alpha_pattern")

    def scaling_of(self, names: Sequence[str]) -> float:
        """Return the factor of the product BA for a module with these names."""
        rank = self.rank_of(names)
        return self.alpha_of(names) / (rank**0.5 if self.use_rslora else rank)

    @model_serializer(mode="wrap")
    def _without_empty_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value or name not in _LATER_FIELDS}


def _first_match(patterns: Mapping[str, Value], names: Sequence[str], default: Value, setting: str) -> Value:
    """Return the first matching pattern, as peft's `get_pattern_key` does, with a time limit for hostile patterns."""
    for pattern, value in patterns.items():
        try:
            if any(matches_whole(rf"(.*\.)?({pattern})", list(names))):
                return value
        except ArgumentError as error:
            raise ConfigError(f"{setting}: {error}") from None
    return default
