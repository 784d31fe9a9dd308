"""From ids to what a model reads: windows that slide over the text, and vectors of token and place added up."""

import torch
from torch import nn

from bytemill import Tokenizer

TEXT = "In the beginning there were bytes, and the bytes stood side by side in the file."
CONTEXT, STRIDE, WIDTH = 4, 4, 3


def windows(ids: list[int], context: int, stride: int) -> list[tuple[list[int], list[int]]]:
    """(inputs, targets) of `context` ids each; targets are the same ids one place on."""
    starts = range(0, len(ids) - context, stride)
    return [(ids[start : start + context], ids[start + 1 : start + context + 1]) for start in starts]


def main() -> None:
    """Show windows, then one batch of them as vectors."""
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=280)
    ids = tokenizer.encode(TEXT)
    pairs = windows(ids, CONTEXT, STRIDE)
    print(f"{len(ids)} ids, {len(pairs)} windows of {CONTEXT}")
    for inputs, targets in pairs[:2]:
        print([tokenizer.decode([one]) for one in inputs], "->", [tokenizer.decode([one]) for one in targets])

    torch.manual_seed(0)
    token_vectors = nn.Embedding(tokenizer.n_vocab, WIDTH)
    place_vectors = nn.Embedding(CONTEXT, WIDTH)
    batch = torch.tensor([inputs for inputs, _ in pairs[:2]])  # (B, T)
    read = token_vectors(batch) + place_vectors(torch.arange(CONTEXT))  # (B, T, C): each place has its own vector
    print(f"ids {tuple(batch.shape)} -> vectors {tuple(read.shape)}")

    # The table is a matrix; looking a row up is multiplying by a row of zeros with a single one.
    one_hot = nn.functional.one_hot(batch, tokenizer.n_vocab).float()
    print("a look-up equals a product:", torch.equal(one_hot @ token_vectors.weight, token_vectors(batch)))


if __name__ == "__main__":
    main()
