"""Chat templates in Jinja, as in Hugging Face's tokenizers: read a model's own template, and write ours.

A template renders text, and the special tokens in it are found afterwards. Text of user and system messages never
becomes a special token: marks are inserted between its characters before rendering and removed afterwards. An answer
may contain special tokens, such as those around a model's reasoning.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bytemill.data.rows.templates import WITHOUT_INPUT, Marker, Part, Template, Turn
from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ChatTemplate", "jinja_of", "named_template"]

_BREAK = "\ufdd0"
"""A noncharacter code point (Unicode, chapter 23.7), which no text contains."""

_ALPACA = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}{{ " + json.dumps(WITHOUT_INPUT) + " }}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% elif message['role'] == 'user' %}"
    "{{ '\\n\\n### Instruction:\\n' + message['content'] + '\\n\\n### Response:\\n' }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}"
)
_CHATML = (
    "{% for message in messages %}"
    "{{ ('' if loop.first else '\\n') + '<|im_start|>' + message['role'] + '\\n' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ ANSWER_END }}{% else %}{{ '<|im_end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n<|im_start|>assistant\\n' }}{% endif %}"
)
_OURS = {
    "alpaca": _ALPACA,
    "alpaca_one_header": _ALPACA,
    "chatml": _CHATML.replace("ANSWER_END", "eos_token"),
    "chatml_text": _CHATML.replace("ANSWER_END", "'<|im_end|>' + eos_token"),
}


def jinja_of(template: Template) -> str:
    """Return a template in Jinja; `eos_token` ends an answer.

    It has no block for an instruction's input, because Hugging Face's messages have none.

    >>> jinja_of("alpaca") == jinja_of("alpaca_one_header")
    True
    """
    return _OURS[template] if isinstance(template, str) else template.source  # type: ignore[attr-defined]


def named_template(source: str) -> str | None:
    """Return the name if the text is one of our own templates; None for any other.

    >>> named_template(jinja_of("chatml")), named_template("{{ messages }}")
    ('chatml', None)
    """
    return next((name for name, ours in _OURS.items() if ours == source), None)


@dataclass(frozen=True)
class ChatTemplate:
    """A model's own chat template.

    Args:
        source: The template in Jinja.
        special_tokens: The tokenizer's special tokens; in rendered text they become ids.
        names: Variables of the template, such as bos_token.

    >>> shouting = ChatTemplate("{% for m in messages %}{{ m.content | upper }}</s>{% endfor %}", ("</s>",), {})
    >>> shouting.parts([Turn("user", "Hi </s>"), Turn("assistant", "So long")])
    [Part(pieces=('HI </S>', '</s>'), is_answer=False), Part(pieces=('SO LONG', '</s>'), is_answer=True)]
    """

    source: str
    special_tokens: tuple[str, ...]
    names: Mapping[str, str]

    def parts(self, turns: Sequence[Turn]) -> list[Part]:
        """Return the parts of a conversation; see `conversation_parts`.

        Raises:
            ValueError: The template refuses the conversation, or rewrites earlier turns when later ones follow.
        """
        whole = self._render(turns, opens_answer=turns[-1].role == "user")
        parts: list[Part] = []
        end = 0
        for place, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            asked, answered = self._render(turns[:place], opens_answer=True), self._render(turns[: place + 1])
            if not (whole.startswith(answered) and answered.startswith(asked) and len(asked) > end):
                raise ValueError("whose earlier turns the model's chat template rewrites when later turns follow")
            answer_end = self._end_of_answer(answered, len(asked))
            parts.append(Part(self._pieces(whole[end : len(asked)]), is_answer=False))
            parts.append(Part(self._pieces(whole[len(asked) : answer_end]), is_answer=True))
            end = answer_end
        if turns[-1].role == "user":
            parts.append(Part(self._pieces(whole[end:]), is_answer=False))
        return parts

    def _end_of_answer(self, text: str, start: int) -> int:
        """Return the index after the last special token; a line break after it is not part of the answer."""
        found = [match.end() for match in self._special.finditer(text, start)]
        return found[-1] if found else len(text)

    def _pieces(self, text: str) -> tuple[str, ...]:
        pieces: list[str] = []
        end = 0
        for match in self._special.finditer(text):
            pieces += [text[end : match.start()], Marker(match[0])]
            end = match.end()
        pieces.append(text[end:])
        clean = (piece if isinstance(piece, Marker) else piece.replace(_BREAK, "") for piece in pieces)
        return tuple(piece for piece in clean if piece)

    def _render(self, turns: Sequence[Turn], *, opens_answer: bool = False) -> str:
        messages = [
            {"role": turn.role, "content": turn.text if turn.role == "assistant" else self._broken(turn.whole_text())}
            for turn in turns
        ]
        try:
            rendered: str = self._compiled.render(
                messages=messages, add_generation_prompt=opens_answer, tools=None, **self.names
            )
        except Exception as error:  # a template can raise any error, such as TemplateError and TypeError
            raise ValueError(f"which the model's chat template refuses ({error})") from None
        return rendered

    def _broken(self, text: str) -> str:
        """Return the text with each special token broken up by a mark after each character."""
        return self._special.sub(lambda match: "".join(letter + _BREAK for letter in match[0]), text)

    @cached_property
    def _special(self) -> re.Pattern[str]:
        longest_first = sorted(self.special_tokens, key=len, reverse=True)
        return re.compile(f"(?:{'|'.join(map(re.escape, longest_first))})(?!{_BREAK})" if longest_first else r"(?!)")

    @cached_property
    def _compiled(self) -> Any:
        return _environment().from_string(self.source)


def _environment() -> Any:
    """Return the sandboxed Jinja environment that transformers uses for chat templates."""
    try:
        from jinja2 import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise ConfigError("a model's own chat template needs the package jinja2: pip install jinja2") from None
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = _today
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    return environment


def _today(form: str) -> str:
    """Return the date that templates such as Llama 3.2's begin with: today, as in transformers."""
    from datetime import datetime

    return datetime.now().strftime(form)
