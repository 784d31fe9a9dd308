"""Tables that need fresh processes, one a rival and round: unseen, peak, threads, load, unique, hostile, growth."""

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
# A virtual machine gives large pages that lie free back to its host: now and then a process pays 60-150 ms to get them.
FRESH_ROUNDS = 5
SHORTEST_SECONDS = 1e-4  # less than the clock of the CPU tells

Told = dict[str, Any]  # a line of JSON from a fresh process


def unseen(bench: Bench, table: Table, peak: Table) -> None:
    """Each byte once, in a fresh process; and the most memory that this took."""
    n_bytes = len(bench.text.encode())
    room = {name: bench.room(name, n_bytes) for name in bench.everyone}
    expected = {n: checksum(bench.reference.to_array(texts.cut_bytes(bench.text, n))) for n in set(room.values())}
    told = _children(
        {name: ["unseen", name, bench.vocabulary, str(bench.path), str(room[name])] for name in room},
        max(FRESH_ROUNDS, bench.rounds),
    )
    table.rows[bench.row], peak.rows[bench.row] = {}, {}
    for name, rounds in told.items():
        fault = _fault(rounds) or ("" if rounds[0]["crc"] == expected[room[name]] else "wrong ids")
        seconds = 0.0 if fault else statistics.median(one["first"] for one in rounds)
        table.rows[bench.row][name] = fault or room[name] / seconds / 1e6
        mib = 0.0 if fault else float(max(one["peak_mib"] for one in rounds))
        partial = "" if room[name] == n_bytes else f"{mib:.0f} for {room[name] / 1e6:.0f} MB"
        peak.rows[bench.row][name] = fault or partial or mib


def threads(bench: Bench, table: Table) -> None:
    """4 KB documents in one call, two processors; wall time."""
    cpus = ",".join(map(str, bench.cpus[:2]))
    room = {name: bench.room(name, bench.bytes_wanted) for name in bench.everyone}
    told = _children(
        {name: ["threads", name, bench.vocabulary, str(bench.path), str(room[name]), cpus] for name in room}, 2
    )
    table.rows[bench.row] = {
        name: _fault(rounds) or room[name] / min(one["seconds"] for one in rounds) / 1e6
        for name, rounds in told.items()
    }


def load(bench: Bench, table: Table) -> None:
    """Import, vocabulary and the first call, in a fresh process; CPU seconds, and the memory then held."""
    told = _children({name: ["load", name, bench.vocabulary] for name in bench.everyone}, bench.rounds)
    for what, field_name in (("seconds", "seconds"), ("MiB", "mib")):
        table.rows[f"{bench.vocabulary}, {what}"] = {
            name: _fault(rounds) or float(statistics.median(one[field_name] for one in rounds))
            for name, rounds in told.items()
        }


def unique(bench: Bench, table: Table) -> None:
    """Memory that stays after text whose words never repeat."""
    told = _children(
        {name: ["unique", name, bench.vocabulary, str(bench.unique_mib), "20"] for name in bench.everyone}, 1
    )
    row: dict[str, Figure] = {}
    for name, rounds in told.items():
        one = rounds[0]
        short = (
            "" if one.get("mib") == bench.unique_mib else f"{one.get('grown_mib', 0):.0f} after {one.get('mib')} MiB"
        )
        row[name] = _fault(rounds) or short or float(one["grown_mib"])
    table.rows[f"{bench.vocabulary}, {bench.unique_mib} MiB"] = row


def hostile(bench: Bench, table: Table) -> None:
    """Text that tokenizers fear: CPU time of 1 MiB never met before, and how many times more 2 MiB take."""
    for kind in HOSTILE:
        arguments = [bench.vocabulary, kind, str(MIB), str(MOST_SECONDS)]
        told = {name: _child(["hostile", name, *arguments], seconds=60) for name in bench.everyone}
        expected = next((told[name][0]["crc"] for name in ("tiktoken", "bytemill") if _answered(told.get(name))), None)
        row: dict[str, Figure] = {}
        growth: dict[str, Figure] = {}
        for name, lines in told.items():
            fault = "" if _answered(lines) else _fault(lines) or f"over {MOST_SECONDS} s"
            if not fault and lines[0]["crc"] != expected:
                fault = "wrong ids"
            row[name] = fault or float(lines[0]["seconds"]) * 1e3
            growth[name] = fault or lines[1]["seconds"] / max(lines[0]["seconds"], SHORTEST_SECONDS)
        table.rows[f"{bench.vocabulary}, {kind}, ms"] = row
        table.rows[f"{bench.vocabulary}, {kind}, growth"] = growth


def growth(bench: Bench, table: Table) -> None:
    """Bytemill alone: CPU time of hostile text of 1 to 16 MiB, and the most that doubling it costs.

    Random text is another in each round: what is remembered of the same one is a larger part of a small text.
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


def _children(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Told]]:
    """What fresh processes tell, a process for each rival a round, in turn; the last line of each."""
    told: dict[str, list[Told]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            told[name] += _child(command, seconds=90)[-1:]
    return told


def _child(command: list[str], seconds: float) -> list[Told]:
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


def _answered(lines: list[Told] | None) -> bool:
    """Whether both texts were done."""
    return lines is not None and len(lines) == 2 and not _fault(lines)


def _fault(lines: list[Told]) -> str:
    """The first failure of a rival's processes, shortly."""
    if not lines:
        return "no answer"
    return next((f"fails: {line['failed'][:40]}" for line in lines if "failed" in line), "")
