"""Shows the progress of a run: a bar on a terminal or in a notebook, regular lines in a log file.

Lines go to stderr. In a notebook they are printed to stdout, where they are one output, instead of one per line.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from bytemill.outside_text import for_people
from bytemill.progress import bars_for

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProgressLine"]

_SECONDS_BETWEEN_LINES = 10.0


class ProgressLine:
    """Shows steps done, loss, tokens per second and time left.

    Args:
        max_steps: Steps of the whole run.
        shown: Whether to print anything.
    """

    def __init__(self, max_steps: int, *, shown: bool) -> None:
        self._shown = shown
        self._console = Console(stderr=True)
        self._max_steps = max_steps
        self._spoke_at = time.monotonic()
        columns = (
            TextColumn("{task.fields[unit]}"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._bar = bars_for(self._console, *columns) if shown else None
        if self._bar:
            self._task = self._bar.add_task("", total=max_steps, unit="step")
            self._measuring = self._bar.add_task("", total=None, unit="", visible=False)
            self._bar.start()

    def show(self, step: int, record: Mapping[str, Any]) -> None:
        """Update the bar, or print a line if one is due."""
        text = _describe(record)
        if self._bar:
            self._bar.update(self._task, completed=step, description=text)
            self._bar.update(self._measuring, visible=False)
        due = time.monotonic() - self._spoke_at > _SECONDS_BETWEEN_LINES
        if "val_loss" in record or (due and not self._bar):
            self.say(f"step {step} of {self._max_steps}: {text}")

    def measuring(self, phase: str, done: int, total: int) -> None:
        """Show a second bar for a validation, until the next `show`."""
        if not self._bar:
            return
        if done == 0:
            self._bar.reset(self._measuring, total=total, unit=phase, visible=True)
        self._bar.update(self._measuring, completed=done, total=total, unit=phase, visible=True)

    def say(self, text: str) -> None:
        """Print one line above the bar; in a notebook, below it."""
        self._spoke_at = time.monotonic()
        if not self._shown:
            return
        if self._console.is_jupyter:
            print(for_people(text), flush=True)
        else:
            self._console.print(for_people(text), highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Remove the bar; a notebook keeps it."""
        if self._bar:
            self._bar.stop()


def _describe(record: Mapping[str, Any]) -> str:
    """Return the main figures of a step as text.

    >>> _describe({"loss": 3.14159, "tokens_per_s": 12345.6, "val_loss": 3.2})
    'loss 3.1416 · validation 3.2000 · 12,346 tokens/s'
    """
    forms = (("loss", "loss {:.4f}"), ("val_loss", "validation {:.4f}"), ("tokens_per_s", "{:,.0f} tokens/s"))
    return " · ".join(form.format(record[name]) for name, form in forms if name in record)
