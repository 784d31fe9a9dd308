"""Make batches of rows of different lengths, in an endless shuffled order whose position is one integer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from bytemill.data.rows.split import permutation
from bytemill.errors import DataError
from bytemill.targets import IGNORED_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bytemill.data.rows.encode import Row

__all__ = ["RowBatches", "collate", "collate_packed"]

AnyRow = TypeVar("AnyRow")


def collate(
    rows: Sequence[Row], *, pad_id: int, mask_prompt: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of different lengths as one padded batch.

    Args:
        rows: At least one.
        pad_id: Id that pads the inputs, usually end-of-text; labels are padded with -100.
        mask_prompt: Whether prompt tokens have no label. The first token of a response always has one: the last
            token of the prompt predicts it.

    Returns:
        (inputs, targets), each (B, T) with T one less than the longest row; targets are shifted by one.

    >>> from bytemill.data.rows import Row
    >>> inputs, targets = collate([Row(np.array([1, 2, 3, 9]), 2), Row(np.array([4, 9]), 1)], pad_id=9)
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2, 3], [4, 9, 9]], [[-100, 3, 9], [9, -100, -100]])
    """
    shape = (len(rows), max(len(row.ids) for row in rows) - 1)
    inputs = np.full(shape, pad_id, dtype=np.int64)
    targets = np.full(shape, IGNORED_TARGET, dtype=np.int64)
    for i, row in enumerate(rows):
        n = len(row.ids) - 1
        inputs[i, :n] = row.ids[:-1]
        targets[i, :n] = np.where(row.trained()[1:], row.ids[1:], IGNORED_TARGET) if mask_prompt else row.ids[1:]
    return inputs, targets


def collate_packed(
    rows: Sequence[Row], *, mask_prompt: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return rows concatenated into one, without padding; attention must stay within each.

    Args:
        rows: At least one.
        mask_prompt: As in `collate`.

    Returns:
        (inputs, targets, cu_seqlens): (1, N), (1, N), and the start of each row among the N, followed by N.

    >>> from bytemill.data.rows import Row
    >>> rows = [Row(np.array([1, 2, 3, 9]), 2), Row(np.array([4, 9]), 1)]
    >>> [part.tolist() for part in collate_packed(rows)]
    [[[1, 2, 3, 4]], [[-100, 3, 9, 9]], [0, 3, 4]]
    """
    alone = [collate([row], pad_id=0, mask_prompt=mask_prompt) for row in rows]
    inputs, targets = (np.concatenate([pair[part] for pair in alone], axis=1) for part in range(2))
    ends = np.cumsum([0, *(len(row.ids) - 1 for row in rows)], dtype=np.int32)
    return inputs, targets, ends


class RowBatches(Generic[AnyRow]):
    """An endless stream of batches of rows, shuffled in each epoch; its position is one integer.

    Position p is row `permutation(seed, p div N)[p mod N]`. A micro-batch is `batch_size` consecutive
    positions and may hold the end of one epoch and the start of the next; rank r of W takes
    micro-batches r, r + W, …, so the order does not depend on W.

    >>> from bytemill.data.rows import Row
    >>> rows = [Row(np.array([i, 9]), 1) for i in range(3)]
    >>> stream = RowBatches(rows, batch_size=2, pad_id=9)
    >>> seen = [next(stream)[0][:, 0].tolist() for _ in range(3)]
    >>> sorted(seen[0] + seen[1][:1]), stream.state_dict()["position"]
    ([0, 1, 2], 6)
    """

    def __init__(
        self,
        rows: Sequence[AnyRow],
        *,
        batch_size: int,
        pad_id: int,
        mask_prompt: bool = True,
        packed: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._rows, self._pad_id, self._mask_prompt, self._packed = rows, pad_id, mask_prompt, packed
        self._batch_size, self._seed, self._rank, self._world_size = batch_size, seed, rank, world_size
        self._position = 0
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __iter__(self) -> Iterator[tuple[NDArray[Any], ...]]:
        return self

    def __next__(self) -> tuple[NDArray[Any], ...]:
        start = self._position + self._rank * self._batch_size
        self._position += self._world_size * self._batch_size
        rows = [self._rows[self._index(start + i)] for i in range(self._batch_size)]
        return self._collated(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the global order, which is equal on all ranks after the same number of batches."""
        return {"version": 1, "position": self._position, "seed": self._seed, "n_rows": len(self._rows)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved position, also of another number of ranks.

        Raises:
            DataError: The position belongs to another order; the message has both values.
        """
        own = self.state_dict()
        for name in ("version", "seed", "n_rows"):
            if state.get(name) != own[name]:
                raise DataError(f"rows: {name} was {state.get(name)!r} when saved and is {own[name]!r} now")
        self._position = int(state["position"])

    def _collated(self, rows: Sequence[Any]) -> tuple[NDArray[Any], ...]:
        """Return one batch; subclasses for other kinds of rows override this."""
        if self._packed:
            return collate_packed(rows, mask_prompt=self._mask_prompt)
        return collate(rows, pad_id=self._pad_id, mask_prompt=self._mask_prompt)

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self._rows))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, permutation(len(self._rows), self._seed, epoch)
        return int(self._order[place])
