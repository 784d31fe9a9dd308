"""Wrap any causal language model of transformers with the interface of our GPT-2.

The network is transformers' own. This module calls it for `model(ids, targets)`, hidden states with a cache, and a loss
that never stores all logits. If the head is a plain linear layer, the loss is computed from its weight. Otherwise (a
bias,
a soft cap, a scale) the network's own forward pass computes logits from slabs of hidden states. Both are tested once,
when the network is loaded.

Letters: B rows, T tokens, C width, V ids.
"""

from __future__ import annotations

import inspect
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bytemill.errors import ConfigError, DataError
from bytemill.files import move_into, naming_errors, refuse_output_in_checkpoint
from bytemill.model.config import refuse_absurd_sizes
from bytemill.model.head_of_network import has_plain_head, logits_by_network
from bytemill.model.loss import cross_entropy_sum, target_log_probabilities
from bytemill.model.weight_files import system_errors
from bytemill.targets import IGNORED_TARGET

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NETWORK_PREFIX", "TransformersCache", "TransformersCausal", "TransformersShape"]

NETWORK_PREFIX = "network."
"""Prefix of the names of transformers' modules in this wrapper only."""

_FORGOTTEN_SETTINGS = ("_name_or_path", "transformers_version", "_attn_implementation_autoset")
_UNLIMITED_POSITIONS = 1 << 20  # Bloom's ALiBi has no maximum length
_SLAB_BYTES = 96 << 20
"""Maximum fp32 logits at a time if the network's own forward pass computes them."""


@dataclass(frozen=True)
class TransformersShape:
    """The sizes of a model that the rest of bytemill uses."""

    vocab_size: int
    n_positions: int
    n_embd: int


