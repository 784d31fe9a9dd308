"""Measure one rival in a fresh process, and print the results as lines of JSON.

python fresh.py TASK RIVAL VOCABULARY [ARGUMENT]...

unseen  TEXT N      CPU seconds of the first and of the second pass over N bytes, peak memory, checksum of the ids
load                CPU seconds and memory of import and vocabulary
threads TEXT N CPUS wall seconds of N bytes as 4 KB documents in one call, on these processors
unique  MEGABYTES S memory after that much text of words that never repeat, or after S CPU seconds
hostile KIND N S    CPU seconds and checksum of N and of 2 N bytes of adversarial text, at most S seconds
"""

import json
import os
import resource
import sys
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np

import rivals
import texts
import vocabularies
from timing import cpu_seconds

__all__ = ["HOSTILE", "checksum", "hostile"]

HOSTILE = ("a", "spaces", "carets", "combining marks", "random letters", "base64")
_STATUS = Path("/proc/self/status")


def memory_mib(field: str) -> float:
    """Return VmRSS (current) or VmHWM (peak) of this process in MiB; NaN if there is no /proc."""
    if not _STATUS.exists():
        return float("nan")
    return next(
        int(line.split()[1]) / 1024
        for line in _STATUS.read_text(encoding="utf-8").splitlines()
        if line.startswith(field)
    )


def hostile(kind: str, n_bytes: int, seed: int = 7) -> str:
    """Return `n_bytes` of text of this kind; random kinds use `seed`."""
    random = np.random.default_rng(seed)
    alphabets = {
        "random letters": "abcdefghijklmnopqrstuvwxyz",
        "base64": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    }
    if kind in alphabets:
        letters = np.frombuffer(alphabets[kind].encode(), dtype=np.uint8)
        return bytes(letters[random.integers(0, len(letters), n_bytes)]).decode()
    if kind == "combining marks":
        return "e" + "\u0301" * (n_bytes // 2)
    return {"a": "a", "spaces": " ", "carets": "^"}[kind] * n_bytes


def unique_words(random: np.random.Generator) -> str:
    """Return 1 MiB of words of random letters, nearly all of them new."""
    letters = random.integers(97, 123, size=((1 << 20) // 9, 9), dtype=np.uint8)
    letters[:, 0] = 32
    return letters.tobytes().decode()


def checksum(ids: rivals.Ids) -> int:
    return zlib.crc32(np.ascontiguousarray(rivals.as_array(ids)).tobytes())


def unseen(rival: rivals.Rival, path: str, n_bytes: str) -> None:
    text = _text(path, int(n_bytes))
    before = memory_mib("VmRSS")
    began = time.process_time()
    ids = rival.to_array(text)
    first = time.process_time() - began
    peak, crc = memory_mib("VmHWM") - before, checksum(ids)
    del ids
    report(first=first, second=cpu_seconds(partial(rival.to_array, text)), peak_mib=peak, crc=crc)


def threads(rival: rivals.Rival, path: str, n_bytes: str) -> None:
    batch = rival.batch
    if batch is None:
        return report(seconds=None)
    many = texts.documents(_text(path, int(n_bytes)), 4096)
    batch(many)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        result = batch(many)
        times.append(time.perf_counter() - began)
        del result
    return report(seconds=sorted(times)[1])


def unique(rival: rivals.Rival, megabytes: str, most_seconds: str) -> None:
    random = np.random.default_rng(3)
    rival.to_array(unique_words(random))
    before, seconds, done = memory_mib("VmRSS"), 0.0, 0
    while done < int(megabytes) and seconds < float(most_seconds):
        text = unique_words(random)
        seconds += cpu_seconds(partial(rival.to_array, text))
        done += 1
    report(grown_mib=memory_mib("VmRSS") - before, mib=done, seconds=seconds)


def adversarial(rival: rivals.Rival, kind: str, n_bytes: str, most_seconds: str) -> None:
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + int(most_seconds), used + int(most_seconds)))
    rival.to_array("warm up")
    for n in (int(n_bytes), 2 * int(n_bytes)):
        text = hostile(kind, n)
        began = time.process_time()
        ids = rival.to_array(text)  # once: a cache may contain the whole text afterwards
        report(seconds=time.process_time() - began, crc=checksum(ids))


def report(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def _text(path: str, n_bytes: int) -> str:
    return texts.cut_bytes(Path(path).read_bytes()[:n_bytes].decode(errors="ignore"), n_bytes)


def main(task: str, name: str, short: str, *arguments: str) -> None:
    if task == "threads":  # before a rival starts its threads
        cpus = arguments[-1]
        arguments = arguments[:-1]
        os.sched_setaffinity(0, map(int, cpus.split(",")))
    vocabulary = vocabularies.find(short)
    before, began = memory_mib("VmRSS"), time.process_time()
    try:
        rival = rivals.make(name, vocabulary)
    except Exception as error:
        return report(failed=f"{error}"[:200])
    if task == "load":
        rival.to_array("the first call may load more")
        return report(seconds=time.process_time() - began, mib=memory_mib("VmRSS") - before)
    tasks = {"unseen": unseen, "threads": threads, "unique": unique, "hostile": adversarial}
    try:
        tasks[task](rival, *arguments)
    except BaseException as error:  # a panic in Rust is not an Exception
        report(failed=f"{type(error).__name__}: {error}"[:200])


if __name__ == "__main__":
    main(*sys.argv[1:])
