"""Attention within documents: each gets the numbers that it gets alone."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter

from attending import forward_and_backward
from bytemill import Tokenizer
from bytemill.data import prepare
from bytemill.data.rows import Row, collate, collate_packed
from bytemill.errors import ConfigError, DataError
from bytemill.evaluate.loss import held_out_loss
from bytemill.model import GPT2, GPT2Config
from bytemill.model.documents import Documents, _flash_takes
from bytemill.tasks.next_token import next_token_loss
from bytemill.tasks.pretrain import one_pass, pretrain_task_from_config
from bytemill.tasks.tuning import tuning_task_from_config
from bytemill.train.config import load_config

SHAPE = {"vocab_size": 50, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
PIECES = [(0, 5), (5, 6), (6, 8), (8, 11), (11, 16)]
CU_SEQLENS = torch.tensor([0, 5, 6, 8, 11, 16, 16, 16], dtype=torch.int32)


@pytest.fixture(params=[False, True], ids=["kept", "computed again"])
def model(request):
    torch.manual_seed(0)
    model = GPT2(GPT2Config(**SHAPE))
    model.checkpoints_activations = request.param
    return model


def test_a_document_in_a_batch_gets_the_logits_it_gets_alone(model):
    ids = torch.randint(0, 50, (2, 8))
    together = model(ids, cu_seqlens=CU_SEQLENS)[0].flatten(0, 1)
    for begin, end in PIECES:
        alone = model(ids.flatten()[None, begin:end])[0][0]
        torch.testing.assert_close(together[begin:end], alone, rtol=1e-4, atol=1e-5)


def test_gradients_add_up_to_those_of_the_documents_alone(model):
    ids, targets = torch.randint(0, 50, (2, 2, 8))
    model(ids, targets, CU_SEQLENS, reduction="sum")[1].backward()
    together = model.blocks[0].attention.qkv.weight.grad.clone()
    model.zero_grad()
    for begin, end in PIECES:
        model(ids.flatten()[None, begin:end], targets.flatten()[None, begin:end], reduction="sum")[1].backward()
    torch.testing.assert_close(together, model.blocks[0].attention.qkv.weight.grad, rtol=1e-3, atol=1e-5)


def test_without_boundaries_inside_rows_nothing_changes(model):
    ids = torch.randint(0, 50, (2, 8))
    rows = torch.tensor([0, 8, 16], dtype=torch.int32)
    torch.testing.assert_close(model(ids, cu_seqlens=rows)[0], model(ids)[0], rtol=1e-4, atol=1e-5)


ENDS_OF_DOCUMENTS = {
    "one document a row": ([], 9),
    "where blocks end": ([4, 8, 9, 13, 17], 9),
    "inside blocks": ([1, 6, 11, 14], 9),
    "one longer than a block": ([7, 8], 9),
    "each id one": (list(range(18)), 9),
    "rows of whole blocks": ([4, 5, 8, 10], 8),
    "rows shorter than a block": ([1, 5], 3),
}


@pytest.mark.parametrize(("ends", "n_tokens"), ENDS_OF_DOCUMENTS.values(), ids=ENDS_OF_DOCUMENTS.keys())
def test_blocks_of_queries_give_what_the_table_gives(monkeypatch, ends, n_tokens):
    documents = documents_of_two_rows(ends, n_tokens)
    monkeypatch.setattr("bytemill.model.documents.BLOCK_QUERIES", 4)
    by_table = partial(F.scaled_dot_product_attention, attn_mask=documents._table())
    ways = partial(documents._by_blocks, dropout=0.0), by_table
    torch.testing.assert_close(*forward_and_backward(ways, n_tokens, torch.float32), rtol=1e-4, atol=1e-5)


@hypothesis_settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.sets(st.integers(0, 79)), st.integers(1, 9))
def test_blocks_of_any_size_give_what_the_table_gives(n_tokens, ends, block_queries):
    documents = documents_of_two_rows([end for end in ends if end < 2 * n_tokens], n_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bytemill.model.documents.BLOCK_QUERIES", block_queries)
        by_table = partial(F.scaled_dot_product_attention, attn_mask=documents._table())
        ways = partial(documents._by_blocks, dropout=0.0), by_table
        torch.testing.assert_close(*forward_and_backward(ways, n_tokens, torch.float32), rtol=1e-4, atol=1e-5)


def test_in_bf16_on_a_cpu_attention_goes_by_blocks_and_agrees_with_the_kernel(monkeypatch):
    documents = documents_of_two_rows([100, 256, 300, 301, 500], 300)
    table = documents._table()
    monkeypatch.setattr(documents, "_table", None)  # called, it would raise
    ways = partial(documents.attend, dropout=0.0), partial(F.scaled_dot_product_attention, attn_mask=table)
    torch.testing.assert_close(*forward_and_backward(ways, 300, torch.bfloat16), rtol=0.05, atol=0.05)


def test_in_fp32_attention_stays_with_the_kernel(monkeypatch):
    documents = documents_of_two_rows([3], 4)
    monkeypatch.setattr(documents, "_by_blocks", None)  # called, it would raise
    assert documents.attend(*torch.randn(3, 2, 3, 4, 8), 0.0).shape == (2, 3, 4, 8)


def test_blocks_of_queries_drop_weights_and_keep_their_mean():
    torch.manual_seed(0)
    q, k = torch.randn(2, 2, 3, 600, 8)
    documents = documents_of_two_rows([250, 700], 600)
    sums = documents._by_blocks(q, k, torch.ones(2, 3, 600, 8), 0.5)
    assert sums.std() > 0.05
    assert sums.mean().item() == pytest.approx(1, abs=0.05)


def test_no_ids_have_no_attention():
    nothing = torch.empty(2, 3, 0, 8, dtype=torch.bfloat16)
    assert documents_of_two_rows([], 0).attend(nothing, nothing, nothing, 0.0).shape == nothing.shape


def test_blocks_are_not_compiled_for_each_batch(monkeypatch):
    counter = CompileCounter()
    compiled = torch.compile(lambda documents, x: documents.attend(x, x, x, 0.0), backend=counter)
    x = torch.randn(2, 3, 300, 8, dtype=torch.bfloat16)
    for ends in ([5], [6], [250], [301, 302]):
        compiled(documents_of_two_rows(ends, 300), x)
    assert counter.frame_count == 1


def documents_of_two_rows(ends, n_tokens):
    """Documents that end where told, and where the two rows do; behind, the number of ids a few times more."""
    ends = sorted({0, *ends, n_tokens, 2 * n_tokens})
    return Documents(torch.tensor([*ends, ends[-1], ends[-1]], dtype=torch.int32), n_rows=2, n_tokens=n_tokens)


def test_the_kernel_of_pieces_is_asked_for_what_it_understands():
    """The CUDA path without numbers: shapes and types, on the meta device."""
    pytest.importorskip("torch", minversion="2.11", reason="torch 2.10 has no window_size in varlen_attn")
    documents = Documents(torch.empty(8, dtype=torch.int32, device="meta"), n_rows=2, n_tokens=8)
    q, k, v = (torch.empty(2, 4, 8, 16, device="meta", dtype=torch.bfloat16) for _ in range(3))
    mixed = documents._by_pieces(q, k, v)
    assert (mixed.shape, mixed.dtype) == (q.shape, q.dtype)


@pytest.mark.parametrize(
    ("width", "dtype", "capability", "takes"),
    [
        (64, torch.bfloat16, (8, 0), True),
        (64, torch.float16, (7, 5), False),
        (12, torch.bfloat16, (9, 0), False),
        (64, torch.float32, (9, 0), False),
    ],
)
def test_the_kernel_of_pieces_is_not_asked_for_what_it_refuses(monkeypatch, width, dtype, capability, takes):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    monkeypatch.setattr("bytemill.model.documents._attention_of_pieces", lambda: print)
    queries = SimpleNamespace(shape=(2, 4, 8, width), dtype=dtype, is_cuda=True, device="cuda:0")
    assert _flash_takes(queries) is takes


def test_a_run_trains_and_validates_within_documents(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(f'{{"text": "{"to be or not " * (1 + n % 4)}"}}' for n in range(99)))
    tokenizer = Tokenizer.train(texts=["to be or not "], vocab_size=261)
    prepare(tmp_path / "a.jsonl", tmp_path / "shards", tokenizer=tokenizer, val=0.2)
    settings = ["data.mask_documents=true", "data.batch_size=3", "data.seq_len=16", f"data.path={tmp_path / 'shards'}"]
    shape = [f"model.{name}={value}" for name, value in SHAPE.items() if name not in ("vocab_size", "n_positions")]
    task = pretrain_task_from_config(load_config(overrides=[*settings, *shape])).task
    inputs, _, cu_seqlens = batch = next(iter(task.batches))
    starts = inputs.flatten() == tokenizer.eot_token
    inside = {int(place) for place in cu_seqlens if place < inputs.numel()}
    assert inside == {*starts.nonzero().flatten().tolist(), 0, 16, 32}
    assert task.loss(task.model, batch).loss_sum > 0
    assert 4 < task.validate()["val_loss"] < 8


def test_a_run_may_keep_short_documents_whole(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(f'{{"text": "{"to be or not " * (1 + n % 4)}"}}' for n in range(99)))
    tokenizer = Tokenizer.train(texts=["to be or not "], vocab_size=261)
    prepare(tmp_path / "a.jsonl", tmp_path / "shards", tokenizer=tokenizer, val=0.2)
    where = [f"data.path={tmp_path / 'shards'}", "data.batch_size=3", "data.seq_len=64"]
    shape = ["model.n_layer=1", "model.n_head=1", "model.n_embd=4"]
    task = pretrain_task_from_config(load_config(overrides=[*where, *shape, "data.packing=bestfit"])).task
    inputs, _ = next(iter(task.batches))
    assert (inputs[:, 0] == tokenizer.eot_token).all(), "each row begins with a document"
    chunked = pretrain_task_from_config(load_config(overrides=[*where, *shape])).task
    assert not (next(iter(chunked.batches))[0][:, 0] == tokenizer.eot_token).all()


def test_the_last_batch_of_a_pass_is_cut_with_its_boundaries(tmp_path):
    class Loader:
        n_samples = 3

        def __iter__(self):
            while True:
                yield torch.zeros(2, 8, dtype=torch.int64), torch.zeros(2, 8, dtype=torch.int64), CU_SEQLENS

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    batches = list(one_pass(Loader()))
    assert [len(inputs) for inputs, *_ in batches] == [2, 1]
    assert batches[1][2].tolist() == [0, 5, 6, 8, 8, 8, 8, 8]
    torch.manual_seed(0)
    assert held_out_loss(GPT2(GPT2Config(**SHAPE)), batches).n_tokens == 24


def test_packed_rows_give_the_loss_and_the_gradient_of_padded_ones(model):
    rows = [Row(np.arange(1, 2 + length), 2) for length in (12, 3, 9)]  # together longer than the context
    sums, gradients = [], []
    for batch in (collate(rows, pad_id=0), collate_packed(rows)):
        model.zero_grad()
        loss = next_token_loss(model, tuple(map(torch.as_tensor, batch)))
        loss.loss_sum.backward()
        sums.append((float(loss.loss_sum.detach()), int(loss.weight)))
        gradients.append(model.blocks[1].mlp.expand.weight.grad.clone())
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
    assert sums[0][1] == 11 + 2 + 8
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_a_packed_row_longer_than_the_context_is_refused(model):
    batch = collate_packed([Row(np.arange(1, 19), 1), Row(np.arange(1, 4), 1)])
    with pytest.raises(DataError, match="17 tokens do not fit into the model's 16 positions"):
        next_token_loss(model, tuple(map(torch.as_tensor, batch)))


def test_tuning_takes_packed_rows_from_its_settings(tmp_path):
    rows = [{"instruction": f"say {n}", "input": "", "output": f"the cat sat on {n}"} for n in range(40)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    Tokenizer.train(texts=["to be or not "], vocab_size=261).save(tmp_path / "tokenizer.json")
    losses = []
    for packs in ("false", "true"):
        settings = {
            **{f"model.{name}": SHAPE[name] for name in ("n_embd", "n_layer", "n_head")},
            "data.path": tmp_path / "rows.json",
            "data.tokenizer": tmp_path / "tokenizer.json",
            "data.pack_rows": packs,
            "data.batch_size": 3,
        }
        config = load_config(overrides=["task=instruct", *(f"{name}={value}" for name, value in settings.items())])
        task, _, _ = tuning_task_from_config(config)
        batch = tuple(map(torch.as_tensor, next(iter(task.batches))))
        losses.append((float(task.loss(task.model, batch).loss_sum.detach()), task.validate()["val_loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["task=instruct", "data.mask_documents=true"], "^data.mask_documents is for pretraining; task instruct may"),
        (["task=instruct", "data.packing=bestfit"], "^data.packing is for pretraining; task instruct has rows"),
        (["data.pack_rows=true"], "^data.pack_rows is for the tasks lm, instruct and chat, not for pretrain"),
    ],
)
def test_a_setting_of_another_task_is_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(overrides=settings)
