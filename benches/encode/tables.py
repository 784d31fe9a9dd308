"""Tables measured in this process; one function per table fills the row of one vocabulary and text.

Ids are compared with the reference before the timing.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

import texts
from bench import MIB, Bench
from page import Figure, Table
from rivals import Rival, as_array
from timing import Work, interleaved

__all__ = ["calls", "decode", "document_calls", "lists", "warm"]

CALLS = 1_000


def warm(bench: Bench, table: Table) -> None:
    """Measure all ids of one long string that was encoded before."""
    _encoding(bench, table, lambda rival: rival.to_array, bench.bytes_wanted)


def lists(bench: Bench, table: Table) -> None:
    """Measure the same as `warm`, but with ids as Python lists."""
    _encoding(bench, table, lambda rival: rival.to_list, bench.bytes_wanted // 4)


def document_calls(bench: Bench, table: Table) -> None:
    """Measure one call per document of 4 KB."""
    work: dict[str, Work] = {}
    sizes: dict[str, int] = {}
    row: dict[str, Figure] = dict.fromkeys(bench.everyone, "")
    for name, rival in bench.everyone.items():
        sizes[name] = bench.room(name, bench.bytes_wanted // 4)
        many = texts.documents(texts.cut_bytes(bench.text, sizes[name]), 4096)
        if fault := _differs(bench, rival.to_array, many[:200]):
            row[name] = fault
            continue
        work[name] = partial(_each, rival.to_array, many)
    for name, seconds in interleaved(work, bench.rounds).items():
        row[name] = sizes[name] / seconds / 1e6
    table.rows[bench.row] = row


def calls(bench: Bench, table: Table) -> None:
    """Measure single short calls, each with another piece of the text."""
    for n_bytes in (20, 200):
        many = texts.pieces(bench.text, n_bytes, CALLS)
        for kind in ("array", "list"):
            row: dict[str, Figure] = dict.fromkeys(bench.everyone, "")
            work: dict[str, Work] = {}
            for name, rival in bench.everyone.items():
                call = rival.to_array if kind == "array" else rival.to_list
                if fault := _differs(bench, call, many[:200]):
                    row[name] = fault
                    continue
                work[name] = partial(_each, call, many)
            for name, seconds in interleaved(work, bench.rounds).items():
                row[name] = seconds / len(many) * 1e6
            table.rows[f"{bench.row}, {n_bytes} bytes, {kind}"] = row


def decode(bench: Bench, table: Table) -> None:
    """Measure decoding a numpy array of uint32 ids to bytes, or to text if a rival returns no bytes."""
    text = texts.cut_bytes(bench.text, 4 * MIB)
    ids = as_array(bench.reference.to_array(text))
    row: dict[str, Figure] = dict.fromkeys(bench.everyone, "")
    work: dict[str, Work] = {}
    for name, rival in bench.everyone.items():
        if rival.to_bytes is None:
            continue
        back = rival.to_bytes(ids)
        if (back if isinstance(back, bytes) else str(back).encode()) != text.encode():
            row[name] = "wrong text"
            continue
        work[name] = partial(rival.to_bytes, ids)
    for name, seconds in interleaved(work, bench.rounds).items():
        row[name] = len(ids) / seconds / 1e6
    table.rows[bench.row] = row


def _encoding(bench: Bench, table: Table, face: Callable[[Rival], Callable[[str], object]], bytes_wanted: int) -> None:
    row: dict[str, Figure] = dict.fromkeys(bench.everyone, "")
    work: dict[str, Work] = {}
    sizes: dict[str, int] = {}
    for name, rival in bench.everyone.items():
        text = texts.cut_bytes(bench.text, bench.room(name, bytes_wanted))
        sizes[name] = len(text.encode())
        if fault := _differs(bench, face(rival), [text]):
            row[name] = fault
            continue
        work[name] = partial(face(rival), text)
    for name, seconds in interleaved(work, bench.rounds).items():
        row[name] = sizes[name] / seconds / 1e6
    table.rows[bench.row] = row


def _each(call: Callable[[str], object], many: list[str]) -> list[object]:
    return [call(one) for one in many]


def _differs(bench: Bench, call: Callable[[str], object], many: list[str]) -> str:
    """Return why a rival is not timed, or ""."""
    try:
        same = all(np.array_equal(as_array(call(one)), as_array(bench.reference.to_array(one))) for one in many)
    except Exception as error:
        return f"raises {type(error).__name__}"
    return "" if same else "wrong ids"
