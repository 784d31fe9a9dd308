"""Generate ids after a prompt: sample one token per step, from at most the last `n_positions` tokens.

While the text fits the context, keys and values are cached, and a step costs one token's work. Beyond it, the oldest
token drops out and every position shifts, so the cache is invalid. Each step then reads the last `n_positions` tokens
again, which is exact and as slow as no cache.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from bytemill.errors import ConfigError, DataError
from bytemill.model.packed import PackedProducts, product_dtype
from bytemill.model.pretrained import CausalModel
from bytemill.model.sampling import Sampler

__all__ = ["evaluating", "generate", "generate_stream", "packs_products"]

_WORTH_PACKING_TOKENS = 32


def generate(
    model: CausalModel,
    ids: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop_ids: Collection[int] = (),
    n_ids: int | None = None,
    seed: int | None = None,
) -> Tensor:
    """Continue each row of `ids`.

    Args:
        model: a GPT-2 or another causal model, with or without adapters; dropout is off during the call.
        ids: (B, T) prompts of equal length, T >= 1.
        max_new_tokens: maximum number of new ids; fewer only if every row reaches a stop id.
        temperature: divides the logits; 0, and any value below 1e-6, always takes the most likely id.
        top_k: sample only from the k most likely ids (Fan et al. 2018); None and 0 allow all.
        top_p: sample only from the most likely ids that together reach this probability (Holtzman et al. 2019);
            applied after `top_k`.
        min_p: sample only ids with at least this fraction of the top probability (Nguyen et al. 2024); applied last.
        stop_ids: ids that end a row; the row is then padded with the same id.
        n_ids: sample only ids below this, if the model has more ids than its tokenizer; None allows all.
        seed: random seed, equal seeds give equal ids; None uses a new seed. torch's global generator is not used.

    Returns:
        (B, T + new): prompt and new ids.

    Raises:
        ConfigError: an option is outside its range.
        DataError: `ids` is not a (B, T) tensor of known ids.

    >>> from bytemill.model import GPT2, GPT2Config
    >>> model = GPT2(GPT2Config(vocab_size=100, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    >>> generate(model, torch.tensor([[1, 2]]), max_new_tokens=3, top_k=50, seed=0).shape
    torch.Size([1, 5])
    """
    columns = generate_stream(
        model,
        ids,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        stop_ids=stop_ids,
        n_ids=n_ids,
        seed=seed,
    )
    return torch.cat([ids, *columns], dim=1)


def generate_stream(
    model: CausalModel,
    ids: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop_ids: Collection[int] = (),
    n_ids: int | None = None,
    seed: int | None = None,
    products: PackedProducts | None = None,
) -> Iterator[Tensor]:
    """Generate as `generate` does, but yield each new column (B, 1) as soon as it is sampled.

    A caller that generates several times can reuse `products`; weights may change between calls.
    """
    if max_new_tokens < 0:
        raise ConfigError(f"max_new_tokens: {max_new_tokens} is negative")
    sampler = Sampler(ids.device, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, seed=seed)
    if ids.dim() != 2 or ids.shape[1] == 0:
        raise DataError(f"ids have shape {tuple(ids.shape)}; should be (rows, tokens) with at least one token")
    return _columns(
        model,
        ids,
        max_new_tokens,
        lambda logits: sampler.draw(logits[:, :n_ids]),
        torch.tensor(sorted(stop_ids), dtype=ids.dtype, device=ids.device),
        _products(model, ids, max_new_tokens, products),
    )


def _products(
    model: CausalModel, ids: Tensor, max_new_tokens: int, kept: PackedProducts | None
) -> AbstractContextManager[object]:
    """Return the context for products: a faster weight layout where it helps."""
    if not packs_products(model, n_rows=ids.shape[0]):
        return contextlib.nullcontext()
    if kept is not None:
        kept.forget_changed()
        return kept
    return PackedProducts() if max_new_tokens >= _WORTH_PACKING_TOKENS else contextlib.nullcontext()


def packs_products(model: CausalModel, *, n_rows: int) -> bool:
    """Return whether `PackedProducts` helps, which it does not for a single row in bf16."""
    return n_rows > 1 or product_dtype(next(model.parameters())) != torch.bfloat16


def _columns(
    model: CausalModel,
    ids: Tensor,
    max_new_tokens: int,
    draw: Callable[[Tensor], Tensor],
    stop_ids: Tensor,
    products: AbstractContextManager[object],
) -> Iterator[Tensor]:
    n_positions = model.config.n_positions
    cache = model.new_cache(min(n_positions, ids.shape[1] + max_new_tokens))
    unseen = ids[:, -n_positions:]
    stopped = torch.zeros(ids.shape[0], 1, dtype=torch.bool, device=ids.device)
    for _ in range(max_new_tokens):
        if cache.length + unseen.shape[1] > n_positions:
            cache.clear()
            unseen = ids[:, -n_positions:]
        column = draw(_last_logits(model, unseen, cache, products)).to(ids.dtype)  # (B, 1)
        column = torch.where(stopped, ids[:, -1:], column)
        stopped |= torch.isin(column, stop_ids)
        yield column
        if stopped.all():
            return
        ids, unseen = torch.cat([ids, column], dim=1), column


@torch.no_grad()
def _last_logits(model: CausalModel, ids: Tensor, cache: Any, products: AbstractContextManager[object]) -> Tensor:
    """Read the ids after the cached ones; return the logits (B, V) of the next id."""
    with evaluating(model), products:  # entered again for each token: the caller's code runs in between
        return model.logits(model.hidden_states(ids, cache=cache)[:, -1]).float()


@contextmanager
def evaluating(model: CausalModel) -> Iterator[None]:
    """Switch dropout off inside `with`."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
