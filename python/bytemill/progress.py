"""Progress of the core's long work, as bars on stderr; silent where nobody is watching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

__all__ = ["PhaseProgress"]


class PhaseProgress:
    """One bar a phase: what is done, how fast, and the time left where the end is known.

    Args:
        units: What each phase counts, such as {"counting": "bytes", "merging": "merges"}.
        shown: False shows nothing; nothing is shown either where stderr is not a terminal.

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
        """Tell how far a phase is.

        Args:
            phase: One of the units' keys.
            done: In the phase's unit.
            total: Its end; 0 where it is not known.
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
    """What is done and how fast.

    >>> _figures(31_000_000, 250e6, "bytes")
    '31 MB, 250 MB/s'
    >>> _figures(3_840, 12_000.4, "merges")
    '3,840 merges, 12,000/s'
    """
    if unit == "bytes":
        return f"{done / 1e6:,.0f} MB, {speed / 1e6:,.0f} MB/s"
    return f"{done:,} {unit}, {speed:,.0f}/s"
