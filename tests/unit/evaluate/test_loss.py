import math

import pytest
import torch
from torch.nn import functional as F

from bytemill.errors import DataError
from bytemill.evaluate.loss import bytes_per_token, held_out_loss
from stand_ins import VOCAB_SIZE, TinyModel, TinyStream


class Vocabulary:
    """Ids 0 … 14 stand for as many bytes; 15 is a hole; 16 is special."""

    n_vocab = VOCAB_SIZE
    special_tokens = {"<|endoftext|>": 16}  # noqa: RUF012 - as in api.md

    def decode_single_token_bytes(self, token):
        if token == 15:
            raise KeyError(token)
        return b"x" * token


def test_every_label_counts_once_however_the_batches_fall():
    model, stream = TinyModel(), TinyStream(batch_size=6)
    inputs, targets = next(stream)
    model.eval()
    logits = model(inputs)[0].detach()
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    labels = targets[targets != -100]
    token_bytes = bytes_per_token(Vocabulary())
    for pieces in ([6], [1, 5], [2, 2, 2], [1] * 6):
        batches = list(zip(inputs.split(pieces), targets.split(pieces), strict=True))
        loss = held_out_loss(model, batches, token_bytes=token_bytes)
        assert loss.nats == pytest.approx(float(nats), rel=1e-6)
        assert loss.n_tokens == len(labels)
        assert loss.n_bytes == int(token_bytes[labels].sum())
        assert loss.bits_per_byte == pytest.approx(float(nats) / math.log(2) / loss.n_bytes, rel=1e-6)
        assert loss.perplexity == pytest.approx(math.exp(float(nats) / len(labels)), rel=1e-5)


def test_numpy_batches_dropout_off_and_mode_kept():
    model = TinyModel(dropout=0.9).train()
    inputs, targets = next(TinyStream())
    one = held_out_loss(model, [(inputs.numpy(), targets.numpy())])
    assert one == held_out_loss(model, [(inputs, targets)])
    assert model.training
    assert one.n_bytes is None
    assert set(one.as_metrics()) == {"val_loss", "val_perplexity"}


def test_a_batch_without_labels_is_passed_over_and_none_at_all_is_an_error():
    model, (inputs, targets) = TinyModel(), next(TinyStream())
    blank = torch.full_like(targets, -100)
    assert held_out_loss(model, [(inputs, blank), (inputs, targets)]) == held_out_loss(model, [(inputs, targets)])
    with pytest.raises(DataError, match="have no labels"):
        held_out_loss(model, [(inputs, blank)])


def test_special_tokens_and_holes_are_no_bytes():
    assert bytes_per_token(Vocabulary()).tolist() == [*range(15), 0, 0]
