"""Runs a sweep: each planned run in its own process, until all are done; a second call continues the sweep.

A run of a sweep is an ordinary run in `FOLDER/NAME`, started with the same command that a user would type. So its
memory is freed at its end, a crash does not affect other runs, and it can be repeated by hand.

    FOLDER/plan.json           names and varied settings of the runs
    FOLDER/configs/NAME.toml   settings of the run
    FOLDER/logs/NAME.txt       output of the command
    FOLDER/NAME/               the run's folder; its sweep.json says how the run ended

The next call repeats failed runs, but not finished ones.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from bytemill.errors import ConfigError, FormatError
from bytemill.experiment.sweep.plan import write_plan
from bytemill.files import open_to_append, remove_leftovers, write_text
from bytemill.json_reader import read_object
from bytemill.places import without_user
from bytemill.system.processes import ask_to_stop, start_in_background
from bytemill.train.config import changed_settings, dump_toml, load_config, portable_config
from bytemill.train.run.folder_lock import alone_in
from bytemill.train.signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from subprocess import Popen

    from bytemill.experiment.sweep.plan import PlannedRun

__all__ = ["Ended", "ended_run", "run_command", "run_sweep", "visible_gpus"]

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Ended:
    """How a run's process ended."""

    exit_code: int
    seconds: float
    """Seconds of all attempts together."""
    error: str = ""
    """Last output line of a failed run."""


def run_sweep(
    planned: Sequence[PlannedRun],
    folder: Path,
    *,
    parallel: int | None = None,
    shown: Callable[[PlannedRun, Ended | None], None] = lambda _, __: None,
) -> list[Ended]:
    """Do all runs that are not done; interrupted runs continue from their last checkpoint.

    Args:
        planned: From `read_sweep`.
        folder: Folder of the sweep; created if missing.
        parallel: Number of runs at a time; default one per visible GPU, at least one.
        shown: Called when a run starts (with None) and when it has ended.

    Raises:
        ConfigError: A run was started with other settings, or another sweep uses this folder.
        Interrupted: SIGTERM or SIGINT was received; the runs have saved checkpoints.
    """
    gpus = visible_gpus()
    slots = [gpus[i % len(gpus)] if gpus else None for i in range(parallel or len(gpus) or 1)]
    with alone_in(folder, others="another sweep, or a run of one,") as lock:
        remove_leftovers(folder / "configs", [f"{run.name}.toml" for run in planned])
        for run in planned:
            _write_settings(run, folder)
        write_plan(planned, folder)
        waiting = [run for run in planned if (ended := ended_run(folder / run.name)) is None or ended.exit_code]
        _run_all(waiting, folder, slots, lock, shown)
    done = [ended_run(folder / run.name) for run in planned]
    return [ended for ended in done if ended is not None]


def ended_run(run_dir: Path) -> Ended | None:
    """Return how a run of a sweep ended; None if it has not ended."""
    try:
        fields = read_object(run_dir / "sweep.json")
    except FileNotFoundError:
        return None
    try:
        return Ended(int(fields["exit_code"]), float(fields["seconds"]), str(fields.get("error", "")))
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{run_dir / 'sweep.json'}: expected exit_code and seconds as numbers") from None


def run_command(run: PlannedRun, folder: Path) -> list[str]:
    """Return the command that starts or resumes a run."""
    task = ["train"] if run.config.task == "pretrain" else ["finetune", run.config.task]
    resume = ["--resume"] if (folder / run.name / "config.toml").exists() else []
    files = ["--config", str(folder / "configs" / f"{run.name}.toml"), "--output", str(folder / run.name)]
    return [sys.executable, "-m", "bytemill", *task, *files, *resume]


def visible_gpus() -> list[str]:
    """Return the values of CUDA_VISIBLE_DEVICES that select one GPU each."""
    import torch

    n_gpus = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:n_gpus] if named else [str(i) for i in range(n_gpus)]


@dataclass
class _Running:
    """A run's process."""

    run: PlannedRun
    slot: str | None
    process: Popen[bytes]
    began: float


def _run_all(
    waiting: list[PlannedRun],
    folder: Path,
    slots: list[str | None],
    lock: IO[bytes],
    shown: Callable[[PlannedRun, Ended | None], None],
) -> None:
    running: list[_Running] = []
    with StopSignals() as signals:
        try:
            while waiting or running:
                signals.check()
                while waiting and slots:
                    running.append(_start(waiting.pop(0), folder, slots.pop(0), lock))
                    shown(running[-1].run, None)
                time.sleep(_POLL_SECONDS)
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    slots.append(one.slot)
                    shown(one.run, _note_end(one, folder))
        finally:
            for one in running:
                ask_to_stop(one.process)
            for one in running:  # each writes a checkpoint before it ends
                one.process.wait()


def _start(run: PlannedRun, folder: Path, slot: str | None, lock: IO[bytes]) -> _Running:
    environment = os.environ if slot is None else {**os.environ, "CUDA_VISIBLE_DEVICES": slot}
    (folder / "logs").mkdir(exist_ok=True)
    with open_to_append(folder / "logs" / f"{run.name}.txt") as log:
        # Ctrl-C goes only to the sweep, which stops its runs; they keep holding the lock if the sweep is killed.
        process = start_in_background(run_command(run, folder), log=log, environment=environment, lock=lock.fileno())
    return _Running(run, slot, process, time.monotonic())


def _note_end(one: _Running, folder: Path) -> Ended:
    before = ended_run(folder / one.run.name)
    seconds = time.monotonic() - one.began + (before.seconds if before else 0.0)
    code = one.process.returncode
    lines = (folder / "logs" / f"{one.run.name}.txt").read_text(encoding="utf-8", errors="replace").split("\n")
    error = next((line for line in reversed(lines) if line.strip()), "") if code else ""
    ended = Ended(code, round(seconds, 2), without_user(error.removeprefix("bytemill: ")))
    (folder / one.run.name).mkdir(exist_ok=True)
    write_text(folder / one.run.name / "sweep.json", json.dumps(ended.__dict__) + "\n")
    return ended


def _write_settings(run: PlannedRun, folder: Path) -> None:
    """Write a run's settings for its command; refuse if the run was started with other settings."""
    path = folder / "configs" / f"{run.name}.toml"
    if path.exists():
        changes = changed_settings(load_config(path), run.config)
        if changes and (folder / run.name).exists():
            listed = ", ".join(f"{name} was {old!r} and is {new!r} now" for name, old, new in changes)
            raise ConfigError(f"{folder / run.name}: was started with other settings: {listed}; move or rename it")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, dump_toml(portable_config(run.config, path.parent)))
