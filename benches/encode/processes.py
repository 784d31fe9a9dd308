"""Tables that need a fresh process per rival and round: unseen, peak, threads, load, unique, hostile, growth."""

import itertools
import json
import signal
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import texts
from bench import MIB, Bench
from fresh import HOSTILE, checksum
from fresh import hostile as hostile_text
from page import Figure, Table
from timing import cpu_seconds

__all__ = ["growth", "hostile", "load", "threads", "unique", "unseen"]

MOST_SECONDS = 4  # of CPU for one hostile text, loading included
GROWTH_ROUNDS = 5
# A virtual machine returns free huge pages to its host, so a process sometimes needs 60-150 ms to get them back.
FRESH_ROUNDS = 5
SHORTEST_SECONDS = 1e-4  # less than the resolution of the CPU clock

Result = dict[str, Any]  # a line of JSON from a fresh process


def unseen(bench: Bench, table: Table, peak: Table) -> None:
    """Measure encoding each byte once in a fresh process, and its peak memory."""
    n_bytes = len(bench.text.encode())
    room = {name: bench.room(name, n_bytes) for name in bench.everyone}
    expected = {n: checksum(bench.reference.to_array(texts.cut_bytes(bench.text, n))) for n in set(room.values())}
    results = _children(
        {name: ["unseen", name, bench.vocabulary, str(bench.path), str(room[name])] for name in room},
        max(FRESH_ROUNDS, bench.rounds),
    )
    table.rows[bench.row], peak.rows[bench.row] = {}, {}
    for name, rounds in results.items():
        fault = _fault(rounds) or ("" if rounds[0]["crc"] == expected[room[name]] else "wrong ids")
        seconds = 0.0 if fault else statistics.median(one["first"] for one in rounds)
        table.rows[bench.row][name] = fault or room[name] / seconds / 1e6
        mib = 0.0 if fault else float(max(one["peak_mib"] for one in rounds))
        partial = "" if room[name] == n_bytes else f"{mib:.0f} for {room[name] / 1e6:.0f} MB"
        peak.rows[bench.row][name] = fault or partial or mib


def threads(bench: Bench, table: Table) -> None:
    """Measure 4 KB documents in one call on two processors, in wall time."""
    cpus = ",".join(map(str, bench.cpus[:2]))
    room = {name: bench.room(name, bench.bytes_wanted) for name in bench.everyone}
    results = _children(
        {name: ["threads", name, bench.vocabulary, str(bench.path), str(room[name]), cpus] for name in room}, 2
    )
    table.rows[bench.row] = {
        name: _fault(rounds) or room[name] / min(one["seconds"] for one in rounds) / 1e6
        for name, rounds in results.items()
    }


def load(bench: Bench, table: Table) -> None:
    """Measure import, vocabulary and first call in a fresh process: CPU seconds, and memory afterwards."""
    results = _children({name: ["load", name, bench.vocabulary] for name in bench.everyone}, bench.rounds)
    for what, field_name in (("seconds", "seconds"), ("MiB", "mib")):
        table.rows[f"{bench.vocabulary}, {what}"] = {
            name: _fault(rounds) or float(statistics.median(one[field_name] for one in rounds))
            for name, rounds in results.items()
        }


def unique(bench: Bench, table: Table) -> None:
    """Measure the memory that is kept after text of words that never repeat."""
    results = _children(
        {name: ["unique", name, bench.vocabulary, str(bench.unique_mib), "20"] for name in bench.everyone}, 1
    )
    row: dict[str, Figure] = {}
    for name, rounds in results.items():
        one = rounds[0]
        short = (
            "" if one.get("mib") == bench.unique_mib else f"{one.get('grown_mib', 0):.0f} after {one.get('mib')} MiB"
        )
        row[name] = _fault(rounds) or short or float(one["grown_mib"])
    table.rows[f"{bench.vocabulary}, {bench.unique_mib} MiB"] = row


def hostile(bench: Bench, table: Table) -> None:
    """Measure adversarial text: CPU time of 1 MiB of unseen text, and how many times as much 2 MiB take."""
    for kind in HOSTILE:
        arguments = [bench.vocabulary, kind, str(MIB), str(MOST_SECONDS)]
        results = {name: _child(["hostile", name, *arguments], seconds=60) for name in bench.everyone}
        expected = next(
            (results[name][0]["crc"] for name in ("tiktoken", "bytemill") if _answered(results.get(name))), None
        )
        row: dict[str, Figure] = {}
        growth: dict[str, Figure] = {}
        for name, lines in results.items():
            fault = "" if _answered(lines) else _fault(lines) or f"over {MOST_SECONDS} s"
            if not fault and lines[0]["crc"] != expected:
                fault = "wrong ids"
            row[name] = fault or float(lines[0]["seconds"]) * 1e3
            growth[name] = fault or lines[1]["seconds"] / max(lines[0]["seconds"], SHORTEST_SECONDS)
        table.rows[f"{bench.vocabulary}, {kind}, ms"] = row
        table.rows[f"{bench.vocabulary}, {kind}, growth"] = growth


def growth(bench: Bench, table: Table) -> None:
    """Measure only bytemill: CPU time of adversarial text of 1 to 16 MiB, and the largest growth when it doubles.

    Each round uses another random text, because the cached part of a repeated text is larger for a small text.
    """
    encode, mib = bench.everyone["bytemill"].to_array, (1, 2, 4, 8, 16)
    for kind in HOSTILE:
        seconds = [
            min(cpu_seconds(partial(encode, hostile_text(kind, n * MIB, seed))) for seed in range(GROWTH_ROUNDS))
            for n in mib
        ]
        worst = max(more / less for less, more in itertools.pairwise(seconds))
        row: dict[str, Figure] = {f"{n} MiB": one * 1e3 for n, one in zip(mib, seconds, strict=True)}
        table.rows[f"{bench.vocabulary}, {kind}"] = row | {"worst doubling": worst}


def _children(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Result]]:
    """Run one fresh process per rival and round, interleaved; return the last line of each."""
    results: dict[str, list[Result]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            results[name] += _child(command, seconds=90)[-1:]
    return results


def _child(command: list[str], seconds: float) -> list[Result]:
    script = Path(__file__).with_name("fresh.py")
    with subprocess.Popen(
        [sys.executable, str(script), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
    lines = [*map(json.loads, out.splitlines())]
    crashed = process.returncode in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL)
    return [{"failed": "crashes"}] if crashed else lines


def _answered(lines: list[Result] | None) -> bool:
    """Return whether both texts were encoded."""
    return lines is not None and len(lines) == 2 and not _fault(lines)


def _fault(lines: list[Result]) -> str:
    """Return a short text on the first failure of a rival's processes; "" if none failed."""
    if not lines:
        return "no answer"
    return next((f"fails: {line['failed'][:40]}" for line in lines if "failed" in line), "")
