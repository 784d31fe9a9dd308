"""The routes: the models, completions and chats of OpenAI's interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bytemill.data.rows import prompt_ids, stop_texts, turns_of_messages
from bytemill.errors import BytemillError, DataError
from bytemill.inference.rows import Request as AnswerRequest
from bytemill.outside_text import one_line
from bytemill.serve.faults import ApiError
from bytemill.serve.guard import check_host, check_key, read_body
from bytemill.serve.pages import page_routes
from bytemill.serve.replies import ChatForm, CompletionForm, Whole
from bytemill.serve.requests import ChatRequest, CompletionRequest, read_request
from bytemill.serve.streams import answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from bytemill.inference import Engine, Sampling
    from bytemill.inference.rows import Piece
    from bytemill.serve.models import ServedModel

    _Asked = CompletionRequest | ChatRequest
    _Form = CompletionForm | ChatForm
    Handler = Callable[[Request], Awaitable[Response]]

__all__ = ["Limits", "make_app"]

_MODELS, _COMPLETIONS, _CHATS = _PATHS = "/v1/models", "/v1/completions", "/v1/chat/completions"
_EVENT_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
_PATIENCE_S = 10.0
_DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's default for completions; a chat's answer has no other limit than the server's."""


@dataclass(frozen=True)
class Limits:
    """Limits on requests."""

    max_body_bytes: int = 4 << 20
    max_new_tokens: int = 1024
    """Maximum new tokens of an answer; a larger wish is reduced to it."""
    max_seconds: float = 300.0
    """Maximum seconds for a request, from the end of its body to the end of its reply, waiting included."""
    max_body_seconds: float = 30.0
    """Maximum seconds until the body has arrived."""


