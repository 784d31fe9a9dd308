"""The rows of one model, with one of its adapters or none, which advance together by one token per step.

A GPT-2 reads the newest tokens of all rows in one pass, with a cache for rows of different lengths. Networks of
transformers have caches for rows of equal length only, so they read one row after another.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from bytemill.inference.rows import Failure
from bytemill.model import GPT2
from bytemill.model.generation import evaluating, packs_products
from bytemill.model.lora import adapter_disabled, adapter_names, set_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from bytemill.inference.rows import Row
    from bytemill.inference.text import TextGenerator
    from bytemill.model import TransformersCausal

__all__ = ["Lane"]


class Lane:
    """Rows that one model generates.

    Args:
        generator: The model and its tokenizer; several lanes may share one.
        adapter: Name of the adapter to use; None means the model without adapters.
    """

    def __init__(self, generator: TextGenerator, adapter: str | None = None) -> None:
        self.generator = generator
        self.rows: list[Row] = []
        self._adapter, self._model = adapter, generator.model
        self._has_adapters = bool(adapter_names(self._model))
        self._caches: Any = _caches_of(self._model)

    def admit(self, row: Row) -> None:
        """Read a row's prompt and sample its first token; the row stays if its answer goes on."""
        ids = torch.tensor([list(row.request.prompt)], device=next(self._model.parameters()).device)
        cache = self._model.new_cache(ids.shape[1])
        with self._running(n_rows=1):
            hidden = self._model.hidden_states(ids, cache=cache)  # type: ignore[arg-type]
            ended = row.begin(hidden, self._model.logits)
        if not ended:
            self._caches.join(cache)
            self.rows.append(row)

    def step(self) -> None:
        """Sample one more token for each row; ended rows leave."""
        device = next(self._model.parameters()).device
        ids = torch.tensor([[row.newest] for row in self.rows], device=device)
        with self._running(n_rows=len(self.rows)):
            hidden = self._caches.hidden_states(self._model, ids)  # (B, C)
            logits = self._model.logits(hidden).float()
        ended = [row.take(logits[number : number + 1]) for number, row in enumerate(self.rows)]
        self._drop(lambda number: ended[number])

    def drop_cancelled(self) -> None:
        """Drop the rows that nobody waits for."""
        self._drop(lambda number: self.rows[number].cancelled)

    def fail(self, message: str) -> None:
        """End all rows with a failure, and start with an empty cache."""
        rows, self.rows = self.rows, []
        self._caches = _caches_of(self._model)
        for row in rows:
            row.send(Failure(message))

    def _drop(self, leaves: Callable[[int], bool]) -> None:
        for number in reversed(range(len(self.rows))):  # the last row, which gets the free number, stays
            if leaves(number):
                self._caches.leave(number)
                last = self.rows.pop()
                if number < len(self.rows):
                    self.rows[number] = last

    @contextlib.contextmanager
    def _running(self, *, n_rows: int) -> Iterator[None]:
        products = self.generator.products if packs_products(self._model, n_rows=n_rows) else contextlib.nullcontext()
        with torch.no_grad(), evaluating(self._model), self._with_adapter(), products:
            yield

    def _with_adapter(self) -> contextlib.AbstractContextManager[None]:
        if not self._has_adapters:
            return contextlib.nullcontext()
        if self._adapter is None:
            return adapter_disabled(self._model)
        set_adapter(self._model, self._adapter)
        return contextlib.nullcontext()


def _caches_of(model: GPT2 | TransformersCausal) -> _OneCache | _SeparateCaches:
    return _OneCache(model) if isinstance(model, GPT2) else _SeparateCaches()


class _OneCache:
    """One cache for all rows of a GPT-2."""

    def __init__(self, model: GPT2) -> None:
        self._rows = model.new_rows_cache()
        self.join, self.leave = self._rows.join, self._rows.leave

    def hidden_states(self, model: Any, ids: Tensor) -> Tensor:
        """Read the newest ids (B, 1); return (B, C)."""
        hidden: Tensor = model.hidden_states(ids, cache=self._rows)[:, -1]
        return hidden


class _SeparateCaches:
    """A cache per row, for networks that cannot read rows of different lengths together."""

    def __init__(self) -> None:
        self._caches: list[Any] = []
        self.join = self._caches.append

    def leave(self, number: int) -> None:
        """Drop a row; the last row gets its number."""
        last = self._caches.pop()
        if number < len(self._caches):
            self._caches[number] = last

    def hidden_states(self, model: Any, ids: Tensor) -> Tensor:
        """Read the newest ids (B, 1) one row after another; return (B, C)."""
        return torch.cat(
            [model.hidden_states(row[None], cache=cache)[:, -1] for row, cache in zip(ids, self._caches, strict=True)]
        )
