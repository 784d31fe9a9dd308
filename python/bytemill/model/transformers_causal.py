"""Any causal language model of transformers with the interface of our GPT-2.

The network is transformers' own. This module only calls it: `model(ids, targets)`, hidden states with a cache, and a
loss that never holds all logits. Where the head is a plain linear layer the loss is computed from its weight;
elsewhere (a bias, a soft cap, a scale) the network's own forward pass turns slabs of hidden states into logits.
Both are tried out once, when the network is loaded.

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
"""What the names of transformers' modules begin with in here, and nowhere else."""

_FORGOTTEN_SETTINGS = ("_name_or_path", "transformers_version", "_attn_implementation_autoset")
_UNLIMITED_POSITIONS = 1 << 20  # Bloom's ALiBi knows no longest text
_SLAB_BYTES = 96 << 20
"""fp32 logits that may exist at a time where the network's own forward pass makes them."""


@dataclass(frozen=True)
class TransformersShape:
    """What the rest of bytemill asks about a model's size."""

    vocab_size: int
    n_positions: int
    n_embd: int


class TransformersCausal(nn.Module):
    """A `…ForCausalLM` of transformers: ids in, logits or loss out.

    Args:
        network: A PreTrainedModel in fp32; its own configuration says what it is.
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
        self.eval()  # as transformers gives a network that it has read
        self._try_out()

    @staticmethod
    def from_settings(settings: Mapping[str, Any]) -> TransformersCausal:
        """A network with random weights from what `settings()` gave.

        Raises:
            ConfigError: transformers is not installed, or knows no causal language model of this kind.
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
        """The network's configuration as JSON data, without what tells of a version or a place."""
        given = self.network.config.to_dict()
        return {name: value for name, value in given.items() if name not in _FORGOTTEN_SETTINGS}

    def save_huggingface(self, folder: str | Path, *, end_of_text_id: int | None = None) -> None:
        """Write the network as transformers writes it; adapters must be merged into it before."""
        refuse_output_in_checkpoint(folder)
        if end_of_text_id is not None:
            self.network.config.eos_token_id = end_of_text_id
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".bytemill-") as aside:
            with naming_errors(folder / "model.safetensors"), system_errors():
                self.network.save_pretrained(aside)
            for path in sorted(Path(aside).iterdir(), reverse=True):  # the weights first, config.json later
                move_into(path, folder)

    @property
    def checkpoints_activations(self) -> bool:
        """Whether blocks are computed again on the way back instead of kept."""
        return any(getattr(module, "gradient_checkpointing", False) for module in self.network.modules())

    @checkpoints_activations.setter
    def checkpoints_activations(self, wanted: bool) -> None:
        if wanted:
            self._switch_checkpointing("enable")({"use_reentrant": False})
        elif self.checkpoints_activations:
            self._switch_checkpointing("disable")()

    def _switch_checkpointing(self, verb: Literal["enable", "disable"]) -> Any:
        """The network's method; newer transformers have the first name, and warn about the second."""
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
        """Give (logits, None) without targets, (None, loss) with them; see `bytemill.model.GPT2`.

        Args:
            ids: (B, T) integers in [0, V).
            targets: (B, T), what should follow each id, or -100 where nothing is asked.
            reduction: "mean" over the targets, "sum", or "rows" for the sum of each row, (B,).
            cache: tokens seen before these; these are added to it.
        """
        if targets is None:
            return self.logits(self.hidden_states(ids, cache=cache)), None
        if reduction == "rows":
            return None, -self.row_log_probabilities(ids, targets)
        loss_sum, n_targets = self.loss_sum(ids, targets)
        return None, loss_sum if reduction == "sum" else loss_sum / n_targets.clamp(min=1)

    def loss_sum(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Give the summed loss and how many targets it sums over, both scalars."""
        if targets.shape != ids.shape:
            raise DataError(f"targets have shape {tuple(targets.shape)}, ids {tuple(ids.shape)}: must be equal")
        flat_targets, hidden = targets.flatten(), self.hidden_states(ids).flatten(0, 1)
        n_targets = (flat_targets != IGNORED_TARGET).sum()
        weight = self._plain_weight()
        if weight is not None:
            return cross_entropy_sum(hidden, weight, flat_targets, n_classes=weight.shape[0]), n_targets
        return -self._in_slabs(hidden, flat_targets).sum(), n_targets

    def row_log_probabilities(self, ids: Tensor, targets: Tensor) -> Tensor:
        """(B,) in fp32: the log-probability of each row's targets together."""
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
        """Ids (B, T) to what the head reads, (B, T, C)."""
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
        """(…, C) -> (…, V)."""
        if self._head_is_plain:
            plain: Tensor = self.get_output_embeddings()(hidden)
            return plain
        logits = logits_by_network(self.network, self._base_name, hidden.flatten(0, -2))
        return logits.reshape(*hidden.shape[:-1], -1)

    def new_cache(self, n_positions: int | None = None) -> TransformersCache:
        """An empty cache; transformers' grow by themselves, so `n_positions` only is here to be like ours."""
        del n_positions
        return TransformersCache()

    def get_output_embeddings(self) -> Any:
        """The head."""
        return self.network.get_output_embeddings()

    def n_parameters(self) -> int:
        """Count the model's numbers, tied ones once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self, seq_len: int) -> float:
        """6 a weight that is multiplied; attention's share, which depends on the architecture, is left out."""
        del seq_len
        looked_up = self.network.get_input_embeddings().weight
        tied = looked_up is _weight(self.get_output_embeddings())
        return 6.0 * (self.n_parameters() - (0 if tied else looked_up.numel()))

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices between embeddings and head."""
        outside = {id(_weight(m)) for m in (self.network.get_input_embeddings(), self.get_output_embeddings())}
        linears = [m for m in self._base.modules() if isinstance(m, nn.Linear)]
        weights = [m.weight for m in linears if isinstance(m.weight, nn.Parameter)]
        return [weight for weight in weights if id(weight) not in outside]

    def _plain_weight(self) -> Tensor | None:
        """The head's weight, if it alone makes logits of hidden states; not where an adapter has replaced the head."""
        head = self.get_output_embeddings()
        return head.weight if self._head_is_plain and type(head) is nn.Linear else None

    def _in_slabs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities of the targets, (N, C) and (N,) to (N,) in fp32, and 0 for -100.

        Only a slab of logits exists at a time: they are computed again on the way back.
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
        """Name of the child of the network that makes the hidden states."""
        for name in (self.network.base_model_prefix, "model", "transformer"):  # Llama 4's prefix names no child
            if name in self.network._modules:
                return str(name)
        raise ConfigError(f"{type(self.network).__name__}: has no base model that returns hidden states")

    def _name_of_cache(self) -> str:
        """How the network names what it keeps of tokens it saw: `cache`, or as older transformers do."""
        known = inspect.signature(self._base.forward).parameters
        return "cache" if "cache" in known else "past_key_values"

    def note_untied_head(self) -> None:
        """Make the settings say so where the weights have another head than config.json promised."""
        looked_up, head = self.network.get_input_embeddings(), self.get_output_embeddings()
        says_tied = getattr(self.network.config, "tie_word_embeddings", False) and self.network._tied_weights_keys
        if says_tied and head is not None and _weight(head) is not _weight(looked_up):
            self.network.config.tie_word_embeddings = False

    @torch.no_grad()
    def _try_out(self) -> None:
        """Find out how the network makes logits, and that they are made of its base's last hidden states.

        Raises:
            ConfigError: They are not, or the network takes no ids alone.
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
    """Keys and values as transformers keeps them, with our cache's face."""

    def __init__(self) -> None:
        self.past: Any = None
        self.length = 0
        """Tokens seen."""
        self.ids_again: Tensor | None = None
        """(B, length): all ids so far, for a network that returns no cache; it reads them again for each token."""

    def store(self, past: Any, n_tokens: int) -> None:
        """Keep what the network gave back after `n_tokens` more."""
        self.past = past
        self.length += n_tokens

    def clear(self) -> None:
        """Forget everything."""
        self.past, self.length, self.ids_again = None, 0, None


def _weight(module: Any) -> Tensor:
    """A module's weight, or that of the base under its adapter."""
    weight: Tensor = getattr(module, "base_layer", module).weight
    return weight


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise ConfigError("this model needs the package transformers: pip install 'bytemill[hf]'") from None
    return transformers