def make_app(
    models: Mapping[str, ServedModel],
    engine: Engine,
    *,
    limits: Limits | None = None,
    own_name: str = "localhost",
    key: str | None = None,
) -> Starlette:
    """Return the application.

    Args:
        models: What is served, by name; the engine has the same names.
        engine: Generates the answers; it must be started.
        limits: Limits on requests.
        own_name: The name of this server that requests may have in their Host header.
        key: The key that requests must have; None needs none.
    """
    service = _Service(models, engine, limits or Limits())

    def hosted(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            if key is None:  # a page that knows no key gains nothing from another name
                check_host(request, own_name=own_name)
            return await handler(request)

        return handle

    def guarded(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            check_key(request, key)
            return await handler(request)

        return hosted(handle)

    routes = [
        *page_routes(hosted),  # the page asks for the key
        Route(_MODELS, guarded(service.list_models)),
        Route(f"{_MODELS}/{{name:path}}", guarded(service.show_model)),
        Route(_COMPLETIONS, guarded(service.complete), methods=["POST"]),
        Route(_CHATS, guarded(service.chat), methods=["POST"]),
    ]
    handlers = {
        ApiError: _refuse,
        HTTPException: _refuse_path,
        ClientDisconnect: _end_quietly,
        Exception: _apologize,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


class _Service:
    """The answers to requests that passed the guard."""

    def __init__(self, models: Mapping[str, ServedModel], engine: Engine, limits: Limits) -> None:
        self._models, self._engine, self.limits = models, engine, limits

    async def list_models(self, _: Request) -> Response:
        """Return the models."""
        return JSONResponse({"object": "list", "data": [model.as_json() for model in self._models.values()]})

    async def show_model(self, request: Request) -> Response:
        """Return one model."""
        return JSONResponse(self._model(request.path_params["name"]).as_json())

    async def complete(self, request: Request) -> Response:
        """Continue texts."""
        asked = read_request(await self._body(request), CompletionRequest)
        model, wanted = self._model(asked.model), _or(asked.max_tokens, _DEFAULT_COMPLETION_TOKENS)
        prompts = [_ids_of(prompt, model) for prompt in asked.prompt]
        rows = [
            self._row(asked, prompt, wanted, number, n_alternatives=asked.logprobs, echo=bool(asked.echo))
            for prompt in prompts
            for number in range(asked.n or 1)
        ]
        form = CompletionForm(
            model.name, model.generator.tokenizer, sum(map(len, prompts)), with_tokens=asked.logprobs is not None
        )
        return _Reply(self, asked, rows, form)

    async def chat(self, request: Request) -> Response:
        """Answer in a conversation."""
        asked = read_request(await self._body(request), ChatRequest)
        model = self._model(asked.model)
        prompt = _prompt_of(asked, model)
        wanted = _or(asked.max_completion_tokens, _or(asked.max_tokens, self.limits.max_new_tokens))
        n_alternatives = (asked.top_logprobs or 0) if asked.logprobs else None
        stop = stop_texts(model.template)
        rows = [
            self._row(asked, prompt, wanted, number, n_alternatives=n_alternatives, stop=stop)
            for number in range(asked.n or 1)
        ]
        form = ChatForm(model.name, model.generator.tokenizer, len(prompt), with_tokens=n_alternatives is not None)
        return _Reply(self, asked, rows, form)

    @contextlib.contextmanager
    def answering(self, asked: _Asked, rows: list[AnswerRequest]) -> Iterator[AsyncIterator[tuple[int, Piece]]]:
        """Queue the answers of a request; see `bytemill.serve.streams.answers`."""
        if len(rows) > self._engine.max_waiting:
            raise ApiError(
                400,
                f"the request asks for {len(rows)} answers, prompts times n; the maximum is {self._engine.max_waiting}",
                param="n",
            )
        with answers(self._engine, asked.model, rows) as pieces:
            yield pieces

    def _row(self, asked: _Asked, prompt: list[int], wanted: int, number: int, **more: Any) -> AnswerRequest:
        """Return one of the `n` answers to a prompt; with a seed, each gets its own."""
        sampling: Sampling = {
            "temperature": _or(asked.temperature, 1.0),
            "top_k": asked.top_k,
            "top_p": asked.top_p,
            "min_p": asked.min_p or None,
            "seed": None if asked.seed is None else asked.seed + number,
        }
        stop = (*asked.stop, *more.pop("stop", ()))
        return AnswerRequest(prompt, min(wanted, self.limits.max_new_tokens), stop, sampling=sampling, **more)

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, max_bytes=self.limits.max_body_bytes, max_seconds=self.limits.max_body_seconds)

    def _model(self, name: str) -> ServedModel:
        if name not in self._models:
            raise ApiError(
                404,
                f"there is no model {one_line(name)!r}; this server has {', '.join(self._models)}",
                param="model",
                code="model_not_found",
            )
        return self._models[name]


class _Reply(Response):
    """The reply to a request, whole or as a stream; its answers are cancelled when the client leaves."""

    def __init__(self, service: _Service, asked: _Asked, rows: list[AnswerRequest], form: _Form) -> None:
        self._service, self._asked, self._rows, self._form = service, asked, rows, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply until it ends, the client leaves, or the time is over."""
        with self._service.answering(self._asked, self._rows) as pieces:
            reply = self._stream(pieces, send) if self._asked.stream else self._whole(pieces, scope, receive, send)
            work, gone = asyncio.create_task(reply), asyncio.create_task(_until_gone(receive))
            patience_s = self._service.limits.max_seconds + _PATIENCE_S  # for a client that does not read
            try:
                await asyncio.wait([work, gone], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                work.cancel()
                gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work

    async def _whole(
        self, pieces: AsyncIterator[tuple[int, Piece]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        wholes = [Whole() for _ in self._rows]
        async with self._in_time():
            async for number, piece in pieces:
                wholes[number].add(piece)
        await JSONResponse(self._form.reply(wholes))(scope, receive, send)

    async def _stream(self, pieces: AsyncIterator[tuple[int, Piece]], send: Send) -> None:
        """Send events until the end; an error after the first event is an event too, because the status was sent."""
        counts = [0] * len(self._rows)
        await send({"type": "http.response.start", "status": 200, "headers": _EVENT_HEADERS})
        try:
            async with self._in_time():
                for part in self._form.opening(len(self._rows)):
                    await _send_event(send, part)
                async for number, piece in pieces:
                    counts[number] = piece.n_new
                    await _send_event(send, self._form.part(number, piece))
            if self._asked.wants_usage:
                await _send_event(send, self._form.last(counts))
        except ApiError as error:
            await _send_event(send, error.as_json())
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        max_seconds = self._service.limits.max_seconds
        try:
            async with asyncio.timeout(max_seconds):
                yield
        except TimeoutError:
            raise ApiError(
                504, f"the answer took longer than {max_seconds:g} seconds; ask for fewer tokens", code="timeout"
            ) from None


async def _until_gone(receive: Receive) -> None:
    """Wait until the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_event(send: Send, value: dict[str, Any]) -> None:
    line = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    await send({"type": "http.response.body", "body": f"data: {line}\n\n".encode(), "more_body": True})


def _ids_of(prompt: str | list[int], model: ServedModel) -> list[int]:
    try:
        return model.generator.ids_of(prompt)
    except DataError as error:
        raise ApiError(400, str(error), param="prompt") from None


def _prompt_of(asked: ChatRequest, model: ServedModel) -> list[int]:
    """Return the ids of a conversation in the model's template.

    Raises:
        ApiError: The conversation does not end with the user's turn, or the template cannot write it.
    """
    last = asked.messages[-1].role
    if last != "user":
        raise ApiError(
            400, f"messages: the last is the {last}'s; it must be the user's, which the model answers", param="messages"
        )
    messages = [
        {"role": "system" if message.role == "developer" else message.role, "content": message.content}
        for message in asked.messages
    ]
    try:
        return prompt_ids(turns_of_messages(messages), model.generator.tokenizer, model.template)  # type: ignore[arg-type]
    except BytemillError as error:
        raise ApiError(400, f"messages: {error}", param="messages") from None
    except ValueError as error:
        raise ApiError(400, f"messages: a conversation {error}", param="messages") from None


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.as_json(), status_code=error.status, headers=error.headers)


def _refuse_path(request: Request, error: Exception) -> Response:
    """Explain a wrong path or method."""
    assert isinstance(error, HTTPException)
    path = one_line(request.url.path)
    message = f"{error.detail.lower()}: {request.method} {path}; this server has {', '.join(_PATHS)}"
    return _refuse(request, ApiError(error.status_code, message))


def _end_quietly(_: Request, __: Exception) -> Response:
    """Answer a client that left before its request was complete; nobody reads this."""
    return Response(status_code=400)


def _apologize(request: Request, error: Exception) -> Response:
    """Answer after an error in this program; its traceback is printed."""
    return _refuse(request, ApiError(500, f"an error in the server: {type(error).__name__}"))
