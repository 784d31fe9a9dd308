"""Others read our shards: Megatron-Core's own reader, llm.c's and modded-nanogpt's checks, nanoGPT's memory map."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bytemill import Tokenizer, _core
from bytemill.data import prepare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", params=[300, 70_000])
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one shard; with 70,000 ids tokens take four bytes."""
    folder = tmp_path_factory.mktemp("parity")
    rows = [json.dumps({"text": f"row {i}: {i**3}" * (i % 9 + 1)}) for i in range(3_000)]
    (folder / "a.jsonl").write_text("\n".join(rows))
    special = ("<|endoftext|>",)
    if request.param > 65_536:
        special += tuple(f"<|unused_{i}|>" for i in range(request.param - 300))
    tokenizer = Tokenizer.train(files=[folder / "a.jsonl"], vocab_size=299 + len(special), special_tokens=special)
    prepare(folder / "a.jsonl", folder / "shards", tokenizer=tokenizer, val=0.0)
    return folder / "shards"


@pytest.fixture
def documents(shards: Path) -> list[list[int]]:
    reader = _core.SplitReader(str(shards), "train")
    starts = [*reader.document_starts().tolist(), len(reader)]
    ids = reader.read(0, len(reader)).tolist()
    return [ids[start:end] for start, end in itertools.pairwise(starts)]


@pytest.mark.filterwarnings("ignore")
def test_megatron_core_reads_the_same_documents(shards: Path, documents: list[list[int]]) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed")
    found = indexed.IndexedDataset(str(shards / "train_000000"))
    assert len(found) == len(documents)
    assert all(found[i].tolist() == documents[i] for i in range(len(documents)))


def test_llm_c_and_modded_nanogpt_accept_the_header(shards: Path, documents: list[list[int]]) -> None:
    """What llm.c's dataloader_load_shard_ and modded-nanogpt's _load_data_shard check, word by word."""
    path = shards / "train_000000.bin"
    words = np.fromfile(path, dtype="<i4", count=256)
    width = {1: 2, 7: 4}[int(words[1])]
    n_tokens = sum(map(len, documents))
    assert words[0] == 20_240_520
    assert words[2] == n_tokens
    assert path.stat().st_size == 256 * 4 + n_tokens * width


def test_nanogpt_maps_the_same_tokens(shards: Path, documents: list[list[int]]) -> None:
    path = shards / "train_000000.bin"
    dtype = np.uint16 if np.fromfile(path, dtype="<i4", count=2)[1] == 1 else np.uint32
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=1_024)
    assert mapped.tolist() == [token for document in documents for token in document]
