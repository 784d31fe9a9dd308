"""Measure time and memory of training a vocabulary, for bytemill and its rivals; the merges are compared first.

Every run is a fresh process (see trainers.py), on one thread by default. The file is fed by line, as Hugging Face does,
or as a whole, as the rival does. Rounds are interleaved and the table has medians. A run of more than some seconds is
not repeated, and Hugging Face's trainer runs at one size only. If a rival's merges differ from bytemill's with the same
rule, the first difference is reported. The parts are: the rivals, two threads, the manual.

    python benches/train_vocabulary.py --rivals-python ENV/bin/python --text english=en.txt --text code=code.txt \
        --text chinese=zh.txt --manual pku_manual/manual.txt --json out.json --write docs/benchmarks/vocabulary.md
    python benches/train_vocabulary.py --part threads --text english=en.txt
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import summary
from trainers import MODULES, RIVALS

WORKER = Path(__file__).with_name("trainers.py")
SLOW_SECONDS = 4.0  # of CPU; what takes longer is not repeated
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
BEGIN, END = "<!-- benches/train_vocabulary.py -->", "<!-- end of benches/train_vocabulary.py -->"
PARTS = ("rivals", "threads", "manual")
DEFAULT = "bytemill huggingface lines"

Task = tuple[Path, str, int, int]  # text, pattern, vocabulary, threads


def start(name: str, task: Task, python: str, out: Path) -> subprocess.Popen[str]:
    """Start one trainer in a process; environment variables limit libraries to one thread."""
    command = [python, str(WORKER), name, *map(str, task), str(out)]
    return subprocess.Popen(command, env=os.environ | ONE_THREAD, stderr=subprocess.PIPE, text=True)


def run(name: str, task: Task, python: str = sys.executable) -> dict:
    """Return the figures of one trainer and its tokens in hexadecimal, or its failure."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        process = start(name, task, python, out)
        message = process.communicate()[1].strip().splitlines()
        if process.returncode:
            return {"failed": (message or [f"exit {process.returncode}"])[-1][:100]}
        return json.loads(out.read_text())


def difference(found: list[str], expected: list[str]) -> str:
    """Return where two lists of tokens differ, in words."""
    if found == expected:
        return "equal"
    at = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
    return f"differ from merge {at}" if at is not None else f"{len(found)} instead of {len(expected)}"


def medians(runs: list[dict]) -> dict:
    """Return the medians of the runs with the tokens of the first, or the first failure."""
    failed = next((run for run in runs if "failed" in run), None)
    if failed:
        return failed
    numbers = {key: statistics.median(run[key] for run in runs) for key in ("cpu_seconds", "seconds", "peak_mib")}
    return numbers | {"tokens": runs[0]["tokens"], "rounds": len(runs)}


def compare(task: Task, rivals: list[str], python: str, rounds: int) -> list[dict]:
    """Return the rows for one text, pattern and vocabulary."""
    wanted = dict.fromkeys([DEFAULT, *(RIVALS[name][1] for name in rivals)])
    trainers = dict.fromkeys(wanted, sys.executable) | dict.fromkeys(rivals, python)
    runs: dict[str, list[dict]] = {name: [] for name in trainers}
    for _ in range(rounds):
        for name, interpreter in trainers.items():
            if not any(done.get("cpu_seconds", SLOW_SECONDS) >= SLOW_SECONDS for done in runs[name]):
                runs[name].append(run(name, task, interpreter))
    found = {name: medians(done) for name, done in runs.items()}
    rows = []
    for name in trainers:
        row, twin = found[name] | {"trainer": name}, found[RIVALS[name][1]] if name in RIVALS else None
        if twin and "tokens" in row and "tokens" in twin:
            row["merges"] = difference(row["tokens"], twin["tokens"])
            row["times_ours"] = row["cpu_seconds"] / twin["cpu_seconds"]
        rows.append({key: value for key, value in row.items() if key != "tokens"})
    return rows


