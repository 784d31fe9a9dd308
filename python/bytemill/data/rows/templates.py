r"""The wording around examples: Alpaca's for instructions, two for conversations.

A conversation is a list of parts, each trained or not; what the model writes itself is trained:

    ### Instruction:\nHi!\n\n### Response:\n | Hello! <end> | \n\n### Instruction:\n… | … <end>
    no                                       | yes          | no                     | yes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ChatTemplate", "Part", "Template", "conversation_parts", "instruction_prompt"]

Template = Literal["alpaca", "alpaca_one_header"]
ChatTemplate = Literal["alpaca", "chatml"]

_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
_WITHOUT_INPUT = (
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


class Part(NamedTuple):
    """A piece of a conversation's text."""

    text: str
    is_answer: bool
    """Whether the model writes it: it is trained, and an end-of-text follows."""


def instruction_prompt(instruction: str, input_text: str = "", *, template: Template = "alpaca") -> str:
    r"""The prompt of one row, up to where the response begins (Taori et al., "Stanford Alpaca", 2023).

    Args:
        instruction: What to do.
        input_text: What to do it with; its block is left out when empty.
        template: "alpaca" has another first line with an input than without; "alpaca_one_header" has
            the shorter one for both.

    >>> print(instruction_prompt("Translate.", "The sun is shining.").partition("\n\n")[2], end="")
    ### Instruction:
    Translate.
    <BLANKLINE>
    ### Input:
    The sun is shining.
    <BLANKLINE>
    ### Response:
    """
    header = _WITH_INPUT if input_text and template == "alpaca" else _WITHOUT_INPUT
    block = f"### Input:\n{input_text}\n\n" if input_text else ""
    return f"{header}\n\n### Instruction:\n{instruction}\n\n{block}### Response:\n"


def conversation_parts(messages: Sequence[Mapping[str, Any]], *, template: ChatTemplate = "alpaca") -> list[Part]:
    r"""The text of a conversation in parts that are trained or not.

    Args:
        messages: Each with `from` (or `role`) and `value` (or `content`), as ShareGPT's and OpenAI's rows have
            them; "gpt", "assistant" and "model" are answers.
        template: "alpaca" has the headings that `bytemill chat` uses; "chatml" marks each turn by `<|im_start|>`
            and `<|im_end|>`, as plain text.

    Raises:
        ValueError: A message has no text, an unknown role, or does not follow its forerunner; says which.

    >>> turns = [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "Hello!"}]
    >>> conversation_parts(turns, template="chatml")[-1]
    Part(text='Hello!<|im_end|>', is_answer=True)
    """
    turns = [_turn(message) for message in messages]
    roles = [role for role, _ in turns if role != "system"]
    if roles != ["user", "assistant"] * (len(roles) // 2) or not roles:
        raise ValueError("whose turns do not alternate between user and assistant, from user to assistant")
    if any(role == "system" for role, _ in turns[1:]):
        raise ValueError("with a system message after the first turn")
    return _chatml(turns) if template == "chatml" else _alpaca(turns)


def _turn(message: Mapping[str, Any]) -> tuple[str, str]:
    if not hasattr(message, "get"):
        raise ValueError("with a message that is no object")
    role, text = message.get("from", message.get("role")), message.get("value", message.get("content"))
    if not isinstance(role, str) or role not in _ROLES:
        raise ValueError(f"with a role {role!r}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("with an empty message")
    return _ROLES[role], text


def _alpaca(turns: list[tuple[str, str]]) -> list[Part]:
    """A system message stands where the template's first line stands otherwise."""
    header = _WITHOUT_INPUT
    if turns[0][0] == "system":
        header, turns = turns[0][1], turns[1:]
    parts: list[Part] = []
    for (_, asked), (_, answer) in zip(turns[::2], turns[1::2], strict=True):
        opening = "" if parts else header
        parts.append(Part(f"{opening}\n\n### Instruction:\n{asked}\n\n### Response:\n", is_answer=False))
        parts.append(Part(answer, is_answer=True))
    return parts


def _chatml(turns: list[tuple[str, str]]) -> list[Part]:
    parts = []
    for number, (role, text) in enumerate(turns):
        opening = ("\n" if number else "") + f"<|im_start|>{role}\n"
        is_answer = role == "assistant"
        parts.append(Part(opening if is_answer else f"{opening}{text}<|im_end|>", is_answer=False))
        if is_answer:
            parts.append(Part(f"{text}<|im_end|>", is_answer=True))
    return parts
