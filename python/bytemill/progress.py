"""Progress bars on stderr for the core's long tasks; nothing is shown if stderr is not a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

__all__ = ["PhaseProgress"]


class PhaseProgress:
    """Show one bar per phase: work done, speed, and the time left if the total is known.

    Args:
        units: The unit of each phase, such as {"counting": "bytes", "merging": "merges"}.
        shown: False hides the bars; they are also hidden if stderr is not a terminal.

    Example:
        >>> with PhaseProgress({"counting": "bytes"}, shown=False) as progress:
        ...     progress.update("counting", 1_000_000, 0)
    """

    def __init__(self, units: dict[str, str], *, shown: bool) -> None:
        self._units = units
        self._shown = shown
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if not self._shown:
            return self
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if console.is_terminal:  # before rich 14.3 a bar that is disabled prints an empty line when it stops
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def update(self, phase: str, done: int, total: int) -> None:
        """Update the bar of a phase.

        Args:
            phase: A key of `units`.
            done: The work done, in the phase's unit.
            total: The total work; 0 if it is not known.
        """
        if not self._bars:
            return
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total or None, figures="")
        task = self._tasks[phase]
        self._bars.update(task, completed=done, total=total or None)
        speed = self._bars.tasks[task].speed or 0.0
        self._bars.update(task, figures=_figures(done, speed, self._units[phase]))


def _figures(done: int, speed: float, unit: str) -> str:
    """Return the work done and the speed as text.

    >>> _figures(31_000_000, 250e6, "bytes")
    '31 MB, 250 MB/s'
    >>> _figures(3_840, 12_000.4, "merges")
    '3,840 merges, 12,000/s'
    """
    if unit == "bytes":
        return f"{done / 1e6:,.0f} MB, {speed / 1e6:,.0f} MB/s"
    return f"{done:,} {unit}, {speed:,.0f}/s"
