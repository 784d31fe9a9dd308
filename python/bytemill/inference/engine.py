"""Generate many answers at the same time: rows join and leave between steps, so a short answer waits for no long one.

One thread runs the models. Each step reads at most one new prompt, so that other answers pause only for that time,
and then samples one token for every row. Rows beyond `max_rows` wait in a queue of limited length.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from bytemill.errors import BytemillError
from bytemill.inference.lane import Lane
from bytemill.inference.rows import Failure, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bytemill.inference.rows import Piece, Request
    from bytemill.inference.text import TextGenerator

__all__ = ["Engine", "QueueFullError"]

_CLOSING = "the server is shutting down"


class QueueFullError(BytemillError):
    """Too many answers are waiting already."""


class Engine:
    """Generates answers with one or several models.

    Args:
        models: By name, a model and the name of its adapter to use, or None. Several names may share a model.
        max_rows: Maximum number of answers that are generated at the same time.
        max_waiting: Maximum number of answers that wait.
        report: Called with a sentence about each unexpected error.

    >>> from bytemill.inference import TextGenerator
    >>> from bytemill.inference.rows import Request
    >>> from bytemill.model import GPT2, GPT2Config
    >>> class Bytes:
    ...     n_vocab, eot_token = 256, None
    ...     encode_ordinary = staticmethod(lambda text: list(text.encode()))
    ...     decode_bytes = staticmethod(bytes)
    >>> model = GPT2(GPT2Config(vocab_size=256, n_positions=32, n_embd=8, n_layer=1, n_head=2))
    >>> engine, pieces = Engine({"tiny": (TextGenerator(model, Bytes()), None)}), []
    >>> _ = engine.submit("tiny", [Request(b"Hello", max_new_tokens=4)], lambda row, piece: pieces.append(piece))
    >>> while engine.step():
    ...     pass
    >>> pieces[-1].n_new, pieces[-1].finish
    (4, 'length')
    """

    def __init__(
        self,
        models: Mapping[str, tuple[TextGenerator, str | None]],
        *,
        max_rows: int = 8,
        max_waiting: int = 64,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.max_rows, self.max_waiting = max_rows, max_waiting
        self._lanes = {name: Lane(generator, adapter) for name, (generator, adapter) in models.items()}
        self._waiting: deque[tuple[Lane, Row]] = deque()
        self._report = report
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(
        self, name: str, requests: Sequence[Request], listener: Callable[[int, Piece | Failure], None]
    ) -> list[Row]:
        """Queue answers of one model; all of them or none. A row is cancelled by setting its `cancelled`.

        Args:
            name: The model.
            requests: What is asked.
            listener: Called in the engine's thread with the number of the request and each piece of its answer.

        Raises:
            QueueFullError: The queue has no room for these rows.
            DataError: A prompt is empty, too long, or has an unknown id.
            ConfigError: A sampling option or stop text is not valid.
        """
        lane = self._lanes[name]
        rows = [
            Row(request, lane.generator, lambda piece, number=number: listener(number, piece))  # type: ignore[misc]
            for number, request in enumerate(requests)
        ]
        with self._changed:
            if self._closing:
                raise QueueFullError(_CLOSING)
            self._forget_cancelled()
            if len(self._waiting) + len(rows) > self.max_waiting:
                raise QueueFullError(
                    f"{len(self._waiting)} answers are waiting and {len(rows)} more are asked for; the server lets at "
                    f"most {self.max_waiting} wait; try again later"
                )
            self._waiting.extend((lane, row) for row in rows)
            self._changed.notify()
        return rows

    @property
    def n_rows(self) -> int:
        """Number of answers in progress."""
        return sum(len(lane.rows) for lane in self._lanes.values())

    @property
    def n_waiting(self) -> int:
        """Number of answers that wait."""
        return len(self._waiting)

    def step(self) -> bool:
        """Admit a waiting row if there is room, and sample one token for each row; return whether any work is left."""
        for lane in self._lanes.values():
            lane.drop_cancelled()
        self._admit_one()
        for lane in self._lanes.values():
            if lane.rows:
                self._step(lane)
        return bool(self._waiting) or self.n_rows > 0

    def start(self) -> None:
        """Run the models in a thread, until `close`."""
        self._thread = threading.Thread(target=self._run, name="bytemill-engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all answers with a failure and accept no new ones; the thread ends after its current step."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self) -> None:
        """Wait for the thread after `close`."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        has_work = False
        while True:
            with self._changed:
                while not (has_work or self._waiting or self._closing):
                    self._changed.wait()
                if self._closing:
                    break
            has_work = self.step()
        self._end_all()

    def _end_all(self) -> None:
        for lane in self._lanes.values():
            lane.fail(_CLOSING)
        while self._waiting:
            self._waiting.popleft()[1].send(Failure(_CLOSING))

    def _admit_one(self) -> None:
        """Read the prompt of the first waiting row that somebody still waits for."""
        with self._changed:
            self._forget_cancelled()
            if not self._waiting or self.n_rows >= self.max_rows:
                return
            lane, row = self._waiting.popleft()
        try:
            lane.admit(row)
        except Exception as error:
            row.send(Failure(self._explain(error)))

    def _forget_cancelled(self) -> None:
        if any(row.cancelled for _, row in self._waiting):
            self._waiting = deque(pair for pair in self._waiting if not pair[1].cancelled)

    def _step(self, lane: Lane) -> None:
        try:
            lane.step()
        except Exception as error:
            lane.fail(self._explain(error))

    def _explain(self, error: Exception) -> str:
        """Report an unexpected error, such as too little memory; the server goes on."""
        message = f"{type(error).__name__}: {error}".partition("\n")[0]
        self._report(f"an answer failed: {message}")
        return f"the model failed on this request: {message}"
