"""TokenLoader: its memory, its types, its workers, the files of others, and what it tells of documents."""

from __future__ import annotations

import copy
import itertools
import pickle
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare, read_manifest
from bytemill.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = {"batch_size": 4, "seq_len": 16}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loader")
    rows = [f'{{"text": "line {i} of {i * i} and {i % 7}"}}' for i in range(3_000)]
    (folder / "a.jsonl").write_text("\n".join(rows))
    tokenizer = Tokenizer.train(files=[folder / "a.jsonl"], vocab_size=300)
    prepare(folder / "a.jsonl", folder / "shards", tokenizer=tokenizer, shard_tokens=9_000)
    return folder / "shards"


@pytest.fixture(scope="module")
def tokens(shards: Path) -> np.ndarray:
    """All tokens of the train split, as nanoGPT would read them: a memory map that skips the header."""
    names = sorted(shards.glob("train_*.bin"))
    return np.concatenate([np.memmap(name, dtype=np.uint16, mode="r", offset=1_024) for name in names])


def take(loader: TokenLoader, n: int) -> list[torch.Tensor]:
    return [inputs.clone() for inputs, *_ in itertools.islice(loader, n)]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_stays_untouched_while_any_view_of_it_is_held(shards: Path) -> None:
    for dtype in (torch.int64, torch.int32):
        loader = TokenLoader(shards, **SHAPE, dtype=dtype)
        held = [(targets[1, 3:5], targets[1, 3:5].clone()) for _, targets in itertools.islice(loader, 50)]
        assert all(torch.equal(view, kept) for view, kept in held)


def test_memory_is_used_again_when_nobody_holds_it(shards: Path) -> None:
    loader = TokenLoader(shards, **SHAPE)
    addresses = {next(loader)[0].data_ptr() for _ in range(500)}
    assert len(addresses) < 20


def test_int32_is_one_buffer_and_int64_is_contiguous(shards: Path) -> None:
    narrow, wide = next(TokenLoader(shards, **SHAPE, dtype=torch.int32)), next(TokenLoader(shards, **SHAPE))
    assert narrow[1].data_ptr() - narrow[0].data_ptr() == 4
    assert all(tensor.is_contiguous() for tensor in wide)
    assert all(torch.equal(a, b.long()) for a, b in zip(wide, narrow, strict=True))


def test_batches_are_the_permuted_windows_also_mapped_and_unshuffled(shards: Path, tokens: np.ndarray) -> None:
    n = (len(tokens) - 1) // 16
    in_order = TokenLoader(shards, **SHAPE, shuffle=False, mmap=True)
    for first in range(0, n - 4, 4):
        inputs, targets = next(in_order)
        assert inputs.flatten().tolist() == tokens[first * 16 : (first + 4) * 16].tolist()
        assert targets.flatten().tolist() == tokens[first * 16 + 1 : (first + 4) * 16 + 1].tolist()
    epoch = torch.cat(take(TokenLoader(shards, **SHAPE), n // 4 + 1))[:n]
    assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, tokens[: n * 16].reshape(n, 16).tolist()))


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_dataloader_gives_the_same_batches_in_the_same_order(shards: Path, context: str) -> None:
    loader = TokenLoader(shards, **SHAPE, rank=1, world_size=2)
    next(loader)
    workers = DataLoader(loader, batch_size=None, num_workers=2, multiprocessing_context=context)
    inside = [inputs.clone() for inputs, _ in itertools.islice(workers, 9)]
    assert same(inside, take(loader, 9))


def test_pickled_and_copied_it_goes_on_from_the_same_place(shards: Path) -> None:
    loader = TokenLoader(shards, **SHAPE, seed=3)
    take(loader, 5)
    others = [pickle.loads(pickle.dumps(loader)), copy.deepcopy(loader)]
    expected = take(loader, 5)
    assert all(same(take(other, 5), expected) for other in others)


def test_documents_are_where_end_of_text_stands(shards: Path) -> None:
    end_of_text = read_manifest(shards).end_of_text
    ids, bounds = (TokenLoader(shards, **SHAPE, documents=how) for how in ("ids", "cu_seqlens"))
    for (inputs, _, pieces), (_, _, starts) in itertools.islice(zip(ids, bounds, strict=True), 50):
        begins = inputs == end_of_text
        begins[:, 0] = True
        assert torch.equal(pieces.flatten().long(), begins.flatten().cumsum(0) - 1)
        n = int(begins.sum())
        assert starts[:n].tolist() == begins.flatten().nonzero().flatten().tolist()
        assert starts[n:].unique().tolist() == [64]
        assert len(starts) == len(next(bounds)[2]) or pytest.fail("the length is not fixed")
        next(ids)


