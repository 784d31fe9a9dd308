"""The form of an answer: a question, three sentences, a table, and perhaps a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Cell", "Growth"]

Cell = str | int | float


@dataclass(frozen=True)
class Growth:
    """A curve over sizes that double."""

    label: str
    x_label: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Answer:
    """The answer to one question, with its figures."""

    question: str
    explanation: str
    """The text of three sentences."""
    caption: str
    """The caption of the table."""
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    all_rows: tuple[tuple[Cell, ...], ...] = ()
    """The whole table, if `rows` are only a selection."""
    token_columns: tuple[int, ...] = ()
    """Columns whose cells are tokens, to be shown as code."""
    growth: Growth | None = None
    bars: tuple[tuple[str, float], ...] = ()
    """Values to plot, the first on top."""
    bars_label: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object: each row with the header's names as keys."""
        rows = [dict(zip(self.header, row, strict=True)) for row in self.all_rows or self.rows]
        facts: dict[str, Any] = {"question": self.question, "explanation": self.explanation, "rows": rows}
        return facts | ({"growth": [list(point) for point in self.growth.points]} if self.growth else {})
