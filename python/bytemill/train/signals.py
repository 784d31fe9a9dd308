"""Handles SIGTERM, SIGINT and the like: the signal is recorded, and the run stops at the next safe point.

A signal never interrupts a training step or a checkpoint. It may interrupt a validation, which changes nothing and is
repeated after a resume. A second signal of the same kind has its usual effect.
"""

from __future__ import annotations

import contextlib
import enum
import signal
import threading
from typing import TYPE_CHECKING, Any

from bytemill.errors import Interrupted
from bytemill.system.processes import STOP_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Stop", "StopSignals"]


class Stop(enum.Flag):
    """Why a run should stop before its last step."""

    NO = 0
    SIGNAL = enum.auto()
    TIME = enum.auto()


class StopSignals:
    """Records `STOP_SIGNALS` while this context is open, instead of ending the process.

    Args:
        alone: Whether this process may stop on its own. With several processes it may not, because the others would
            wait for it without end; they agree first, and then call `agree`.
    """

    def __init__(self, *, alone: bool = True) -> None:
        self.received: int | None = None
        self._alone = alone
        self._agreed = False
        self._raise_at_once = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only in the main thread
            for number in STOP_SIGNALS:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def agree(self) -> None:
        """Note that all processes have agreed to stop."""
        self._agreed = True

    @property
    def requested(self) -> Stop:
        """Stop.SIGNAL if a signal was received, else Stop.NO."""
        return Stop.NO if self.received is None else Stop.SIGNAL

    def check(self) -> None:
        """Raise Interrupted if this process should stop now."""
        if self._agreed or (self._alone and self.received is not None):
            number = self.received or signal.SIGTERM
            raise Interrupted(f"stopped by {signal.Signals(number).name}", exit_code=128 + number)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Let a signal raise Interrupted immediately while the context is open, for work that is safe to interrupt."""
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
