"""Text samples of runs: the last sample of each prompt side by side, earlier ones closed by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bytemill.report.blocks import Block, Comparison, Details

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["first_and_last", "samples_of"]

_MAX_PROMPTS = 12
_MAX_EARLIER = 24


def samples_of(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Block]:
    """Return blocks for the samples of each run, given as rows of samples.jsonl."""
    prompts = list(dict.fromkeys(_prompt(row) for rows in runs.values() for row in rows))
    blocks: list[Block] = [_last(prompt, runs) for prompt in prompts[:_MAX_PROMPTS]]
    for name, rows in runs.items():
        earlier = [row for row in rows if row is not _last_row(rows, _prompt(row))][-_MAX_EARLIER:]
        if earlier:
            blocks.append(Details(f"Earlier samples of {name}", tuple(map(_sample, earlier))))
    return blocks


def first_and_last(rows: Sequence[Mapping[str, Any]]) -> Comparison | None:
    """Return the first and the last text of the first prompt side by side; None if there is only one, or none."""
    if not rows:
        return None
    prompt = _prompt(rows[0])
    first, last = rows[0], _last_row(rows, prompt)
    if last is None or last.get("step") == first.get("step"):
        return None
    before = "before training" if first.get("step") == 0 else f"at step {first.get('step', '?')}"
    columns = ((before, _continuation(first)), (f"after step {last.get('step', '?')}", _continuation(last)))
    return Comparison("What it writes", columns, lead=prompt, best=1)


def _last(prompt: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Comparison:
    columns = []
    for name, rows in runs.items():
        row = _last_row(rows, prompt)
        if row is not None:
            columns.append((f"{name}, step {row.get('step', '?')}", _continuation(row)))
    return Comparison(title=f"“{_short(prompt)}”" if prompt else "Empty prompt", lead=prompt, columns=tuple(columns))


def _last_row(rows: Sequence[Mapping[str, Any]], prompt: str) -> Mapping[str, Any] | None:
    return next((row for row in reversed(rows) if _prompt(row) == prompt), None)


def _sample(row: Mapping[str, Any]) -> Comparison:
    title = f"Step {row.get('step', '?')}"
    return Comparison(title=title, lead=_prompt(row), columns=(("", _continuation(row)),))


def _prompt(row: Mapping[str, Any]) -> str:
    return str(row.get("prompt", ""))


def _continuation(row: Mapping[str, Any]) -> str:
    return str(row["text"]).removeprefix(_prompt(row))


def _short(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= 60 else line[:59] + "…"
