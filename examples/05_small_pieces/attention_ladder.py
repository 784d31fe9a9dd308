"""Attention in rungs, from a loop over tokens to what GPT-2 runs; each rung gives the numbers of the one before.

The rungs themselves are in bytemill.model.attention, where the model takes them from. Here they are called one
after the other on the same four tokens.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bytemill.model import GPT2Config
from bytemill.model.attention import (
    CausalSelfAttention,
    WrittenOutAttention,
    causal_attention,
    multi_head_attention,
    self_attention,
)

N_TOKENS, WIDTH, N_HEAD = 4, 8, 2


def attention_by_hand(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool) -> Tensor:
    """Token by token, as one would with pencil and paper; all (T, D)."""
    rows = []
    for place, query in enumerate(queries):
        seen = place + 1 if causal else len(keys)
        scores = [float(query @ key) / math.sqrt(len(query)) for key in keys[:seen]]  # how well do they meet?
        weights = [math.exp(score) for score in scores]
        shares = [weight / sum(weights) for weight in weights]  # they add up to 1
        rows.append(sum(share * value for share, value in zip(shares, values[:seen], strict=True)))
    return torch.stack(rows)


def rungs() -> dict[str, float]:
    """Each rung with the largest difference to another way of computing it."""
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, N_TOKENS, WIDTH)
    batch = [part[None] for part in (queries, keys, values)]  # (1, T, C)
    halves = [part.view(1, N_TOKENS, N_HEAD, -1).transpose(1, 2) for part in batch]  # (1, heads, T, D)
    fused = F.scaled_dot_product_attention(*halves, is_causal=True).transpose(1, 2).reshape(1, N_TOKENS, WIDTH)

    module = CausalSelfAttention(GPT2Config(n_embd=WIDTH, n_head=N_HEAD, n_layer=1, n_positions=N_TOKENS, vocab_size=1))
    written_out = WrittenOutAttention(
        GPT2Config(n_embd=WIDTH, n_head=N_HEAD, n_layer=1, n_positions=N_TOKENS, vocab_size=1)
    )
    written_out.load_state_dict(module.state_dict())
    x = torch.randn(1, N_TOKENS, WIDTH)
    with torch.no_grad():
        pairs = {
            "1 self-attention, all tokens see all": (
                attention_by_hand(queries, keys, values, causal=False),
                self_attention(queries, keys, values),
            ),
            "2 causal, no token sees a later one": (
                attention_by_hand(queries, keys, values, causal=True),
                causal_attention(queries, keys, values),
            ),
            "3 several heads, side by side": (
                torch.cat([causal_attention(*part) for part in _heads(queries, keys, values)], dim=-1),
                multi_head_attention(*batch, N_HEAD)[0],
            ),
            "4 torch's fused kernel": (multi_head_attention(*batch, N_HEAD), fused),
            "5 the model's module": (written_out(x), module(x)),
        }
    return {name: float((one - other).abs().max()) for name, (one, other) in pairs.items()}


def main() -> None:
    """Print the rungs, and what the second one looks at."""
    for name, difference in rungs().items():
        print(f"{name:<40}", "equal within 1e-6" if difference < 1e-6 else f"differs by {difference:.2g}")
    torch.manual_seed(0)
    queries, keys, _ = torch.randn(3, N_TOKENS, WIDTH)
    shares = causal_attention(queries, keys, torch.eye(N_TOKENS))  # with unit values the means are the weights
    print("what each token looks at, earlier ones to the left:")
    for row in shares:
        print("  " + " ".join(f"{share:.2f}" for share in row.tolist()))


def _heads(*parts: Tensor) -> list[tuple[Tensor, ...]]:
    """The parts cut into heads: one tuple of slices a head."""
    return list(zip(*(part.chunk(N_HEAD, dim=-1) for part in parts), strict=True))


if __name__ == "__main__":
    main()
