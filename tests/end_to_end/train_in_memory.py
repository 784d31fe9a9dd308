"""A small training run that is killed on purpose: the subject of test_kill_and_resume.py.

    train_in_memory.py kills FOLDER N SEED     N kills at random instants
    train_in_memory.py faults FOLDER STRIDE    a kill before every STRIDE-th call that touches the disk
    train_in_memory.py one FOLDER              one try, as one process of those that torchrun would start
    train_in_memory.py part FOLDER STEPS FSDP  the same up to a step, resumed if there is something; FSDP is 0 or 1

torch is imported once; each try is a forked child, so that a kill costs a fraction of a second. The
children are killed by SIGKILL, which no handler sees and no `finally` follows. Prints a JSON object.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # an optimizer imports it at its first use: once here, not once a try
from safetensors.torch import load_file

from bytemill import files
from bytemill.model import GPT2, GPT2Config, generate, weight_files
from bytemill.train.loop import fit
from bytemill.train.machine.distributed import World
from bytemill.train.run.metrics import read_json_lines
from stand_ins import VOCAB_SIZE, TinyStream, tiny_config, tiny_loss, tiny_task

RANDOM_KILLS = tiny_config(max_steps=40, checkpoint_every=4, eval_every=7, sample_every=10)
DISK_FAULTS = tiny_config(max_steps=9, checkpoint_every=3, eval_every=2, keep_checkpoints=1)
TWO_PROCESSES = tiny_config(max_steps=100, micro_batches=2, checkpoint_every=0, eval_every=0)


def slow_loss(model, batch):
    time.sleep(0.003)  # else the whole run fits between two kills
    return tiny_loss(model, batch)


def train(folder: Path, config) -> None:
    """One try: go on where the last one was killed."""
    resume = (folder / "config.toml").exists()
    fit(tiny_task(loss=slow_loss), config, folder, resume=resume, progress=False)


def child(body) -> int:
    """Run `body` in a forked child; returns its process id."""
    process = os.fork()
    if process:
        return process
    try:
        body()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def ended_well(process: int) -> bool:
    """Wait; whether the child finished (and was not killed). Any other end is an error."""
    status = os.waitpid(process, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    assert os.waitstatus_to_exitcode(status) == 0, "a try failed: see stderr"
    return True


def result(folder: Path) -> dict[str, object]:
    """What must be equal between a run that was killed and one that was not."""
    last = max((folder / "checkpoints").iterdir())
    keys = ("step", "loss", "lr", "grad_norm", "tokens", "val_loss")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    leftovers = [str(path) for path in folder.rglob("*.tmp*")]
    return {
        "weights": (last / "model.safetensors").read_bytes().hex(),
        "optimizer": (last / "optimizer.safetensors").read_bytes().hex(),
        "checkpoints": sorted(path.name for path in (folder / "checkpoints").iterdir()),
        "metrics": [[line.get(key) for key in keys] for line in lines],
        "samples": (folder / "samples.jsonl").read_text(),
        "leftovers": leftovers,
    }


def check_equal(run: Path, whole: Path) -> None:
    found, expected = result(run), result(whole)
    differing = [name for name in expected if found[name] != expected[name]]
    assert not differing, f"{run} differs in {', '.join(differing)}; left over: {found['leftovers']}"


def kills(folder: Path, n_kills: int, seed: int) -> dict[str, int]:
    """Kill runs at random instants until there were `n_kills`; each run must end like one left alone."""
    draw = random.Random(seed)
    began = time.monotonic()
    assert ended_well(child(lambda: train(folder / "whole", RANDOM_KILLS)))
    seconds = time.monotonic() - began
    n_done, n_runs = 0, 0
    while n_done < n_kills:
        run = folder / f"run_{n_runs}"
        while True:
            process = child(lambda run=run: train(run, RANDOM_KILLS))
            if n_done < n_kills:
                time.sleep(draw.uniform(0, 0.6 * seconds))
                os.kill(process, signal.SIGKILL)
            if ended_well(process):
                break
            n_done += 1
        check_equal(run, folder / "whole")
        n_runs += 1
    return {"kills": n_done, "runs": n_runs}


def faults(folder: Path, stride: int) -> dict[str, int]:
    """Kill before the first, second, … call that touches the disk; each run must end like one left alone."""
    assert ended_well(child(lambda: train(folder / "whole", DISK_FAULTS)))
    for n_kills, call in enumerate(range(1, 1000, stride)):
        run = folder / f"call_{call}"
        if ended_well(child(lambda run=run, call=call: (kill_before(call), train(run, DISK_FAULTS)))):
            return {"kills": n_kills, "calls": call - 1}
        assert ended_well(child(lambda run=run: train(run, DISK_FAULTS)))
        check_equal(run, folder / "whole")
        shutil.rmtree(run)
    raise AssertionError("the run never ends")


def kill_before(call: int) -> None:
    """Have this process killed before its `call`-th call that touches the disk, a write half done.

    The core's writer is out of reach of hooks: its steps are called from here one by one, as `write_whole` takes them.
    """
    numbers = itertools.count(1)

    def counted(work, half=None):
        def counting(*arguments, **options):
            if next(numbers) == call:
                if half is not None:
                    half(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*arguments, **options)

        return counting

    create_file = counted(files.DurableFile)

    class CountedFile:
        def __init__(self, path):
            file = create_file(path)
            self.write = counted(file.write, lambda contents: file.write(contents[: len(contents) // 2]))
            self.commit = counted(file.commit)
            self.hand_over, self.reopen, self.discard = file.hand_over, file.reopen, file.discard

    def write_whole(path, contents):
        file = CountedFile(path)
        file.write(contents)
        file.commit()

    really_open, really_write = os.open, os.write
    open_new = counted(really_open)
    files.DurableFile, files.write_whole = CountedFile, write_whole
    weight_files.save_file = counted(weight_files.save_file, lambda _, path: path.write_bytes(b"\x10\x00\x00"))
    os.open = lambda path, flags, *rest, **options: (open_new if flags & os.O_CREAT else really_open)(
        path, flags, *rest, **options
    )
    os.write = counted(really_write, lambda opened, content: really_write(opened, content[: len(content) // 2]))
    for name in ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink"):
        setattr(os, name, counted(getattr(os, name)))


def one(folder: Path) -> dict[str, object]:
    """One try of a run of one or more processes."""
    world = World.from_environment()
    stream = TinyStream(rank=world.rank, world_size=world.size)
    fit(tiny_task(dropout=0.0, batches=stream), TWO_PROCESSES, folder, progress=False)
    return result(folder) if world.is_first else {}


def timed(folder: Path) -> dict[str, object]:
    """A run of one or more processes with a time limit shorter than a step; which step it ended after."""
    world = World.from_environment()
    stream = TinyStream(rank=world.rank, world_size=world.size)
    config = TWO_PROCESSES.with_train(max_steps=10**9, max_seconds=1e-6)
    outcome = fit(tiny_task(dropout=0.0, batches=stream), config, folder, progress=False)
    return {"steps": outcome.steps, "is_complete": outcome.is_complete}


def part(folder: Path, max_steps: int, fsdp: int) -> dict[str, object]:
    """Steps of a small GPT-2 that validates and samples on the way; its losses and weights as numbers."""
    world = World.from_environment()
    torch.manual_seed(0)
    # A bias of the keys changes nothing: its gradient is rounding alone, which AdamW would blow up.
    shape = {"n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2, "pad_vocab_to": 1, "qkv_bias": False}
    model = GPT2(GPT2Config(vocab_size=VOCAB_SIZE, **shape))
    validation = TinyStream(n_samples=3)

    def validate() -> dict[str, float]:
        validation.load_state_dict({"position": 0})
        return {"val_loss": float(model(*next(validation))[1])}

    task = tiny_task(
        model=model,
        batches=TinyStream(rank=world.rank, world_size=world.size),
        validate=validate,
        samples=lambda: [{"prompt": "", "text": str(generate(model, torch.tensor([[1]]), max_new_tokens=4, seed=1))}],
        model_config={},
    )
    config = tiny_config(
        max_steps=max_steps,
        micro_batches=2,
        schedule="constant",
        eval_every=5,
        sample_every=5,
        checkpoint_every=5,
        parallel="fsdp" if fsdp else "ddp",
    )
    fit(task, config, folder, resume=(folder / "config.toml").exists(), progress=False)
    if not world.is_first:
        return {}
    weights = load_file(folder / "checkpoints" / f"step_{max_steps:08d}" / "model.safetensors")
    lines = read_json_lines(folder / "metrics.jsonl")
    return {
        "losses": [[line.get("loss"), line.get("val_loss")] for line in lines],
        "weights": {name: weight.flatten().tolist() for name, weight in weights.items()},
    }


def main() -> None:
    torch.set_num_threads(1)
    kind, folder = sys.argv[1], Path(sys.argv[2])
    numbers = [int(text) for text in sys.argv[3:]]
    print(
        json.dumps({"kills": kills, "faults": faults, "one": one, "part": part, "timed": timed}[kind](folder, *numbers))
    )


if __name__ == "__main__":
    main()
