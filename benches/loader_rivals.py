"""Other loaders that deliver batches of (inputs, targets) from the same tokens: one endless stream per rival.

Each is set up as in its own documentation, in this process (no workers), so that its CPU time can be measured. A rival
that is not installed raises ImportError and is reported as missing. As a script, this file times one rival for
loader.py with another interpreter: `python loader_rivals.py NAME SHARDS FOLDER ROUNDS` prints its rate and version.
"""

import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from loader_measure import BATCH, LENGTH, Batches, check, interleaved, read_tokens, windows


def nanogpt(tokens: np.ndarray, folder: Path) -> Batches:
    """karpathy/nanoGPT: a new memory map per batch, random windows."""
    path = folder / "raw.bin"
    if not path.exists():
        tokens.tofile(path)
    while True:
        data = np.memmap(path, dtype=np.uint16, mode="r")
        places = torch.randint(len(data) - LENGTH, (BATCH,)).tolist()
        rows = [torch.from_numpy(data[i : i + LENGTH + 1].astype(np.int64)) for i in places]
        yield torch.stack([row[:-1] for row in rows]), torch.stack([row[1:] for row in rows])


def build_nanogpt(tokens: np.ndarray, folder: Path) -> Batches:
    """karpathy/build-nanogpt: a whole shard of 100 M tokens as int64 in memory, read in order."""
    size = 100_000_000
    paths = [folder / f"shard_{number}.npy" for number in range(-(-len(tokens) // size))]
    for number, path in enumerate(paths):
        if not path.exists():
            np.save(path, tokens[number * size : (number + 1) * size])
    while True:
        for path in paths:
            shard = torch.tensor(np.load(path).astype(np.int32), dtype=torch.long)
            for first in range(0, len(shard) - BATCH * LENGTH, BATCH * LENGTH):
                piece = shard[first : first + BATCH * LENGTH + 1]
                yield piece[:-1].view(BATCH, LENGTH), piece[1:].view(BATCH, LENGTH)


def huggingface(tokens: np.ndarray, folder: Path) -> Batches:
    """Hugging Face datasets, rows of T + 1 tokens in Arrow, shuffled by torch's DataLoader."""
    import datasets
    import pyarrow
    from torch.utils.data import DataLoader

    path = folder / "arrow"
    if not path.exists():
        flat = pyarrow.array(np.ascontiguousarray(windows(tokens)).reshape(-1))
        rows = pyarrow.FixedSizeListArray.from_arrays(flat, LENGTH + 1)
        datasets.Dataset(datasets.table.InMemoryTable(pyarrow.table({"ids": rows}))).save_to_disk(path)
    rows = datasets.load_from_disk(path).with_format("torch")
    while True:
        for batch in DataLoader(rows, batch_size=BATCH, shuffle=True, drop_last=True):
            ids = batch["ids"].long()
            yield ids[:, :-1], ids[:, 1:]


def litdata(tokens: np.ndarray, folder: Path) -> Batches:
    """Lightning's litdata: StreamingDataset over chunks written for its TokensLoader, shuffled."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming.writer import BinaryWriter

    path = folder / "litdata"
    if not path.exists():
        path.mkdir()
        writer = BinaryWriter(str(path), chunk_size=(LENGTH + 1) * 2_048, item_loader=TokensLoader(LENGTH + 1))
        for number, row in enumerate(windows(tokens)):
            writer[number] = torch.from_numpy(row.astype(np.uint16))
        writer.done()
        writer.merge()
    rows = StreamingDataset(str(path), item_loader=TokensLoader(LENGTH + 1), shuffle=True, drop_last=True)
    while True:
        for batch in StreamingDataLoader(rows, batch_size=BATCH, drop_last=True):
            ids = batch.long()
            yield ids[:, :-1], ids[:, 1:]


def grain(tokens: np.ndarray, folder: Path) -> Batches:
    """Google's grain: a map dataset over a memory map, shuffled globally."""
    import grain as library

    rows = windows(tokens)

    class Source:
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, number: int) -> np.ndarray:
            return rows[number].astype(np.int64)

    stream = library.MapDataset.source(Source()).shuffle(seed=1).repeat().batch(BATCH)
    for batch in stream.to_iter_dataset(library.ReadOptions(num_threads=0, prefetch_buffer_size=0)):
        ids = torch.from_numpy(batch)
        yield ids[:, :-1], ids[:, 1:]


def mosaicml(tokens: np.ndarray, folder: Path) -> Batches:
    """MosaicML's streaming: MDS shards of uint16 rows, shuffled, in torch's DataLoader."""
    from streaming import MDSWriter, StreamingDataset
    from torch.utils.data import DataLoader

    path = folder / "mds"
    if not path.exists():
        with MDSWriter(out=str(path), columns={"ids": f"ndarray:uint16:{LENGTH + 1}"}) as writer:
            for row in windows(tokens):
                writer.write({"ids": row})
    rows = StreamingDataset(local=str(path), shuffle=True, batch_size=BATCH)
    collate = lambda batch: torch.from_numpy(np.stack([row["ids"] for row in batch]).astype(np.int64))  # noqa: E731
    while True:
        for ids in DataLoader(rows, batch_size=BATCH, collate_fn=collate, drop_last=True):
            yield ids[:, :-1], ids[:, 1:]


RIVALS: dict[str, Callable[[np.ndarray, Path], Batches]] = {
    "nanoGPT": nanogpt,
    "build-nanogpt (in order)": build_nanogpt,
    "datasets + DataLoader": huggingface,
    "litdata": litdata,
    "grain": grain,
    "MosaicML streaming": mosaicml,
}
PACKAGES = {"datasets": "datasets", "litdata": "litdata", "grain": "grain", "streaming": "mosaicml-streaming"}


def main() -> None:
    name, shards, folder, rounds = sys.argv[1:]
    torch.set_num_threads(1)
    tokens = read_tokens(Path(shards))
    batches = RIVALS[name](tokens, Path(folder))
    check(name, batches, {row[:-1].tobytes() for row in windows(tokens)})
    rate = interleaved({name: batches}, int(rounds), {})[name]
    print(json.dumps({"rate": rate, "version": metadata.version("mosaicml-streaming")}))


if __name__ == "__main__":
    main()
