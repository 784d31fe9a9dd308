"""Sample the next id from logits: greedy, or by temperature, top-k, top-p and min-p.

Everything that generates samples with this class: `generate`, `bytemill chat`, samples during training, and the server.
"""

import math

import torch
from torch import Tensor

from bytemill.errors import ConfigError

__all__ = ["Sampler"]

_GREEDY_TEMPERATURE = 1e-6
"""At lower temperatures the most likely id has all the probability, and dividing the logits may overflow."""


class Sampler:
    """Sampling options with a random generator of their own; the options are those of `bytemill.model.generate`.

    Raises:
        ConfigError: An option is outside its range.

    >>> Sampler("cpu", temperature=0).draw(torch.tensor([[0.0, 2.0, 1.0]])).tolist()
    [[1]]
    """

    def __init__(
        self,
        device: torch.device | str,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        seed: int | None = None,
    ) -> None:
        _check_options(temperature, top_k, top_p, min_p, seed)
        self._temperature, self._top_k, self._top_p, self._min_p = temperature, top_k, top_p, min_p
        self._generator = torch.Generator(device=device)
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def draw(self, logits: Tensor) -> Tensor:
        """Sample one id per row, (B, 1), from logits (B, V)."""
        if self._temperature < _GREEDY_TEMPERATURE:
            return logits.argmax(dim=-1, keepdim=True)
        logits = logits / self._temperature
        if self._top_k and self._top_k < logits.shape[-1]:
            logits = _keep_top_k(logits, self._top_k)
        if self._top_p is not None:
            logits = _keep_top_p(logits, self._top_p)
        if self._min_p is not None:
            logits = _keep_min_p(logits, self._min_p)
        return torch.multinomial(torch.softmax(logits, dim=-1), 1, generator=self._generator)


def _keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    least = logits.topk(top_k, dim=-1).values[:, -1:]  # (B, 1)
    return logits.masked_fill(logits < least, -torch.inf)


def _keep_top_p(logits: Tensor, top_p: float) -> Tensor:
    """Keep an id while the more likely ids have not reached `top_p`; the first always stays."""
    ranked, order = logits.sort(dim=-1, descending=True)
    probabilities = torch.softmax(ranked, dim=-1)
    reached = probabilities.cumsum(dim=-1) - probabilities >= top_p  # (B, V) in order of rank
    return logits.masked_fill(reached.gather(-1, order.argsort(dim=-1)), -torch.inf)


def _keep_min_p(logits: Tensor, min_p: float) -> Tensor:
    """Keep ids with this fraction of the top probability: a fraction is a distance from the largest logit."""
    least = logits.amax(dim=-1, keepdim=True) + math.log(min_p)  # (B, 1)
    return logits.masked_fill(logits < least, -torch.inf)


def _check_options(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None, seed: int | None
) -> None:
    if not 0 <= temperature < math.inf:
        raise ConfigError(f"temperature: {temperature} is not a number of at least 0")
    if top_k is not None and top_k < 0:
        raise ConfigError(f"top_k: {top_k} is negative; give the number of ids to sample from, or 0 for all")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(f"top_p: {top_p} is not a probability above 0 and up to 1")
    if min_p is not None and not 0 < min_p <= 1:
        raise ConfigError(f"min_p: {min_p} is not a fraction above 0 and up to 1")
    if seed is not None and not -(2**63) <= seed < 2**64:
        raise ConfigError(f"seed: {seed} is not a 64-bit integer")
