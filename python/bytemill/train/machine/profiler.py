"""Profiles some steps: writes a trace for chrome://tracing or ui.perfetto.dev and a table of the slowest operations."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from bytemill.files import new_file, write_text
from bytemill.places import without_user

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PROFILE_FILES", "profiled"]

PROFILE_FILES = ("trace.json", "operations.txt")

_WAIT_STEPS = 2  # the first steps include compilation and first allocations
_N_ROWS = 25


@contextlib.contextmanager
def profiled(folder: Path, n_steps: int) -> Iterator[Any]:
    """Profile `n_steps` steps after the first three, and write trace.json and operations.txt into `folder`.

    Yields:
        An object whose `step()` must be called after each step.
    """
    if not n_steps:
        yield _NoProfiler()
        return
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available()
    plan = schedule(wait=_WAIT_STEPS, warmup=1, active=n_steps, repeat=1)

    trace, operations = PROFILE_FILES

    def write(watched: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _write_trace(watched, folder / trace)
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        text = watched.key_averages().table(sort_by=f"self_{kind}_time_total", row_limit=_N_ROWS)
        write_text(folder / operations, text)

    with profile(
        activities=activities,
        schedule=plan,
        on_trace_ready=write,
        profile_memory=True,
        acc_events=True,  # there is only one cycle; without this torch 2.10 warns that it forgets earlier cycles
    ) as watching:
        yield watching


def _write_trace(watched: Any, path: Path) -> None:
    """Write the trace, without the folder names that torch puts into it."""
    with tempfile.TemporaryDirectory() as aside, new_file(path) as file:
        exported = Path(aside) / path.name
        watched.export_chrome_trace(str(exported))
        with exported.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                file.write((without_user(line) if "/" in line else line).encode())


class _NoProfiler:
    """Takes the place of a profiler and does nothing."""

    def step(self) -> None:
        """Do nothing."""
