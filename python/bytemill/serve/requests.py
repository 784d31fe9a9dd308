"""The fields of requests, as in OpenAI's interface, with `top_k` and `min_p` added.

A field that this server cannot honour is refused unless its value changes nothing, so that no answer silently ignores
what was asked. Fields about the caller (`user`, `metadata`, …) are accepted and not used.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from bytemill.errors import FormatError
from bytemill.json_reader import parse_object
from bytemill.outside_text import one_line
from bytemill.serve.faults import ApiError

__all__ = ["ChatRequest", "CompletionRequest", "Message", "read_request"]

Asked = TypeVar("Asked", bound="_Asked")

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "suffix": ("",),
    "best_of": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
}
"""Fields of OpenAI's interface that are not supported, with the values that change nothing; null changes nothing."""
_UNUSED = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls")
_MAX_STOPS = 16
_MAX_STOP_CHARACTERS = 1000
_MAX_ALTERNATIVES = 20


def _stops(value: Any) -> Any:
    """Return one stop text as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


def _text_of(content: Any) -> Any:
    """Return a message's content as text; OpenAI also allows a list of parts."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ValueError('has a part that is not {"type": "text", "text": …}; these models read only text')
        texts.append(part["text"])
    return "".join(texts)


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(_Fields):
    """Options of a streamed answer."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Accepted, not used."""


class Message(_Fields):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_text_of)]
    name: str | None = None


class _Asked(_Fields):
    """What completions and chats have in common."""

    model: str
    max_tokens: int | None = Field(None, ge=0)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int | None = Field(None, ge=1)
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=_MAX_STOP_CHARACTERS)]],
        BeforeValidator(_stops),
        Field(max_length=_MAX_STOPS),
    ] = []
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out(cls, given: Any) -> Any:
        """Leave out fields that change nothing; refuse unsupported ones."""
        if not isinstance(given, dict):
            return given
        for name, neutral in _NEUTRAL.items():
            if given.get(name) is not None and given[name] not in neutral:
                raise ValueError(f"{name} is not supported; leave it out")
        return {name: value for name, value in given.items() if name not in _NEUTRAL and name not in _UNUSED}

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the counts of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(_Asked):
    """A request to continue texts."""

    prompt: list[str] | list[list[int]]
    """Each a text or ids; a single prompt is read as a list of one."""
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=_MAX_ALTERNATIVES)

    @field_validator("prompt", mode="before")
    @classmethod
    def _as_list(cls, prompt: Any) -> Any:
        if isinstance(prompt, str):
            return [prompt]
        if isinstance(prompt, list) and prompt:
            if all(type(one) is int for one in prompt):
                return [prompt]
            if all(isinstance(one, str) for one in prompt):
                return prompt
            if all(isinstance(one, list) and one and all(type(x) is int for x in one) for one in prompt):
                return prompt
        raise ValueError("expected a text, a list of texts, a list of token ids, or a list of such lists; none empty")


class ChatRequest(_Asked):
    """A request to answer in a conversation."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=0)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=_MAX_ALTERNATIVES)


def read_request(body: bytes, kind: type[Asked]) -> Asked:
    """Return a request's body as an object with checked fields.

    Raises:
        ApiError: The body is not JSON, or a field is unknown, missing or wrong; the message names the first.

    >>> read_request(b'{"model": "m", "prompt": "Hi"}', CompletionRequest).prompt
    ['Hi']
    """
    try:
        given = parse_object(body, "the request's body")
    except FormatError as error:
        raise ApiError(400, str(error)) from None
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _explain(error, kind) from None


def _explain(error: ValidationError, kind: type[BaseModel]) -> ApiError:
    """Return the first fault as one sentence."""
    first = error.errors(include_url=False)[0]
    names = [part for part in first["loc"] if isinstance(part, int) or part in _known_names(kind) or part == "content"]
    where = one_line(".".join(str(part) for part in (names or first["loc"])))
    if first["type"] == "extra_forbidden":
        known = ", ".join(kind.model_fields) if len(first["loc"]) == 1 else "see OpenAI's interface"
        name = one_line(".".join(map(str, first["loc"])))
        return ApiError(400, f"{name}: unknown field; known are {known}", param=name, code="unknown_parameter")
    if first["type"] == "missing":
        name = ".".join(map(str, first["loc"]))
        return ApiError(400, f"{name}: is missing; it is required", param=name, code="missing_required_parameter")
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return ApiError(400, f"{where}: {message}" if where else message, param=where or None, code="invalid_value")


def _known_names(kind: type[BaseModel]) -> set[str]:
    return {*kind.model_fields, *Message.model_fields, *StreamOptions.model_fields}
