"""One piece of work at a time on a thread of its own, so that a training step need not wait for the disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Background"]


class Background:
    """Runs what it is given, one after the other; an error comes up at the next call.

    >>> background, seen = Background(), []
    >>> background.start(lambda: seen.append(1))
    >>> background.wait()
    >>> seen
    [1]
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], object]) -> None:
        """Begin `work` when what was begun before is done; raises what that raised."""
        self.wait()
        # Not a daemon: a process that ends in peace ends only when the work is done.
        self._thread = threading.Thread(target=self._run, args=(work,), name="bytemill-background")
        self._thread.start()

    def wait(self) -> None:
        """Return when all is done; raises what it raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise what the work raised, if it has; without waiting."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # handed to the thread that asked for it
            self._error = error