def test_files_of_others_give_the_same_tokens(shards: Path, tokens: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", tokens)
    tokens.tofile(tmp_path / "raw.bin")
    header = np.zeros(256, dtype=np.int32)
    header[:3] = 20_240_520, 7, len(tokens)
    (tmp_path / "wide.bin").write_bytes(header.tobytes() + tokens.astype(np.uint32).tobytes())
    ours = take(TokenLoader(shards, **SHAPE), 40)
    assert same(take(TokenLoader(tmp_path / "x.npy", **SHAPE), 40), ours)
    assert same(take(TokenLoader(tmp_path / "raw.bin", **SHAPE, stored_dtype="uint16"), 40), ours)
    assert same(take(TokenLoader(tmp_path / "wide.bin", **SHAPE), 40), ours)
    assert same(take(TokenLoader(sorted(shards.glob("train_*.bin")), **SHAPE), 40), ours)  # llm.c's way
    with pytest.raises(FormatError, match="for raw tokens set stored_dtype"):
        TokenLoader(tmp_path / "raw.bin", **SHAPE)
    with pytest.raises(ArgumentError, match="a file has no splits"):
        TokenLoader(tmp_path / "x.npy", **SHAPE, split="val")
    with pytest.raises(FormatError, match="without document boundaries; use shards written by bytemill"):
        next(TokenLoader(tmp_path / "x.npy", **SHAPE, documents="ids"))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="descr"):
        TokenLoader(tmp_path / "objects.npy", **SHAPE)


def test_the_state_is_small(shards: Path) -> None:
    assert len(str(TokenLoader([shards, shards], **SHAPE, weights=[1, 3]).state_dict())) < 1_024


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_bestfit_packs_whole_documents_and_every_token_once(
    shards: Path, tokens: np.ndarray, dtype: torch.dtype
) -> None:
    loader = TokenLoader(shards, batch_size=1, seq_len=64, packing="bestfit", documents="ids", dtype=dtype)
    end_of_text, n_whole, seen, followed = read_manifest(shards).end_of_text, 0, [], []
    for inputs, targets, pieces in itertools.islice(loader, loader.n_samples):
        assert (inputs.shape, targets.shape, pieces.shape) == ((1, 64),) * 3
        seen += inputs.flatten().tolist()
        followed += zip(inputs.flatten().tolist(), targets.flatten().tolist(), strict=True)
        for piece in range(int(pieces.max()) + 1):
            inside = pieces == piece
            n_whole += int(inputs[inside][0] == end_of_text and targets[inside][-1] == end_of_text)
    n = loader.n_samples * 64
    assert sorted(seen) == sorted(tokens[:n].tolist())
    assert sorted(followed) == sorted(itertools.pairwise(tokens[: n + 1].tolist()))
    assert n_whole > 0.9 * (tokens[:n] == end_of_text).sum()  # by "chunk" it is 0.8


def test_bestfit_resumes_at_any_world_size_and_pickles(shards: Path) -> None:
    options = {**SHAPE, "packing": "bestfit", "seed": 5}
    whole = TokenLoader(shards, **options)
    expected = take(whole, 30)
    first = TokenLoader(shards, **options)
    assert same(take(first, 10), expected[:10])
    ranks = [TokenLoader(shards, **options, rank=rank, world_size=2) for rank in (0, 1)]
    for rank in ranks:
        rank.load_state_dict(first.state_dict())
    halves = [take(rank, 10) for rank in ranks]
    assert same([batch for pair in zip(*halves, strict=True) for batch in pair], expected[10:])
    assert same(take(pickle.loads(pickle.dumps(ranks[0])), 3), take(ranks[0], 3))
    assert ranks[0].state_dict()["packing"] == "bestfit"
    with pytest.raises(ArgumentError, match="packing is chunk in the saved state, expected this loader's bestfit"):
        first.load_state_dict(TokenLoader(shards, **SHAPE, seed=5).state_dict())
    with pytest.raises(ArgumentError, match='packing is "best", expected chunk or bestfit'):
        TokenLoader(shards, **SHAPE, packing="best")


def test_reading_ahead_begins_and_ends_with_pauses_and_changes_nothing(shards: Path) -> None:
    expected = take(TokenLoader(shards, **SHAPE, prefetch_batches=0), 80)
    loader = TokenLoader(shards, **SHAPE)
    found = []
    for number in range(80):
        found += take(loader, 1)
        if 10 <= number < 20:
            time.sleep(0.001)
    assert same(found, expected)
