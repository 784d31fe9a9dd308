r"""Prompt templates: convert the turns of a conversation to the text that a model reads.

A conversation is a list of parts. Only the parts that the model writes are trained:

    ### Instruction:\nHi!\n\n### Response:\n | Hello! <end> | \n\n### Instruction:\n… | … <end>
    no                                       | yes          | no                     | yes

Training, `bytemill chat`, `generate --rows` and evaluations all use `conversation_parts`, and exported models have the
same template in Jinja (`jinja_templates.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "EndOfTurn",
    "Marker",
    "Part",
    "Template",
    "TemplateName",
    "Turn",
    "conversation_parts",
    "instruction_prompt",
    "instruction_turns",
    "stop_texts",
    "turns_of_messages",
]

TemplateName = Literal["alpaca", "alpaca_one_header", "chatml", "chatml_text"]
"""`chatml_text` is the template of earlier versions: `<|im_end|>` as text after each answer, then end-of-text."""

_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
}


class Turn(NamedTuple):
    """One turn of a conversation."""

    role: str
    """`system`, `user` or `assistant`."""
    text: str
    input_text: str = ""
    """The input of an instruction, as in Alpaca's rows; templates without a place for it append it."""

    def whole_text(self) -> str:
        """Return the text, followed by a blank line and the input if there is one."""
        return f"{self.text}\n\n{self.input_text}" if self.input_text else self.text


class Marker(str):
    """A template's marker: a special token if the tokenizer has it, otherwise plain text."""

    __slots__ = ()


class EndOfTurn(Marker):
    """The end of an answer: this special token if the tokenizer has it, otherwise its end-of-text."""

    __slots__ = ()


class Part(NamedTuple):
    """A part of a conversation."""

    pieces: tuple[str, ...]
    """The texts and markers of the part; only templates write a `Marker`."""
    is_answer: bool
    """Whether the model writes this part, so that it is trained."""

    @property
    def text(self) -> str:
        """The text without the end of an answer."""
        return "".join(piece for piece in self.pieces if not isinstance(piece, EndOfTurn))


class OwnWording(Protocol):
    """A model's own chat template; see `bytemill.data.rows.jinja_templates.ChatTemplate`."""

    def parts(self, turns: Sequence[Turn]) -> list[Part]:
        """Return the conversation in parts; after a last turn of the user comes the opening of an answer."""
        ...


Template = TemplateName | OwnWording


def conversation_parts(turns: Sequence[Turn], *, template: Template = "alpaca") -> list[Part]:
    r"""Return a conversation as parts that are trained or not.

    Args:
        turns: User and assistant alternate, optionally after one system message. If the last turn is the user's, the
            opening of the answer follows, and the parts are a prompt.
        template: "alpaca" and "alpaca_one_header" have the headings of `instruction_prompt`, where a system message
            replaces the first line. "chatml" marks each turn by `<|im_start|>` and `<|im_end|>`: special tokens if
            the tokenizer has them; otherwise plain text, and answers end with end-of-text.

    Raises:
        ValueError: The turns do not alternate, or no turn is the user's.

    >>> turns = [Turn("user", "Hi!"), Turn("assistant", "Hello!")]
    >>> conversation_parts(turns, template="chatml")[-1]
    Part(pieces=('Hello!', '<|im_end|>'), is_answer=True)
    """
    roles = [turn.role for turn in turns if turn.role != "system"]
    if not roles or roles != (["user", "assistant"] * len(roles))[: len(roles)]:
        raise ValueError(
            "whose turns do not alternate between user and assistant, starting with user and ending with assistant"
        )
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError("with a system message after the first turn")
    if not isinstance(template, str):
        return template.parts(turns)
    return {"chatml": _chatml, "chatml_text": _chatml_text}.get(template, _alpaca)(turns, template)


def instruction_turns(row: Mapping[str, Any]) -> list[Turn]:
    """Return the user's turn of a row with `instruction` and optionally `input`."""
    return [Turn("user", row["instruction"], row.get("input") or "")]


