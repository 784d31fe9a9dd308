"""The GPT-2 network: token and position embeddings, pre-norm blocks, and the embedding table again as head.

    x = token_embedding[ids] + position_embedding[0 … T - 1]                 (B, T, C)
    for each block:
        x = x + attention(norm(x))
        x = x + mlp(norm(x))
    logits = final_norm(x) @ token_embedding.T                               (B, T, V)

Letters: B rows, T tokens, C width (n_embd), V ids (vocab_size). On a first reading, read `Block`, `MLP`, and in `GPT2`
`hidden_states` and `logits`, and skip what they say of the cache, documents and checkpointing.

After Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". The head has no weights of
its own: it is the transposed token embedding, and so it is not a module. Only an imported model whose head has other
weights (`tie_word_embeddings=False`) has a separate table for it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bytemill.errors import ConfigError, DataError
from bytemill.model.attention import CausalSelfAttention
from bytemill.model.documents import Documents
from bytemill.model.loss import cross_entropy_sum, target_log_probabilities
from bytemill.system.memory import total_memory
from bytemill.targets import IGNORED_TARGET

if TYPE_CHECKING:
    from pathlib import Path

    from bytemill.model.cache import AnyCache, KeyValueCache, RowsCache
    from bytemill.model.config import GPT2Config

__all__ = ["GPT2", "MLP", "Block"]


class Block(nn.Module):
    """One layer: x + attention(norm(x)), then x + mlp(norm(x)); (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attention = CausalSelfAttention(config)
        self.mlp_norm = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)

    def forward(
        self, x: Tensor, cache: AnyCache | None = None, layer: int = 0, documents: Documents | None = None
    ) -> Tensor:
        """Add the output of attention, then the output of the MLP."""
        x = x + self.attention(self.attention_norm(x), cache, layer, documents)
        after_mlp: Tensor = x + self.mlp(self.mlp_norm(x))
        return after_mlp


class MLP(nn.Module):
    """The MLP, applied to each token: widen, GELU (the tanh form that GPT-2 was trained with, or exact), narrow."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.expand = nn.Linear(config.n_embd, config.inner_width)
        self.contract = nn.Linear(config.inner_width, config.n_embd)
        self.residual_dropout = nn.Dropout(config.resid_pdrop)
        self.activation = F.gelu if config.activation_function == "gelu" else _tanh_gelu

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, T, C) -> (B, T, C)."""
        narrowed: Tensor = self.residual_dropout(self.contract(self.activation(self.expand(x))))
        return narrowed


