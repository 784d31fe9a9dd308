"""The settings of a LoRA adapter, under PEFT's names; no torch here."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bytemill.errors import ConfigError

__all__ = ["LoraConfig"]


class LoraConfig(BaseModel):
    """Which modules get a low-rank update, and how large it is.

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
    """Dropout on what goes into A; the base sees everything."""

    target_modules: tuple[str, ...] | str
    """Module names or their last parts; or a regular expression that a whole name must match; or
    "all-linear": every linear layer but the output head."""

    bias: Literal["none", "lora_only", "all"] = "none"
    """Which biases train along: no one's, those of the targeted modules, or all in the model."""

    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r), so that high ranks learn as fast as low ones (Kalajdzievski 2023)."""

    use_dora: bool = False
    """Learn the length of each row of the weight apart from its direction (Liu et al. 2024)."""

    if not TYPE_CHECKING:  # the type checker keeps pydantic's own signature, with its field names

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                fault = error.errors()[0]
                raise ConfigError(f"{fault['loc'][0]}: {fault['msg']}, got {fault['input']!r}") from None

    @property
    def scaling(self) -> float:
        """What the product BA is multiplied by."""
        return self.lora_alpha / (self.r**0.5 if self.use_rslora else self.r)