def turns_of_messages(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Return messages as turns.

    Args:
        messages: Each with `from` (or `role`) and `value` (or `content`), as in rows of ShareGPT and OpenAI;
            "gpt", "assistant" and "model" are answers.

    Raises:
        ValueError: A message has no text or an unknown role; the text says which.
    """
    return [_turn(message) for message in messages]


def instruction_prompt(instruction: str, input_text: str = "", *, template: Template = "alpaca") -> str:
    r"""Return the prompt of one row as text, up to where the response begins (Taori et al., "Stanford Alpaca", 2023).

    Args:
        instruction: The instruction.
        input_text: The input of the instruction; if empty, its block is omitted.
        template: "alpaca" has different first lines with and without an input; "alpaca_one_header" always has the
            shorter one. Others as in `conversation_parts`.

    >>> print(instruction_prompt("Translate.", "The sun is shining.").partition("\n\n")[2], end="")
    ### Instruction:
    Translate.
    <BLANKLINE>
    ### Input:
    The sun is shining.
    <BLANKLINE>
    ### Response:
    """
    parts = conversation_parts([Turn("user", instruction, input_text)], template=template)
    return "".join(part.text for part in parts)


def stop_texts(template: Template) -> tuple[str, ...]:
    r"""Return the texts that end an answer without an end token: a heading or marker of the next turn.

    >>> stop_texts("alpaca")
    ('\n\n### Instruction:',)
    """
    if not isinstance(template, str):
        return ()
    return ("<|im_end|>", "<|im_start|>") if template.startswith("chatml") else ("\n\n### Instruction:",)


def _turn(message: Mapping[str, Any]) -> Turn:
    if not hasattr(message, "get"):
        raise ValueError("with a message that is not an object")
    role, text = message.get("from", message.get("role")), message.get("value", message.get("content"))
    if not isinstance(role, str) or role not in _ROLES:
        raise ValueError(f"with a role {role!r}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("with an empty message")
    return Turn(_ROLES[role], text)


def _alpaca(turns: Sequence[Turn], template: str) -> list[Part]:
    """Return the parts of the alpaca templates; a system message replaces the first line."""
    header = _WITH_INPUT if turns[0].input_text and template == "alpaca" else WITHOUT_INPUT
    if turns[0].role == "system":
        header, turns = turns[0].text, turns[1:]
    parts: list[Part] = []
    for turn in turns:
        if turn.role == "assistant":
            parts.append(Part((turn.text, EndOfTurn("")), is_answer=True))
            continue
        opening = "" if parts else header
        block = f"### Input:\n{turn.input_text}\n\n" if turn.input_text else ""
        text = f"{opening}\n\n### Instruction:\n{turn.text}\n\n{block}### Response:\n"
        parts.append(Part((text,), is_answer=False))
    return parts


def _chatml(turns: Sequence[Turn], _: str) -> list[Part]:
    start, end = Marker("<|im_start|>"), Marker("<|im_end|>")
    parts: list[Part] = []
    asked: list[str] = []
    for turn in turns:
        if turn.role != "assistant":
            asked += [start, f"{turn.role}\n{turn.whole_text()}", end, "\n"]
            continue
        parts.append(Part((*asked, start, "assistant\n"), is_answer=False))
        parts.append(Part((turn.text, EndOfTurn(end)), is_answer=True))
        asked = ["\n"]
    if turns[-1].role != "assistant":
        parts.append(Part((*asked, start, "assistant\n"), is_answer=False))
    return parts


def _chatml_text(turns: Sequence[Turn], _: str) -> list[Part]:
    """Return the parts of `chatml_text`; each turn is encoded separately as text."""
    parts: list[Part] = []
    for number, turn in enumerate(turns):
        opening = ("\n" if number else "") + f"<|im_start|>{turn.role}\n"
        if turn.role == "assistant":
            parts.append(Part((opening,), is_answer=False))
            parts.append(Part((f"{turn.text}<|im_end|>", EndOfTurn("")), is_answer=True))
        else:
            parts.append(Part((f"{opening}{turn.whole_text()}<|im_end|>",), is_answer=False))
    if turns[-1].role != "assistant":
        parts.append(Part(("\n<|im_start|>assistant\n",), is_answer=False))
    return parts
