"""Cache the keys and values of earlier tokens, so that generating a token costs one token's work.

The memory is allocated once, for the whole context, so appending does not copy earlier keys. It takes
2 * n_layer * n_embd * 4 bytes per token and row in fp32: 72 KiB for GPT-2 124M, 72 MiB for a full row.

`KeyValueCache` is for rows of equal length, `RowsCache` for rows of different lengths that come and go, as in a server.
"""

import torch
from torch import Tensor

from bytemill.model.config import GPT2Config

__all__ = ["AnyCache", "KeyValueCache", "RowsCache"]


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

    def positions(self, n_tokens: int, device: torch.device) -> Tensor:
        """Return the positions of the next tokens, (T,)."""
        return torch.arange(self.length, self.length + n_tokens, device=device)

    def allowed(self, n_tokens: int, device: torch.device) -> Tensor | None:
        """Return (T, S), true where a new token may attend, or None if the kernel needs no table.

        With an empty cache the kernel has its own causal mode, and a single new token may attend to everything.
        """
        if n_tokens == 1 or self.length == 0:
            return None
        n_keys = self.length + n_tokens
        return torch.ones(n_tokens, n_keys, dtype=torch.bool, device=device).tril(diagonal=self.length)

    def advance(self, n_tokens: int) -> None:
        """Count `n_tokens` more tokens as seen."""
        self.length += n_tokens

    def clear(self) -> None:
        """Forget all tokens; the memory is kept."""
        self.length = 0

    def row(self) -> Tensor:
        """Return the keys and values of the only row, (n_layer, 2, heads, length, head width)."""
        assert self._memory is not None
        return self._memory[:, :, 0, :, : self.length]

    def _room_like(self, keys: Tensor) -> Tensor:
        n_rows, n_head, _, head_width = keys.shape
        return keys.new_empty(self._n_layer, 2, n_rows, n_head, self._n_positions, head_width)


class RowsCache:
    """Keys and values of several rows of different lengths; a row joins after its prompt was read, and leaves.

    All rows get one token per step. The memory grows by doubling to the largest number of rows so far, each with room
    for the whole context. Row numbers are 0 … n - 1: when a row leaves, the last row gets its number.

    >>> config = GPT2Config(vocab_size=10, n_positions=8, n_embd=4, n_layer=1, n_head=2)
    >>> cache, alone = RowsCache(config), KeyValueCache(config)
    >>> _ = alone.append(0, torch.ones(1, 2, 3, 2), torch.ones(1, 2, 3, 2)); alone.advance(3)
    >>> cache.join(alone); cache.join(alone); cache.leave(0); cache.lengths
    [3]
    """

    def __init__(self, config: GPT2Config) -> None:
        self._n_positions = config.n_positions
        self._memory: Tensor | None = None  # (n_layer, key or value, room for rows, heads, n_positions, head width)
        self._ends: Tensor | None = None  # (B,), the lengths, made once per step for all layers
        self.lengths: list[int] = []
        """Number of tokens of each row."""

    @property
    def length(self) -> int:
        """Number of tokens of the longest row."""
        return max(self.lengths, default=0)

    def join(self, cache: KeyValueCache) -> None:
        """Copy the only row of `cache` as the last row."""
        row, number = cache.row(), len(self.lengths)
        self._make_room(row, number + 1)
        assert self._memory is not None
        self._memory[:, :, number, :, : cache.length] = row
        self._set_lengths([*self.lengths, cache.length])

    def leave(self, number: int) -> None:
        """Drop a row; the last row gets its number. After the last row the memory is freed."""
        *lengths, length = self.lengths
        assert self._memory is not None
        if number < len(lengths):
            self._memory[:, :, number, :, :length] = self._memory[:, :, len(lengths), :, :length]
            lengths[number] = length
        self._set_lengths(lengths)
        if not lengths:
            self._memory = None

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of one token per row, (B, heads, 1, head width); return views of all so far.

        Shorter rows have meaningless values after their end; see `allowed`.
        """
        assert self._memory is not None
        n_rows = len(self.lengths)
        memory, rows = self._memory[layer, :, :n_rows], torch.arange(n_rows, device=keys.device)
        ends = self._new_places(keys.device)
        memory[0, rows, :, ends] = keys[:, :, 0]
        memory[1, rows, :, ends] = values[:, :, 0]
        seen = memory[..., : self.length + 1, :]
        return seen[0], seen[1]

    def positions(self, n_tokens: int, device: torch.device) -> Tensor:
        """Return the positions of the next tokens, (B, 1)."""
        assert n_tokens == 1, "rows of different lengths advance by one token"
        return self._new_places(device).unsqueeze(1)

    def allowed(self, n_tokens: int, device: torch.device) -> Tensor | None:
        """Return (B, 1, 1, S), true where a row's new token may attend; None if all rows have the same length."""
        if min(self.lengths) == self.length:
            return None
        keys = torch.arange(self.length + n_tokens, device=device)
        return (keys <= self.positions(n_tokens, device))[:, None, None]

    def advance(self, n_tokens: int) -> None:
        """Count `n_tokens` more tokens per row as seen."""
        self._set_lengths([length + n_tokens for length in self.lengths])

    def _set_lengths(self, lengths: list[int]) -> None:
        self.lengths, self._ends = lengths, None

    def _new_places(self, device: torch.device) -> Tensor:
        if self._ends is None:
            self._ends = torch.tensor(self.lengths, device=device)
        return self._ends

    def _make_room(self, row: Tensor, n_rows: int) -> None:
        """Allocate memory for `n_rows` rows, keeping those that are there."""
        room = 0 if self._memory is None else self._memory.shape[2]
        if n_rows <= room:
            return
        n_layer, _, n_head, _, head_width = row.shape
        # Zeros, because 0 * NaN in the values after a row's end would be NaN.
        grown = row.new_zeros(n_layer, 2, max(n_rows, 2 * room), n_head, self._n_positions, head_width)
        if self._memory is not None:
            grown[:, :, :room] = self._memory
        self._memory = grown


AnyCache = KeyValueCache | RowsCache
