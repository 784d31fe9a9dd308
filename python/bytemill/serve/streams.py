"""Bring the pieces of answers from the engine's thread to the event loop, and cancel them when nobody reads on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from bytemill.errors import ConfigError, DataError
from bytemill.inference.engine import Engine, QueueFullError
from bytemill.inference.rows import Failure, Piece, PromptTooLongError
from bytemill.serve.faults import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from bytemill.inference.rows import Request

__all__ = ["answers"]

_RETRY_AFTER_S = 1


@contextlib.contextmanager
def answers(engine: Engine, model: str, requests: Sequence[Request]) -> Iterator[AsyncIterator[tuple[int, Piece]]]:
    """Queue answers; give an iterator of their pieces, each with the number of its request.

    At the end of `with`, answers that go on are cancelled.

    Raises:
        ApiError: The queue is full, or a request cannot be answered.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[int, Piece | Failure]]()

    def listen(number: int, piece: Piece | Failure) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(queue.put_nowait, (number, piece))

    try:
        rows = engine.submit(model, requests, listen)
    except QueueFullError as error:
        raise ApiError(429, str(error), code="queue_full", retry_after_s=_RETRY_AFTER_S) from None
    except PromptTooLongError as error:
        raise ApiError(400, str(error), param="prompt", code="context_length_exceeded") from None
    except DataError as error:
        raise ApiError(400, str(error), param="prompt", code="invalid_value") from None
    except ConfigError as error:
        raise ApiError(400, str(error), code="invalid_value") from None
    try:
        yield _pieces(queue, len(rows))
    finally:
        for row in rows:
            row.cancelled = True


async def _pieces(queue: asyncio.Queue[tuple[int, Piece | Failure]], n_rows: int) -> AsyncIterator[tuple[int, Piece]]:
    n_open = n_rows
    while n_open:
        number, piece = await queue.get()
        if isinstance(piece, Failure):
            raise ApiError(503, piece.message, code="failed")
        n_open -= piece.finish is not None
        yield number, piece
