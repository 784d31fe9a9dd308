"""Cache the keys and values of earlier tokens, so that generating a token costs one token's work.

The memory is allocated once, for the whole context, so appending does not copy earlier keys. It takes
2 * n_layer * n_embd * 4 bytes per token and row in fp32: 72 KiB for GPT-2 124M, 72 MiB for a full row.
"""

from torch import Tensor

from bytemill.model.config import GPT2Config

__all__ = ["KeyValueCache"]


class KeyValueCache:
    """A buffer for `n_positions` keys and values in each layer; by default for the model's whole context.

    The buffer is allocated for the first keys, in their dtype and on their device.
    Each layer stores the new tokens' keys and values with `append`. After the last layer the model calls `advance`,
    and only then do they count as seen.

    >>> import torch
    >>> config = GPT2Config(vocab_size=10, n_positions=8, n_embd=4, n_layer=1, n_head=2)
    >>> cache = KeyValueCache(config)
    >>> keys, values = cache.append(0, torch.ones(1, 2, 3, 2), torch.ones(1, 2, 3, 2))
    >>> cache.advance(3); keys.shape, cache.length
    (torch.Size([1, 2, 3, 2]), 3)
    """

    def __init__(self, config: GPT2Config, n_positions: int | None = None) -> None:
        self._n_layer = config.n_layer
        self._n_positions = config.n_positions if n_positions is None else n_positions
        self._memory: Tensor | None = None
        self.length = 0
        """Number of tokens seen by all layers."""

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values (B, heads, T, head width); return views of all so far."""
        if self._memory is None:
            self._memory = self._room_like(keys)
        end = self.length + keys.shape[2]
        memory = self._memory[layer]  # (key or value, B, heads, n_positions, head width)
        memory[0, :, :, self.length : end] = keys
        memory[1, :, :, self.length : end] = values
        return memory[0, :, :, :end], memory[1, :, :, :end]

    def advance(self, n_tokens: int) -> None:
        """Count `n_tokens` more tokens as seen."""
        self.length += n_tokens

    def clear(self) -> None:
        """Forget all tokens; the memory is kept."""
        self.length = 0

    def _room_like(self, keys: Tensor) -> Tensor:
        n_rows, n_head, _, head_width = keys.shape
        return keys.new_empty(self._n_layer, 2, n_rows, n_head, self._n_positions, head_width)
