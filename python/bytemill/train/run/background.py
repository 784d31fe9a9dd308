"""Runs one piece of work at a time on its own thread, so that training does not wait for the disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Background"]


class Background:
    """Runs functions one after the other on a thread; an error is raised at the next call.

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
        """Wait for the previous work, raise its error if it had one, and start `work`."""
        self.wait()
        # Not a daemon thread: the interpreter waits for it when the process exits normally.
        self._thread = threading.Thread(target=self._run, args=(work,), name="bytemill-background")
        self._thread.start()

    def wait(self) -> None:
        """Wait for the work to finish, and raise its error if it had one."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise the error of finished work, if it had one, without waiting."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # raised in the thread that started the work
            self._error = error