class GPT2(nn.Module):
    """A GPT-2 language model: takes ids, returns logits or the loss.

    >>> from bytemill.model.config import GPT2Config
    >>> model = GPT2(GPT2Config(vocab_size=100, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> model(ids)[0].shape
    torch.Size([1, 3, 100])
    >>> model(ids[:, :-1], targets=ids[:, 1:])[1].shape
    torch.Size([])
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        _refuse_beyond_memory(config)
        self.config = config
        self.token_embedding = nn.Embedding(config.padded_vocab_size, config.n_embd)
        self.position_embedding = nn.Embedding(config.n_positions, config.n_embd)
        self.embedding_dropout = nn.Dropout(config.embd_pdrop)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.final_norm = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.head: nn.Embedding | None = None
        """The head's table, if it is not the token embedding. It is not a linear layer, so it gets no adapter."""
        if not config.tie_word_embeddings:
            self.head = nn.Embedding(config.padded_vocab_size, config.n_embd)
        self.checkpoints_activations = False
        """Whether training keeps only the input of each block and computes the rest again in the backward pass. This
        costs a third more arithmetic and saves the memory of activations inside blocks (Chen et al. 2016)."""
        self._initialize()

    @staticmethod
    def from_huggingface(path_or_repo: str | Path, **overrides: Any) -> GPT2:
        """Read a GPT-2 in Hugging Face's form; see `bytemill.model.huggingface.from_huggingface`."""
        from bytemill.model.huggingface import from_huggingface

        return from_huggingface(GPT2, path_or_repo, **overrides)

    def save_huggingface(self, folder: str | Path, *, end_of_text_id: int | None = None) -> None:
        """Write config.json and model.safetensors as transformers' GPT2LMHeadModel reads them."""
        from bytemill.model.huggingface import save_huggingface

        save_huggingface(self, folder, end_of_text_id=end_of_text_id)

    def forward(
        self,
        ids: Tensor,
        targets: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        *,
        reduction: Literal["mean", "sum", "rows"] = "mean",
        cache: AnyCache | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return (logits, None) without targets, (None, loss) with targets.

        Args:
            ids: (B, T) integers in [0, V).
            targets: (B, T), the next id of each position, or -100 to ignore it. If all are ignored, the loss is 0.
            cu_seqlens: the starts of documents among the B x T ids, to keep attention within them; see
                `bytemill.model.documents`. By default a row is one document.
            reduction: "mean" over the targets; "sum" over the targets, for a step of several micro-batches, whose sums
                the step adds up and divides once; or "rows", one sum per row, for tasks that compare rows.
            cache: the earlier tokens; these tokens are added to it.

        Returns:
            Logits (B, T, V), without the padded ids; or the loss in nats (per token for the mean), a scalar or (B,).
        """
        if targets is None:
            return self.logits(self.hidden_states(ids, cu_seqlens, cache=cache)), None
        if reduction == "rows":
            return None, -self.row_log_probabilities(ids, targets)
        loss_sum, n_targets = self.loss_sum(ids, targets, cu_seqlens)
        return None, loss_sum if reduction == "sum" else loss_sum / n_targets.clamp(min=1)

    def loss_sum(self, ids: Tensor, targets: Tensor, cu_seqlens: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the summed loss and the number of targets, both scalars."""
        self._check_targets(ids, targets)
        hidden, flat_targets = self.hidden_states(ids, cu_seqlens).flatten(0, 1), targets.flatten()
        loss = cross_entropy_sum(hidden, self.head_weight, flat_targets, n_classes=self.config.vocab_size)
        return loss, (flat_targets != IGNORED_TARGET).sum()

    def row_log_probabilities(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return (B,) in fp32: the sum of the log-probabilities of each row's targets. Only targets get logits."""
        self._check_targets(ids, targets)
        asked = targets != IGNORED_TARGET  # (B, T), n of them true
        values = target_log_probabilities(
            self.hidden_states(ids)[asked],  # (n, C)
            self.head_weight,
            targets[asked],
            n_classes=self.config.vocab_size,
        )  # (n,)
        in_rows = values.new_zeros(asked.shape).masked_scatter(asked, values)  # (B, T): back in place, 0 elsewhere
        return in_rows.sum(dim=1)

    def hidden_states(self, ids: Tensor, cu_seqlens: Tensor | None = None, *, cache: AnyCache | None = None) -> Tensor:
        """Return the hidden states (B, T, C) of ids (B, T), which the head or a classifier reads."""
        self._check_range(ids, "ids")
        positions, documents = self._positions(ids, cu_seqlens, cache)
        x = self.embedding_dropout(self.token_embedding(ids) + self.position_embedding(positions))
        checkpoints = self.checkpoints_activations and self.training and torch.is_grad_enabled()
        for layer, block in enumerate(self.blocks):
            run = partial(checkpoint, block, use_reentrant=False) if checkpoints else block
            x = run(x, cache, layer, documents)  # (B, T, C)
        if cache is not None:
            cache.advance(ids.shape[1])
        normed: Tensor = self.final_norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute (…, C) -> (…, V): a score for every real id, none for padding."""
        # Multiply with the padded table, whose size suits the hardware, then cut off the padding.
        return F.linear(hidden, self.head_weight)[..., : self.config.vocab_size]

    @property
    def head_weight(self) -> Tensor:
        """The table of the head, (padded V, C): the token embedding's, or the head's own."""
        return self.token_embedding.weight if self.head is None else self.head.weight

    def untie_head(self) -> None:
        """Give the head its own copy of the token embedding's table, if it has none."""
        if self.head is None:
            table = self.token_embedding.weight.detach().clone()
            self.head = nn.Embedding(table.shape[0], table.shape[1], _weight=table)
            self.config = self.config.model_copy(update={"tie_word_embeddings": False})

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the head if it is a separate module."""
        return self.head

    def new_cache(self, n_positions: int | None = None) -> KeyValueCache:
        """Return an empty cache for `n_positions` tokens, by default for the whole context."""
        from bytemill.model.cache import KeyValueCache

        return KeyValueCache(self.config, n_positions)

    def new_rows_cache(self) -> RowsCache:
        """Return an empty cache for rows of different lengths."""
        from bytemill.model.cache import RowsCache

        return RowsCache(self.config)

    def n_parameters(self) -> int:
        """Return the number of parameters without padding: 124,439,808 for GPT-2 small."""
        n_tables = 1 if self.head is None else 2
        n_padding = n_tables * (self.config.padded_vocab_size - self.config.vocab_size) * self.config.n_embd
        return sum(parameter.numel() for parameter in self.parameters()) - n_padding

    def flops_per_token(self, seq_len: int) -> float:
        """Return the floating-point operations per token, forward and backward, in a sample of `seq_len` tokens.

        Each multiplied weight costs 6, and attention costs 12 * n_layer * n_embd * seq_len (Chowdhery et al., "PaLM",
        2022, appendix B). Position embeddings, and token embeddings that are not the head, are only looked up.
        """
        n_multiplied = self.n_parameters() - self.position_embedding.weight.numel()
        if self.head is not None:
            n_multiplied -= self.config.vocab_size * self.config.n_embd
        return 6.0 * n_multiplied + 12.0 * self.config.n_layer * self.config.n_embd * seq_len

    def hidden_matrices(self) -> list[nn.Parameter]:
        """Return the weight matrices inside the blocks."""
        return [parameter for parameter in self.blocks.parameters() if parameter.dim() == 2]

    @torch.no_grad()
    def _initialize(self) -> None:
        """Initialize with N(0, 0.02) and biases 0; smaller for the 2 * n_layer outputs added to the residual stream."""
        std = self.config.initializer_range
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Block):
                for projection in (module.attention.projection, module.mlp.contract):
                    nn.init.normal_(projection.weight, std=std / math.sqrt(2 * self.config.n_layer))
        self.token_embedding.weight[self.config.vocab_size :] = 0
        self.head_weight[self.config.vocab_size :] = 0

    def _positions(
        self, ids: Tensor, cu_seqlens: Tensor | None, cache: AnyCache | None
    ) -> tuple[Tensor, Documents | None]:
        """Return each token's position, and the documents that attention stays within; None for whole rows.

        Positions count from the end of the cache, (T,) or (B, 1), or from 0 in each document, (B, T).
        """
        n_tokens = ids.shape[1]
        if cu_seqlens is None:
            self._check_length(0 if cache is None else cache.length, n_tokens)
            if cache is not None:
                return cache.positions(n_tokens, ids.device), None
            return torch.arange(n_tokens, device=ids.device), None
        documents = Documents(cu_seqlens, n_rows=ids.shape[0], n_tokens=n_tokens)
        if n_tokens > self.config.n_positions:  # in shorter rows every document fits
            self._check_length(0, int(cu_seqlens.diff().max()))
        return documents.positions, documents

    def _check_targets(self, ids: Tensor, targets: Tensor) -> None:
        if targets.shape != ids.shape:
            raise DataError(f"targets have shape {tuple(targets.shape)}, ids {tuple(ids.shape)}: must be equal")
        self._check_range(targets, "targets", also=IGNORED_TARGET)

    def _check_length(self, start: int, n_tokens: int) -> None:
        if start + n_tokens > self.config.n_positions:
            cached = f" after {start} in the cache" if start else ""
            raise DataError(
                f"{n_tokens} tokens{cached} do not fit into the model's {self.config.n_positions} positions"
            )

    def _check_range(self, ids: Tensor, name: str, also: int | None = None) -> None:
        """Raise DataError for an invalid id, only on the CPU: on a GPU the check would wait for the queue to drain."""
        if ids.device.type != "cpu" or torch.compiler.is_compiling():
            return
        wrong = (ids < 0) | (ids >= self.config.vocab_size)
        if also is not None:
            wrong &= ids != also
        if wrong.any():
            place = tuple(wrong.nonzero()[0].tolist())
            raise DataError(
                f"{name}[{', '.join(map(str, place))}] is {int(ids[place])}, expected ids from 0 to "
                f"{self.config.vocab_size - 1}"
            )


def _tanh_gelu(x: Tensor) -> Tensor:
    """Return the tanh form of GELU, 0.5 x (1 + tanh(u)), as x sigmoid(2u): three times as fast compiled for a CPU."""
    if x.device.type != "cpu" or not torch.compiler.is_compiling():
        return F.gelu(x, approximate="tanh")
    wide = x.float()
    twice_u = 2 * math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
    return (wide * torch.sigmoid(twice_u)).to(x.dtype)


def _refuse_beyond_memory(config: GPT2Config) -> None:
    """Raise ConfigError if the weights exceed the machine's memory; on the meta device they take none."""
    if torch.get_default_device().type == "meta":
        return
    needed, memory = 4 * config.n_parameters(), total_memory()  # bytes, in fp32
    if memory is not None and needed > memory:
        raise ConfigError(
            f"a model of {config.n_parameters():,} parameters (n_layer {config.n_layer}, n_embd {config.n_embd}, "
            f"vocab_size {config.vocab_size}) takes {needed / 2**30:,.1f} GiB, this machine has {memory / 2**30:,.1f}"
        )
