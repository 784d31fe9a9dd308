"""Progress bars for long tasks: on stderr if it is a terminal, in the cell of a notebook, nowhere else.

`counted` reports how far a loop is, and `watched` sets who listens: a loop deep inside a measurement does not depend on
the bar that a command shows for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

__all__ = ["PhaseProgress", "bars_for", "counted", "report", "watched"]

Item = TypeVar("Item")
_listener: ContextVar[Callable[[str, int, int], None] | None] = ContextVar("listener", default=None)


@contextmanager
def watched(listener: Callable[[str, int, int], None]) -> Iterator[None]:
    """Call `listener` with the phase, the work done and the total work while the context is open."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(phase: str, done: int, total: int) -> None:
    """Report how much of a phase is done, if somebody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(phase, done, total)


def counted(items: Iterable[Item], phase: str, total: int) -> Iterator[Item]:
    """Yield the items, and report each before the next is taken.

    >>> with watched(lambda *found: print(*found)):
    ...     list(counted("ab", "validation", 2))
    validation 0 2
    validation 1 2
    validation 2 2
    ['a', 'b']
    """
    report(phase, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        report(phase, done, total)


def bars_for(console: Console, *columns: ProgressColumn) -> Progress | None:
    """Return bars with these columns for a terminal or a notebook, not started; None if the console is neither."""
    from rich.progress import Progress

    if console.is_jupyter:
        from bytemill.notebook.bars import NotebookBars

        return NotebookBars(*columns)
    # Before rich 14.3 a bar that is disabled prints an empty line when it stops, so there is none.
    return Progress(*columns, console=console, transient=True) if console.is_terminal else None


class PhaseProgress:
    """Show one bar per phase: work done, speed, and the time left if the total is known.

    Args:
        units: The unit of each phase, such as {"counting": "bytes", "merging": "merges"}.
        shown: False hides the bars; they are also hidden if stderr is neither a terminal nor a notebook.
        totals: The total work of phases that do not report it. The first phase's bar is shown before it begins.

    Example:
        >>> with PhaseProgress({"counting": "bytes"}, shown=False) as progress:
        ...     progress.update("counting", 1_000_000, 0)
    """

    def __init__(self, units: dict[str, str], *, shown: bool, totals: Mapping[str, int] | None = None) -> None:
        self._units = units
        self._totals = dict(totals or {})
        self._shown = shown
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if not self._shown:
            return self
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

        self._bars = bars_for(
            Console(stderr=True),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        if self._bars:
            self._bars.start()
            if self._totals:
                self.update(next(iter(self._units)), 0, 0)
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
        total = total or self._totals.get(phase, 0)
        if phase not in self._tasks:
            self._complete(self._tasks.values())
            self._tasks[phase] = self._bars.add_task(phase, total=total or None, figures="")
        task = self._tasks[phase]
        self._bars.update(task, completed=done, total=total or None)
        speed = self._bars.tasks[task].speed or 0.0
        self._bars.update(task, figures=_figures(done, speed, self._units[phase]))

    def _complete(self, tasks: Collection[TaskID]) -> None:
        """Fill the bars of phases that are over: their totals may be estimates."""
        for task in tasks:
            if self._bars and self._bars.tasks[task].total:
                self._bars.update(task, completed=self._bars.tasks[task].total)


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
