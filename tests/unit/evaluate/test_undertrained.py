"""Tokens that were never a target are found by their embeddings; what does not fit together is refused."""

import numpy as np
import pytest
import torch

from bytemill import Tokenizer
from bytemill.errors import DataError
from bytemill.evaluate.undertrained import token_training, undertrained_answer
from bytemill.model import GPT2, GPT2Config


def trained_on_some(tokenizer: Tokenizer, seen: list[int]) -> np.ndarray:
    """The embeddings of a small model after some steps on random rows of the ids in `seen`."""
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=16, n_layer=1, n_head=2, n_embd=32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        ids = torch.tensor(seen)[torch.randint(len(seen), (8, 17))]
        _, loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    rows: np.ndarray = model.token_embedding.weight.detach().numpy()
    return rows


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(texts=["the cat sat on the mat " * 5, "北京大学研究生手册 " * 5], vocab_size=290)


def test_tokens_never_trained_rank_before_those_that_were(tokenizer: Tokenizer) -> None:
    seen = sorted({*range(97, 123), *tokenizer.encode("the cat sat on the mat")})
    found = [one for one in token_training(tokenizer, trained_on_some(tokenizer, seen)) if not one.is_reference]
    never = [place for place, one in enumerate(found) if one.id not in seen]
    trained = [place for place, one in enumerate(found) if one.id in seen]
    pairs_in_order = np.mean([[one < other for other in trained] for one in never])
    assert pairs_in_order > 0.95


def test_the_answer_counts_what_looks_like_the_untrained(tokenizer: Tokenizer) -> None:
    seen = sorted({*range(97, 123), *tokenizer.encode("the cat sat on the mat")})
    answer = undertrained_answer(tokenizer, trained_on_some(tokenizer, seen))
    assert "13 tokens cannot occur" in answer.explanation
    assert {row[0] for row in answer.rows}.isdisjoint(seen)


def test_embeddings_with_too_few_rows_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"shape \(100, 8\) for 290 ids"):
        token_training(tokenizer, np.zeros((100, 8), dtype=np.float32))
