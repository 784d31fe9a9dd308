"""One vocabulary and one text, with all rivals that support them."""

from dataclasses import dataclass, field
from pathlib import Path

from rivals import Rival
from timing import rate

__all__ = ["MIB", "Bench"]

MIB = 1 << 20
SLOW_BYTES_PER_SECOND = 6e6
SLOW_BYTES = MIB  # text for a slow rival; the unit is MB/s, so its figure is still comparable


@dataclass
class Bench:
    """The data that every table needs."""

    vocabulary: str  # gpt2, cl100k or o200k
    text_name: str
    text: str
    path: Path  # the text as a file, for fresh processes
    everyone: dict[str, Rival]
    reference: Rival  # tiktoken if it is installed
    rounds: int
    bytes_wanted: int
    cpus: list[int]
    unique_mib: int
    _rates: dict[str, float] = field(default_factory=dict)

    @property
    def row(self) -> str:
        return f"{self.vocabulary}, {self.text_name}"

    def room(self, name: str, wanted: int) -> int:
        """Return how many of the `wanted` bytes this rival gets."""
        if name not in self._rates:
            self._rates[name] = rate(self.everyone[name].to_array, self.text)
        return wanted if self._rates[name] > SLOW_BYTES_PER_SECOND else min(wanted, SLOW_BYTES)
