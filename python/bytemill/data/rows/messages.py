"""Convert conversations and preference pairs from common formats to the one form that templates use.

The `system` field becomes the first message, and the text parts of a message become one text. A first assistant turn,
which answers nothing, and a last user turn, which has no answer, are dropped. If the answers of a preference row are
whole conversations, as in trl, their common beginning becomes the messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

__all__ = ["as_conversation", "as_preference", "changes_note"]

_ANSWERS = ("chosen", "rejected")
_ASSISTANT = ("assistant", "gpt", "model")
_USER = ("user", "human")
_TEXT_FIELDS = ("value", "content")


def as_conversation(row: Mapping[str, Any], changes: Counter[str], *, is_whole: bool = True) -> dict[str, Any]:
    """Return a row with its `messages` in plain form; a row without a list of messages is unchanged.

    Args:
        row: Has the key `messages`, and optionally `system`.
        changes: Counts the rows with dropped turns; the key is text that follows the number.
        is_whole: Whether the messages must end with an answer; False for a prompt, which ends with the user's turn.

    >>> from collections import Counter
    >>> turns = [{"role": "user", "content": [{"type": "text", "text": "Hi!"}]}]
    >>> as_conversation({"system": "Be brief.", "messages": turns}, Counter())["messages"]
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hi!'}]
    """
    given = row.get("messages")
    if not isinstance(given, list | tuple):
        return dict(row)
    messages = [_with_text(message, changes) for message in given]
    system = row.get("system")
    if isinstance(system, str) and system.strip() and not (messages and _role(messages[0]) == "system"):
        messages.insert(0, {"role": "system", "content": system})
    first = 1 if messages and _role(messages[0]) == "system" else 0
    if len(messages) > first + 1 and _role(messages[first]) in _ASSISTANT and _role(messages[first + 1]) in _USER:
        del messages[first]
        changes["lost a first turn of the assistant"] += 1
    is_odd = len(messages) > first + 1 and _role(messages[-1]) in _USER and _role(messages[-2]) in _ASSISTANT
    if is_whole and is_odd and not isinstance(row.get("chosen"), dict):
        del messages[-1]
        changes["lost a last turn of the user"] += 1
    return {**row, "messages": messages}


def as_preference(row: Mapping[str, Any], changes: Counter[str]) -> dict[str, Any]:
    """Return a preference row with `instruction` or `messages`, and answers that are texts or messages.

    Answers may be lists of messages: only the answer, or a common prompt and the answer. `prompt` is a text or a list
    of messages.

    >>> from collections import Counter
    >>> asked = {"role": "user", "content": "Hi!"}
    >>> answers = {"chosen": [asked, {"role": "assistant", "content": "Hello."}],
    ...            "rejected": [asked, {"role": "assistant", "content": "What?"}]}
    >>> as_preference(answers, Counter())["messages"]
    [{'role': 'user', 'content': 'Hi!'}]
    """
    found = dict(row)
    prompt = found.get("prompt")
    if isinstance(prompt, list) and not isinstance(found.get("messages"), list):
        found["messages"] = prompt
    answers = [found.get(name) for name in _ANSWERS]
    if all(isinstance(answer, list) and answer for answer in answers):
        _split_answers(found, answers, prompt)
    elif isinstance(prompt, str) and found.get("instruction") is None and found.get("messages") is None:
        found["instruction"] = prompt
    for name in _ANSWERS:
        if isinstance(found.get(name), dict):
            found[name] = _with_text(found[name], changes)
    return as_conversation(found, changes, is_whole=False)


def changes_note(changes: Mapping[str, int]) -> tuple[str, ...]:
    """Return one sentence on the changed rows for a report; empty if there are none.

    >>> changes_note({"lost a last turn of the user": 2})
    ('2 lost a last turn of the user',)
    """
    return (", ".join(f"{count} {change}" for change, count in changes.items()),) if changes else ()


def _split_answers(row: dict[str, Any], answers: list[Any], prompt: object) -> None:
    """Split off the common beginning of both answers as the prompt; the rest must be one message."""
    n_shared = 0
    for one, other in zip(*(answer[:-1] for answer in answers), strict=False):
        if one != other:
            break
        n_shared += 1
    if n_shared:
        row["messages"] = answers[0][:n_shared]
    elif not isinstance(row.get("messages"), list):
        asked = prompt if isinstance(prompt, str) else row.get("instruction")
        row["messages"] = [{"role": "user", "content": asked}]
    for name, answer in zip(_ANSWERS, answers, strict=True):
        left = answer[n_shared:]
        row[name] = left[0] if len(left) == 1 else None


def _role(message: Any) -> Any:
    return message.get("from", message.get("role")) if hasattr(message, "get") else None


def _with_text(message: Any, changes: Counter[str]) -> Any:
    """Return a message with its list of content parts joined to one text."""
    if not hasattr(message, "get"):
        return message
    field = next((name for name in _TEXT_FIELDS if isinstance(message.get(name), list)), None)
    if field is None:
        return message
    parts = [part if isinstance(part, dict) else {"type": "text", "text": part} for part in message[field]]
    others = {str(part.get("type")) for part in parts if not isinstance(part.get("text"), str)}
    for kind in sorted(others):
        changes[f"have a part of type {kind}, which is not text"] += 1
    return {**message, field: None if others else "".join(part["text"] for part in parts)}
