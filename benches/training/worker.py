"""Run some training steps of one contender in this process; print CPU seconds, losses and peak memory.

    python benches/training/worker.py bytemill --precision bf16 --vocab-size 512 --steps 5 --text input.txt

Memory is the peak resident memory minus that before the model was built; the first step is not timed.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from contenders import BATCH, CONTENDERS, N_POSITIONS, Batch, Setting


def batches(text: Path, vocab_size: int) -> Iterator[Batch]:
    """Yield windows of the text's bytes, or of pairs of bytes for a large vocabulary; equal for all contenders."""
    data = text.read_bytes()
    pairs = vocab_size >= 2**15
    ids = np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2" if pairs else "u1").astype(np.int64) % vocab_size
    for number in range(10**9):
        starts = np.random.default_rng(number).integers(0, len(ids) - N_POSITIONS, BATCH)
        windows = torch.from_numpy(np.stack([ids[s : s + N_POSITIONS + 1] for s in starts]))
        yield windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


def resident_mib() -> float:
    """Return this process's resident memory in MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    """Return this process's peak resident memory in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--vocab-size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup-steps", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--checkout", type=Path)
    asked = parser.parse_args()

    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    _import(asked.contender)
    setting = Setting(
        asked.vocab_size,
        asked.precision,
        asked.compile,
        batches(asked.text, asked.vocab_size),
        asked.warmup_steps,
        asked.weights,
        asked.checkout,
    )
    before = resident_mib()
    step = CONTENDERS[asked.contender](setting)
    losses, seconds = [step()], []
    for _ in range(asked.steps):
        began = time.process_time()
        losses.append(step())
        seconds.append(time.process_time() - began)
    print(json.dumps({"cpu_seconds": seconds, "losses": losses, "peak_mib": peak_mib() - before}))


def _import(contender: str) -> None:
    """Import the contender's libraries, so that they do not count as the model's memory."""
    import torch._dynamo  # every torch optimizer imports it, which takes a hundred MiB

    if contender == "bytemill":
        import bytemill.tasks.pretrain
        import bytemill.train.learner  # noqa: F401
    if contender == "transformers":
        from transformers import GPT2LMHeadModel  # noqa: F401
    torch.ones(64, 64) @ torch.ones(64, 64)


if __name__ == "__main__":
    main()