def rival_rows(arguments: argparse.Namespace, texts: dict[str, Path], rivals: list[str]) -> list[dict]:
    """Compare on every text at every size with GPT-2's pattern, and at the middle size with the other pattern."""
    rows = []
    sizes = arguments.vocab_size or [8_192, 32_768, 50_257]
    middle = sorted(sizes)[len(sizes) // 2]
    tasks = [("gpt2", size) for size in sizes] + [("cl100k", middle)]
    for text, path in texts.items():
        for pattern, size in tasks:
            if arguments.pattern and pattern not in arguments.pattern:
                continue
            known = [name for name in rivals if pattern in RIVALS[name][2]]
            known = [name for name in known if name != "tokenizers" or size == middle]
            about = {"text": text, "megabytes": path.stat().st_size / 1e6, "pattern": pattern, "vocab_size": size}
            compared = compare((path, pattern, size, 1), known, arguments.rivals_python, arguments.rounds)
            rows += [about | row for row in compared]
            print(f"{text} {pattern} {size}: done", file=sys.stderr)
    return rows


def wall_seconds(tasks: list[Task]) -> float:
    """Run tasks at the same time; return the seconds of the longest call, which shows the machine's total speed."""
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{number}.json" for number in range(len(tasks))]
        processes = [start(DEFAULT, task, sys.executable, out) for task, out in zip(tasks, outs, strict=True)]
        for process in processes:
            process.communicate()
        return max(json.loads(out.read_text())["seconds"] for out in outs)


def thread_rows(texts: dict[str, Path], rounds: int) -> list[dict]:
    """Time counting (a vocabulary of one merge) on one and two threads, and in two simultaneous processes."""
    rows = []
    for text, path in texts.items():
        seconds: dict[str, list[float]] = {"one": [], "two": [], "apart": []}
        for _ in range(rounds):
            seconds["one"].append(wall_seconds([(path, "gpt2", 257, 1)]))
            seconds["two"].append(wall_seconds([(path, "gpt2", 257, 2)]))
            seconds["apart"].append(wall_seconds([(path, "gpt2", 257, 1)] * 2))
        one, two, apart = (statistics.median(seconds[name]) for name in ("one", "two", "apart"))
        rows.append({"text": text, "one": one, "two": two, "faster": one / two, "ceiling": 2 * one / apart})
    return rows


def manual_rows(path: Path, rivals: list[str], python: str, rounds: int) -> list[dict]:
    """Time a short text at 1,024 ids without a pattern; rivals use a pattern that matches the whole text instead."""
    able = [name for name in ("rustbpe", "minibperust") if name in rivals]
    trainers = {"bytemill first_seen documents": sys.executable} | dict.fromkeys(able, python)
    return [
        {"trainer": name, **medians([run(name, (path, "none", 1024, 1), interpreter) for _ in range(rounds)])}
        for name, interpreter in trainers.items()
    ]


def tables(found: dict) -> str:
    """Return all parts as Markdown."""
    parts = []
    if found["rivals"]:
        head = "| text | pattern | vocabulary | trainer | CPU s | peak MiB | x ours | merges |\n|" + "---|" * 8
        parts.append("\n".join([head, *map(rival_line, found["rivals"])]))
    if found["threads"]:
        head = "| counting | one thread, s | two, s | faster | two processes (the machine's ceiling) |\n|" + "---|" * 5
        line = "| {text} | {one:.2f} | {two:.2f} | {faster:.2f} | {ceiling:.2f} |"
        parts.append("\n".join([head, *(line.format(**row) for row in found["threads"])]))
    if found["manual"]:
        head = "| the manual at 1,024, no pattern | CPU ms | peak MiB |\n|---|---|---|"
        lines = [
            f"| {row['trainer']} | {row['failed']} | |"
            if "failed" in row
            else f"| {row['trainer']} | {row['cpu_seconds'] * 1e3:.0f} | {row['peak_mib']:.0f} |"
            for row in found["manual"]
        ]
        parts.append("\n".join([head, *lines]))
    return "\n\n".join(parts)


def rival_line(row: dict) -> str:
    """Return a row of the first table."""
    first = f"| {row['text']} {row['megabytes']:.0f} MB | {row['pattern']} | {row['vocab_size']:,} | {row['trainer']} |"
    if "failed" in row:
        return f"{first} | | | {row['failed']} |"
    times = f"{row['times_ours']:.1f}" if "times_ours" in row else ""
    return f"{first} {row['cpu_seconds']:.2f} | {row['peak_mib']:.0f} | {times} | {row.get('merges', '')} |"


def python_sources(folder: Path, most_bytes: int) -> Path:
    """Write a text of the Python files of this installation, which exists on every machine."""
    path = folder / "python.txt"
    with path.open("wb") as text:
        for source in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
            content = source.read_bytes()
            if content.isascii() and text.tell() < most_bytes:
                text.write(content)
    return path


def installed(rivals: list[str], python: str) -> tuple[list[str], list[str]]:
    """Return which of the rivals the interpreter has, and which it lacks."""
    names = {name: MODULES[name] for name in rivals}
    found = f"[name for name, module in {names!r}.items() if find_spec(module)]"
    ask = f"import json; from importlib.util import find_spec; print(json.dumps({found}))"
    there = json.loads(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout)
    return there, [name for name in rivals if name not in there]


def processor() -> str:
    """Return the processor's name, as reported by the system."""
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return match.group(1) if match else platform.processor()


def write_section(page: Path, section: str) -> None:
    """Write `section` between its markers in `page`, or at the end of `page` if there are none."""
    text = page.read_text(encoding="utf-8")
    marked = f"{BEGIN}\n{section}\n{END}\n"
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        text = before + marked + rest.split(f"{END}\n", 1)[1]
    else:
        text = f"{text.rstrip()}\n\n{marked}"
    page.write_text(text, encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="append", metavar="NAME=FILE", help="UTF-8; default: Python's own library")
    parser.add_argument("--manual", type=Path, help="the short text of the part manual")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--vocab-size", action="append", type=int, help="default: 8192, 32768 and 50257")
    parser.add_argument("--pattern", action="append", choices=("gpt2", "cl100k"), help="default: both")
    parser.add_argument("--rival", action="append", choices=RIVALS, help="default: all")
    parser.add_argument("--rivals-python", default=sys.executable, help="an interpreter with the rivals")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="also write the tables into this Markdown page")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    parts, began = arguments.part or PARTS, time.perf_counter()
    rivals, missing = installed(arguments.rival or list(RIVALS), arguments.rivals_python)
    found: dict = {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        named = dict(text.split("=", 1) for text in arguments.text or [])
        texts = {name: Path(path) for name, path in named.items()} or {"python": python_sources(Path(folder), 31 << 20)}
        if "rivals" in parts:
            found["rivals"] = rival_rows(arguments, texts, rivals)
        if "threads" in parts:
            found["threads"] = thread_rows(texts, max(arguments.rounds, 3))
        if "manual" in parts and arguments.manual:
            found["manual"] = manual_rows(arguments.manual, rivals, arguments.rivals_python, max(arguments.rounds, 3))
    words = [re.sub(r"[^=]*/", "", word) for word in sys.argv[1:]]  # no folders of this machine
    command = " ".join(["python benches/train_vocabulary.py", *words])
    machine = {"processor": processor(), "cpus": os.cpu_count(), "system": platform.platform()}
    minutes = (time.perf_counter() - began) / 60
    about = (
        f"`{command}`, {datetime.datetime.now(tz=datetime.UTC):%-d %B %Y}; {machine['processor']}, {machine['cpus']} "
        f"CPUs, Python {platform.python_version()}; {minutes:.0f} minutes, load {os.getloadavg()[2]:.1f}."
        + (f" Not installed: {', '.join(missing)}." if missing else "")
    )
    section = f"## Compared with other trainers\n\n{about}\n\n{tables(found)}"
    print(section)
    if arguments.json:
        arguments.json.write_text(json.dumps(machine | {"command": command, "missing": missing} | found, indent=1))
    if arguments.write:
        write_section(arguments.write, section)
    if arguments.write and arguments.write.resolve() == summary.VOCABULARY:
        summary.main()


if __name__ == "__main__":
    main()
