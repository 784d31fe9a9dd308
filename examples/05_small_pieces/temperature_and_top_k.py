"""From scores to the next token: what temperature and top-k do to the chances, and what is then drawn.

The scores are those of the book's example, nine words after "every effort moves you". `generate` draws in the same way.
"""

from collections import Counter

import torch
from torch import Tensor

WORDS = ("closer", "every", "effort", "forward", "inches", "moves", "pizza", "toward", "you")
SCORES = torch.tensor([4.51, 0.89, -1.90, 6.75, 1.63, -1.62, -1.89, 6.28, 1.79])
DRAWS = 1_000


def chances(scores: Tensor, *, temperature: float = 1.0, top_k: int = 0) -> Tensor:
    """The probability of each word: the `top_k` best scores (0: all), divided by the temperature, through a softmax."""
    if top_k:
        worst_kept = torch.topk(scores, top_k).values[-1]
        scores = scores.masked_fill(scores < worst_kept, -torch.inf)
    return torch.softmax(scores / temperature, dim=-1)


def drawn(probabilities: Tensor, seed: int = 123) -> str:
    """How often each word comes in 1,000 draws, the most frequent first."""
    places = torch.rand(DRAWS, generator=torch.Generator().manual_seed(seed))  # even draws from 0 to 1
    ids = torch.searchsorted(probabilities.cumsum(dim=0), places)  # the word in whose share of 0 to 1 a draw falls
    counts = Counter(WORDS[one] for one in ids.clamp(max=len(WORDS) - 1).tolist())
    return ", ".join(f"{word} {count}" for word, count in counts.most_common())


def main() -> None:
    """Print the chances of each word in five ways, then what is drawn from them."""
    print(f"{'':<22}" + "".join(f"{word:>8}" for word in WORDS))
    ways = {
        "temperature 1": chances(SCORES),
        "temperature 0.1": chances(SCORES, temperature=0.1),
        "temperature 5": chances(SCORES, temperature=5.0),
        "top-k 3": chances(SCORES, top_k=3),
        "top-k 3, temperature 5": chances(SCORES, temperature=5.0, top_k=3),
    }
    for name, probabilities in ways.items():
        print(f"{name:<22}" + "".join(f"{chance:>8.3f}" for chance in probabilities.tolist()))
    print(f"greedy: {WORDS[int(SCORES.argmax())]}, always")
    for name, probabilities in ways.items():
        print(f"{name}: {drawn(probabilities)}")


if __name__ == "__main__":
    main()
