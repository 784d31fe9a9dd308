"""Renders the part of Go's text/template that our Ollama templates use, and reads a Modelfile as Ollama does."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["read_modelfile", "render"]


def read_modelfile(text: str) -> list[tuple[str, str]]:
    """Return the commands as (name, value); PARAMETER NAME VALUE is (NAME, VALUE)."""
    line = re.compile(r'(?:PARAMETER (\w+)|([A-Z]+)) (?:"""(.*?)"""|([^\n]*))\n', re.DOTALL)
    commands, end = [], 0
    while end < len(text):
        found = line.match(text, end)
        assert found, text[end:]
        commands.append((found[1] or found[2], found[4] if found[3] is None else found[3]))
        end = found.end()
    return commands


def render(source: str, data: dict[str, Any]) -> str:
    """Render a template with `data` as its dot."""
    pieces = re.split(r"\{\{ (.*?) \}\}", source)
    out: list[str] = []
    _run(pieces, 0, data, {}, out)
    return "".join(out)


def _run(pieces: list[str], at: int, dot: Any, names: dict[str, Any], out: list[str] | None) -> tuple[int, str]:
    """Render from a text piece until an unmatched `else …` or `end`; return its place and the action."""
    while True:
        if out is not None:
            out.append(pieces[at])
        if at + 1 == len(pieces):
            return at, ""
        action, at = pieces[at + 1], at + 1
        if action.startswith(("else", "end")):
            return at, action
        if action.startswith("range "):
            first, found = at + 1, re.fullmatch(r"range (\$\w+), \$_ := (\.\w+)", action)
            assert found, action
            at, _ = _run(pieces, first, dot, names, None)
            for place, item in enumerate(_value(found[2], dot, names)):
                _run(pieces, first, item, {**names, found[1]: place}, out)
            at += 1
        elif action.startswith("if "):
            done = False
            while action != "end":
                condition = action.removeprefix("else ").removeprefix("if ")
                taken = not done and (action == "else" or bool(_value(condition, dot, names)))
                at, action = _run(pieces, at + 1, dot, names, out if taken else None)
                done |= taken
            at += 1
        else:
            if out is not None:
                out.append(_value(action, dot, names))
            at += 1


def _value(expression: str, dot: Any, names: dict[str, Any]) -> Any:
    if expression.startswith("not "):
        return not _value(expression.removeprefix("not "), dot, names)
    if expression.startswith("eq "):
        left, right = expression.split(" ")[1:]
        return _value(left, dot, names) == right.strip('"')
    return names.get(expression, "") if expression.startswith("$") else (dot or {}).get(expression[1:], [])
