"""Statistics of a folder of shards for `bytemill data stats`: as tables, JSON and a plot."""

from __future__ import annotations

import heapq
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.data.inspect import split_statistics
from bytemill.data.manifest import read_manifest
from bytemill.errors import ArgumentError
from bytemill.files import write_bytes
from bytemill.notebook.backend import imported_matplotlib
from bytemill.outside_text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from bytemill.tokenizer import Tokenizer

__all__ = ["folder_statistics", "plot_lengths", "print_statistics"]

MAX_SHOWN_SOURCES = 50
"""Maximum inputs in the table of sources; --json lists all."""
_PERCENTILES = (5, 25, 50, 75, 95)


def folder_statistics(folder: Path, tokenizer: Tokenizer | None = None) -> dict[str, Any]:
    """Return the figures of each split, and each input's share of the bytes.

    Args:
        folder: A folder that `prepare` wrote.
        tokenizer: Spells the frequent tokens.

    Raises:
        FormatError: The shards are damaged.
        DataError: The tokenizer is not that of the shards.
    """
    manifest = read_manifest(folder)
    if tokenizer is not None:
        manifest.refuse_other(tokenizer)
    found: dict[str, Any] = {"n_vocab": manifest.n_vocab}
    for split in ("train", "val"):
        figures = split_statistics(manifest, split)
        if not figures.n_tokens:
            continue
        lengths = figures.lengths
        found[split] = {
            "tokens": figures.n_tokens,
            "documents": len(lengths),
            "used_ids": figures.n_used_ids,
            "length": {
                "mean": float(lengths.mean()) if len(lengths) else 0.0,
                **{f"p{p}": int(np.percentile(lengths, p)) for p in _PERCENTILES if len(lengths)},
                "largest": int(lengths.max(initial=0)),
            },
            "frequent": [
                {"id": token, "text": _spelled(token, tokenizer), "count": count, "share": count / figures.n_tokens}
                for token, count in figures.frequent
            ],
        }
    n_bytes = sum(entry["bytes"] for entry in manifest.inputs)
    found["sources"] = [
        {"name": entry["name"], "bytes": entry["bytes"], "share": entry["bytes"] / max(n_bytes, 1)}
        for entry in manifest.inputs
    ]
    return found


def _spelled(token: int, tokenizer: Tokenizer | None) -> str | None:
    return None if tokenizer is None else tokenizer.decode_single_token_bytes(token).decode(errors="replace")


def print_statistics(found: dict[str, Any], *, as_json: bool) -> None:
    """Print tables or one JSON object to stdout."""
    if as_json:
        print(json.dumps(found))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for split in ("train", "val"):
        if split not in found:
            continue
        figures = found[split]
        lengths = ", ".join(f"{name} {value:,.0f}" for name, value in figures["length"].items())
        documents = f"{figures['documents']:,} document{'s' * (figures['documents'] != 1)}"
        print(f"{split}: {figures['tokens']:,} tokens of {documents}")
        print(f"  tokens a document: {lengths}")
        print(f"  ids that occur: {figures['used_ids']:,} of {found['n_vocab']:,}")
        table = Table("id", "text", "count", "share", title=f"{split}: most frequent tokens", title_justify="left")
        for row in figures["frequent"]:
            text = Text("" if row["text"] is None else repr(row["text"]))  # literally: a token may look like markup
            table.add_row(str(row["id"]), text, f"{row['count']:,}", f"{row['share']:.2%}")
        console.print(table)
    table = Table("source", "bytes", "share", title="share of each source", title_justify="left")
    largest = heapq.nlargest(MAX_SHOWN_SOURCES, found["sources"], key=lambda row: row["bytes"])
    for row in found["sources"] if len(largest) == len(found["sources"]) else largest:
        table.add_row(Text(printable(row["name"])), f"{row['bytes']:,}", f"{row['share']:.2%}")
    console.print(table)
    if len(found["sources"]) > len(largest):
        rest = sum(row["share"] for row in found["sources"]) - sum(row["share"] for row in largest)
        print(f"  and {len(found['sources']) - len(largest):,} smaller sources with {rest:.2%}; --json lists all")


def plot_lengths(folder: Path, path: Path) -> None:
    """Plot a histogram of the training documents' lengths with logarithmic axes."""
    imported_matplotlib()
    from matplotlib.figure import Figure

    lengths = split_statistics(read_manifest(folder), "train").lengths
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    edges = np.geomspace(1, max(int(lengths.max(initial=1)), 2) + 1, 40)
    axes.hist(lengths, bins=edges.tolist())
    axes.set(xscale="log", yscale="log", xlabel="tokens a document", ylabel="documents")
    form = path.suffix.removeprefix(".") or "png"
    if form not in figure.canvas.get_supported_filetypes():
        raise ArgumentError(f"{path}: no plot can be written as .{form}; expected .png, .svg or .pdf")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=form, bbox_inches="tight")
    write_bytes(path, drawn.getvalue())
