"""SIGTERM and SIGINT as a wish to stop: noted at once, obeyed where nothing is half done.

A training step or a checkpoint is never cut in two; a validation may be, because it changes nothing
and is done again after a resume. A second signal of the same kind ends the process as it would any
other.
"""

from __future__ import annotations

import contextlib
import enum
import signal
import threading
from typing import TYPE_CHECKING, Any

from bytemill.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Stop", "StopSignals"]


class Stop(enum.Flag):
    """Why a run should stop before its last step."""

    NO = 0
    SIGNAL = enum.auto()
    TIME = enum.auto()


class StopSignals:
    """While this context is open, SIGTERM and SIGINT are noted instead of acted upon.

    Args:
        alone: Whether this process may stop on its own. With others it may not, or they would wait
            for it for ever: they first agree, and `agree` says so.
    """

    def __init__(self, *, alone: bool = True) -> None:
        self.received: int | None = None
        self._alone = alone
        self._agreed = False
        self._raise_at_once = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def agree(self) -> None:
        """All processes know that one of them shall stop."""
        self._agreed = True

    @property
    def wish(self) -> Stop:
        """Whether a signal came."""
        return Stop.NO if self.received is None else Stop.SIGNAL

    def check(self) -> None:
        """Raise Interrupted if it is time to stop."""
        if self._agreed or (self._alone and self.received is not None):
            number = self.received or signal.SIGTERM
            raise Interrupted(f"stopped by {signal.Signals(number).name}", exit_code=128 + number)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Where nothing can be left half done: a signal raises Interrupted at once."""
        self.check()
        self._raise_at_once = True
        try:
            yield
        finally:
            self._raise_at_once = False

    def _note(self, number: int, _: Any) -> None:
        self.received = number
        signal.signal(number, self._previous[number])
        if self._raise_at_once:
            self.check()
