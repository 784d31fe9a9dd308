"""Progress bars in a notebook: one output of the cell, which is updated in place."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

__all__ = ["NotebookBars"]

_SECONDS_BETWEEN_DRAWINGS = 0.25
_COLUMNS = 100
_HTML = '<pre style="margin:0;font-family:monospace;line-height:1.4;white-space:pre;overflow-x:auto">{code}</pre>'


class NotebookBars(Progress):
    """Bars of rich that IPython displays; their last state stays in the notebook.

    rich's own bars in notebooks need ipywidgets, which JupyterLab does not install. Here rich only draws, and IPython
    replaces the drawing.
    """

    def __init__(self, *columns: ProgressColumn) -> None:
        super().__init__(*columns, console=Console(file=io.StringIO(), force_jupyter=False), auto_refresh=False)
        self._output: Any = None
        self._drawn_at = 0.0

    def start(self) -> None:
        """Display the bars below the cell."""
        from IPython.display import display

        self._output = display(self._drawing(), raw=True, display_id=True)

    def update(self, *task: Any, **changes: Any) -> None:
        """Change a task, and draw the bars if the last drawing is old enough."""
        super().update(*task, **changes)
        self.refresh()

    def refresh(self) -> None:
        """Draw the bars if the last drawing is old enough."""
        if time.monotonic() - self._drawn_at > _SECONDS_BETWEEN_DRAWINGS:
            self._draw()

    def stop(self) -> None:
        """Draw the last state, without bars whose end is not known."""
        for task in self.tasks:
            task.visible = task.visible and task.total is not None
        self._draw()

    def _draw(self) -> None:
        if self._output is not None:
            self._output.update(self._drawing(), raw=True)
            self._drawn_at = time.monotonic()

    def _drawing(self) -> dict[str, str]:
        """Return the bars as data for the display, by media type."""
        page = Console(
            file=io.StringIO(), width=_COLUMNS, record=True, force_jupyter=False, force_terminal=True, _environ={}
        )
        page.print(self.get_renderable())
        plain = page.export_text(clear=False).rstrip()
        return {"text/plain": plain, "text/html": page.export_html(code_format=_HTML, inline_styles=True)}
