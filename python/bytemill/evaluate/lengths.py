"""Length statistics of a model's answers; judges are biased by length, and tuning often changes it.

Lengths are in words, not tokens, so that models with different tokenizers can be compared.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LENGTH_COLUMNS", "AnswerLengths", "answer_lengths", "count_words"]

LENGTH_COLUMNS = ("mean words", "median", "min", "max")
"""Headings of the cells of an `AnswerLengths`."""

# Kana and Chinese characters: these scripts have no spaces between words.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True)
class AnswerLengths:
    """The lengths of one model's answers, in words."""

    mean: float
    median: float
    min: int
    max: int

    def cells(self) -> tuple[str, str, str, str]:
        """Return the four numbers as text, in the order of LENGTH_COLUMNS.

        >>> answer_lengths(["yes", "no it is not"]).cells()
        ('2.5', '2.5', '1', '4')
        """
        return f"{self.mean:,.1f}", f"{self.median:,.1f}", f"{self.min:,}", f"{self.max:,}"

    def as_json(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)


def answer_lengths(answers: Sequence[str]) -> AnswerLengths:
    """Return the length statistics of at least one answer.

    >>> answer_lengths(["one two three", "", "four"])
    AnswerLengths(mean=1.3333333333333333, median=1, min=0, max=3)
    """
    lengths = [count_words(answer) for answer in answers]
    return AnswerLengths(statistics.fmean(lengths), statistics.median(lengths), min(lengths), max(lengths))


def count_words(text: str) -> int:
    """Return the number of words between spaces; a Chinese character or a kana counts as one word.

    >>> count_words("It's 5 o'clock."), count_words("我爱读书"), count_words(" ")
    (3, 4, 0)
    """
    return len(_WORD.findall(text))