class TransformersCausal(nn.Module):
    """A `…ForCausalLM` of transformers: takes ids, returns logits or the loss.

    Args:
        network: A PreTrainedModel in fp32, with its own configuration.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        settings = self.network.config.get_text_config()
        self.config = TransformersShape(
            vocab_size=settings.vocab_size,
            n_positions=int(getattr(settings, "max_position_embeddings", 0) or _UNLIMITED_POSITIONS),
            n_embd=settings.hidden_size,
        )
        self._base_name = self._name_of_base()
        self._cache_name = self._name_of_cache()
        self._head_is_plain = True
        self.note_untied_head()
        self.eval()  # as for a network that transformers loaded
        self._try_out()

    @staticmethod
    def from_settings(settings: Mapping[str, Any]) -> TransformersCausal:
        """Return a network with random weights from the result of `settings()`.

        Raises:
            ConfigError: transformers is not installed, or has no causal language model of this type.
        """
        transformers = _transformers()
        kind = settings.get("model_type")
        refuse_absurd_sizes(settings, "config.json of the checkpoint")
        try:
            config = transformers.AutoConfig.for_model(**settings)
            network = transformers.AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, trust_remote_code=False
            )
        except (ValueError, TypeError) as error:
            raise ConfigError(f"model_type {kind!r} is not a causal language model in transformers: {error}") from None
        return TransformersCausal(network)

    def settings(self) -> dict[str, Any]:
        """Return the network's configuration as JSON data, without versions and paths."""
        given = self.network.config.to_dict()
        return {name: value for name, value in given.items() if name not in _FORGOTTEN_SETTINGS}

    def save_huggingface(self, folder: str | Path, *, end_of_text_id: int | None = None) -> None:
        """Write the network in transformers' format; adapters must be merged first."""
        refuse_output_in_checkpoint(folder)
        if end_of_text_id is not None:
            self.network.config.eos_token_id = end_of_text_id
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bytemill-") as aside:
            with naming_errors(folder / "model.safetensors"), system_errors():
                self.network.save_pretrained(aside)
            for path in sorted(Path(aside).iterdir(), reverse=True):  # the weights first, then config.json
                move_into(path, folder)

    @property
    def checkpoints_activations(self) -> bool:
        """Whether blocks are computed again in the backward pass instead of kept."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.network.modules())

    @checkpoints_activations.setter
    def checkpoints_activations(self, wanted: bool) -> None:
        if wanted:
            self._switch_checkpointing("enable")({"use_reentrant": False})
        elif self.checkpoints_activations:
            self._switch_checkpointing("disable")()

    def _switch_checkpointing(self, verb: Literal["enable", "disable"]) -> Any:
        """Switch checkpointing with the network's method; newer transformers warn about the second name."""
        names = (f"activation_checkpointing_{verb}", f"gradient_checkpointing_{verb}")
        return getattr(self.network, next(name for name in names if hasattr(self.network, name)))

    def forward(
        self,
        ids: Tensor,
        targets: Tensor | None = None,
        *,
        reduction: Literal["mean", "sum", "rows"] = "mean",
        cache: TransformersCache | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return (logits, None) without targets, (None, loss) with targets; see `bytemill.model.GPT2`.

        Args:
            ids: (B, T) integers in [0, V).
            targets: (B, T), the next id of each position, or -100 to ignore it.
            reduction: "mean" over the targets, "sum", or "rows" for the sum of each row, (B,).
            cache: the earlier tokens; these tokens are added to it.
        """
        if targets is None:
            return self.logits(self.hidden_states(ids, cache=cache)), None
        if reduction == "rows":
            return None, -self.row_log_probabilities(ids, targets)
        loss_sum, n_targets = self.loss_sum(ids, targets)
        return None, loss_sum if reduction == "sum" else loss_sum / n_targets.clamp(min=1)

    def loss_sum(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summed loss and the number of targets, both scalars."""
        if targets.shape != ids.shape:
            raise DataError(f"targets have shape {tuple(targets.shape)}, ids {tuple(ids.shape)}: must be equal")
        flat_targets, hidden = targets.flatten(), self.hidden_states(ids).flatten(0, 1)
        n_targets = (flat_targets != IGNORED_TARGET).sum()
        weight = self._plain_weight()
        if weight is not None:
            return cross_entropy_sum(hidden, weight, flat_targets, n_classes=weight.shape[0]), n_targets
        return -self._in_slabs(hidden, flat_targets).sum(), n_targets

    def row_log_probabilities(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return (B,) in fp32: the log-probability of each row's targets."""
        if targets.shape != ids.shape:
            raise DataError(f"targets have shape {tuple(targets.shape)}, ids {tuple(ids.shape)}: must be equal")
        asked = targets != IGNORED_TARGET  # (B, T)
        hidden = self.hidden_states(ids)[asked]
        weight = self._plain_weight()
        if weight is not None:
            values = target_log_probabilities(hidden, weight, targets[asked], n_classes=weight.shape[0])
        else:
            values = self._in_slabs(hidden, targets[asked])
        return values.new_zeros(asked.shape).masked_scatter(asked, values).sum(dim=1)

    def hidden_states(self, ids: Tensor, *, cache: TransformersCache | None = None) -> Tensor:
        """Return the hidden states (B, T, C) of ids (B, T), which the head reads."""
        if cache is None:
            found: Tensor = self._base(input_ids=ids, use_cache=False).last_hidden_state
            return found
        if cache.ids_again is not None:
            cache.ids_again = torch.cat([cache.ids_again, ids], dim=1)
            cache.store(None, ids.shape[1])
            return self.hidden_states(cache.ids_again)[:, -ids.shape[1] :]
        output = self._base(input_ids=ids, use_cache=True, **{self._cache_name: cache.past})
        past = output.get(self._cache_name)
        cache.store(past, ids.shape[1])
        cache.ids_again = ids if past is None else None
        hidden: Tensor = output.last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute (…, C) -> (…, V)."""
        if self._head_is_plain:
            plain: Tensor = self.get_output_embeddings()(hidden)
            return plain
        logits = logits_by_network(self.network, self._base_name, hidden.flatten(0, -2))
        return logits.reshape(*hidden.shape[:-1], -1)

    def new_cache(self, n_positions: int | None = None) -> TransformersCache:
        """Return an empty cache; `n_positions` is ignored, because transformers' caches grow by themselves."""
        del n_positions
        return TransformersCache()

    def get_output_embeddings(self) -> Any:
        """Return the head."""
        return self.network.get_output_embeddings()

    def n_parameters(self) -> int:
        """Return the number of parameters; tied ones count once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self, seq_len: int) -> float:
        """Return 6 per multiplied weight; attention's part depends on the architecture and is left out."""
        del seq_len
        looked_up = self.network.get_input_embeddings().weight
        tied = looked_up is _weight(self.get_output_embeddings())
        return 6.0 * (self.n_parameters() - (0 if tied else looked_up.numel()))

    def hidden_matrices(self) -> list[nn.Parameter]:
        """Return the matrices between embeddings and head."""
        outside = {id(_weight(m)) for m in (self.network.get_input_embeddings(), self.get_output_embeddings())}
        linears = [m for m in self._base.modules() if isinstance(m, nn.Linear)]
        weights = [m.weight for m in linears if isinstance(m.weight, nn.Parameter)]
        return [weight for weight in weights if id(weight) not in outside]

    def _plain_weight(self) -> Tensor | None:
        """Return the head's weight if it alone computes the logits; None if not, or if the head has an adapter."""
        head = self.get_output_embeddings()
        return head.weight if self._head_is_plain and type(head) is nn.Linear else None

    def _in_slabs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the log-probabilities of the targets, (N, C) and (N,) to (N,) in fp32, and 0 for -100.

        Only one slab of logits exists at a time; they are computed again in the backward pass.
        """
        n_rows = max(1, _SLAB_BYTES // (4 * self.config.vocab_size))
        slabs = zip(torch.split(hidden, n_rows), torch.split(targets, n_rows), strict=True)
        parts = [checkpoint(self._log_probabilities, *slab, use_reentrant=False) for slab in slabs]
        return torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.float32)

    def _log_probabilities(self, hidden: Tensor, targets: Tensor) -> Tensor:
        logits = self.logits(hidden).float()
        return -F.cross_entropy(logits, targets, ignore_index=IGNORED_TARGET, reduction="none")

    @property
    def _base(self) -> Any:
        """The network without its head."""
        return getattr(self.network, self._base_name)

    def _name_of_base(self) -> str:
        """Return the name of the network's child that computes the hidden states."""
        for name in (self.network.base_model_prefix, "model", "transformer"):  # Llama 4's prefix is not a child
            if name in self.network._modules:
                return str(name)
        raise ConfigError(f"{type(self.network).__name__}: has no base model that returns hidden states")

    def _name_of_cache(self) -> str:
        """Return the network's argument name for its cache; older transformers have another name."""
        known = inspect.signature(self._base.forward).parameters
        return "cache" if "cache" in known else "past_key_values"

    def note_untied_head(self) -> None:
        """Correct the settings if the weights have an untied head and config.json says tied."""
        looked_up, head = self.network.get_input_embeddings(), self.get_output_embeddings()
        says_tied = getattr(self.network.config, "tie_word_embeddings", False) and self.network._tied_weights_keys
        if says_tied and head is not None and _weight(head) is not _weight(looked_up):
            self.network.config.tie_word_embeddings = False

    @torch.no_grad()
    def _try_out(self) -> None:
        """Find how the network computes logits, and check that they depend on its base's last hidden states.

        Raises:
            ConfigError: They do not, or the network needs other inputs than ids.
        """
        if self.network.get_input_embeddings().weight.is_meta:
            return
        ids = torch.arange(min(4, self.config.vocab_size), device=next(self.parameters()).device)[None]
        kind = type(self.network).__name__
        try:
            self._head_is_plain = has_plain_head(self.network, self._base_name)
            expected = self.network(input_ids=ids, use_cache=False).logits
            given = self.logits(self.hidden_states(ids))
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{kind}: cannot be used as a causal language model: {reason}") from None
        if given.shape != expected.shape or not torch.allclose(given, expected, atol=1e-4, rtol=1e-4, equal_nan=True):
            raise ConfigError(f"{kind}: its logits are not computed from its base model's hidden states")


class TransformersCache:
    """Keys and values in transformers' form, with the interface of our cache."""

    def __init__(self) -> None:
        self.past: Any = None
        self.length = 0
        """Number of tokens seen."""
        self.ids_again: Tensor | None = None
        """(B, length): all ids so far, for a network without a cache, which reads them again for each token."""

    def store(self, past: Any, n_tokens: int) -> None:
        """Store the network's cache after `n_tokens` more tokens."""
        self.past = past
        self.length += n_tokens

    def clear(self) -> None:
        """Forget all tokens."""
        self.past, self.length, self.ids_again = None, 0, None


def _weight(module: Any) -> Tensor:
    """Return a module's weight, or the weight of the base layer under its adapter."""
    weight: Tensor = getattr(module, "base_layer", module).weight
    return weight


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise ConfigError("this model needs the package transformers: pip install 'bytemill[hf]'") from None
    return transformers
