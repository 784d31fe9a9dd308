"""Writes and reads a model's answers to the rows of a test set, as JSON, for judges and people.

Each row keeps its columns and gets a column `model_response`. The answers are saved row by row in a .part file next to
the output, so an interrupted run can continue. The output file is written at the end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Unpack

from bytemill.data.rows import Template, instruction_prompt, instruction_turns, prompt_ids, stop_texts
from bytemill.errors import DataError
from bytemill.evaluate.journal import LONE_SURROGATES, Journal
from bytemill.files import write_text
from bytemill.json_reader import MAX_ROWS_BYTES, parse_object, read_json, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bytemill.inference import Sampling, TextGenerator

__all__ = [
    "RESPONSE",
    "expected_answer_of",
    "is_continuation",
    "question_of",
    "read_answer_sets",
    "read_answers",
    "write_answers",
]

RESPONSE = "model_response"
"""Column of the model's answer."""


def write_answers(
    generator: TextGenerator,
    rows: Sequence[Mapping[str, Any]],
    output: Path,
    *,
    model_name: str,
    template: Template = "alpaca",
    batch_size: int = 8,
    max_new_tokens: int = 256,
    stop: Sequence[str] = (),
    shown: Callable[[int], None] = lambda _: None,
    **sampling: Unpack[Sampling],
) -> list[dict[str, Any]]:
    """Answer every row and write all rows to `output`; answers already in `output`.part are reused.

    Args:
        generator: Model and tokenizer.
        rows: Rows with the columns instruction and input (optional), and any others.
        output: The JSON file to write.
        model_name: Saved in the .part file, so that answers of two models are never mixed.
        template: Prompt template; use the one that the model was tuned with.
        batch_size: Maximum number of rows per batch; see `complete_all`.
        max_new_tokens: Maximum number of tokens per answer.
        stop: Texts that end an answer; the answer stops before the first of them.
        shown: Called with the number of finished rows.
        **sampling: As in `bytemill.model.generate`.

    Raises:
        ConfigError: `output`.part contains answers of another model or with other settings.
    """
    from bytemill.inference.batches import complete_all  # imports torch, which readers of answers do not need

    prompts = [instruction_prompt(row["instruction"], row.get("input") or "", template=template) for row in rows]
    how = {"model": model_name, "prompts": prompts, "max_new_tokens": max_new_tokens, "stop": list(stop), **sampling}
    ids = [prompt_ids(instruction_turns(row), generator.tokenizer, template) for row in rows]  # type: ignore[arg-type]
    part = output.with_name(output.name + ".part")
    with Journal(part, how) as journal:
        missing = [index for index in range(len(rows)) if index not in journal.results]
        answers = complete_all(
            generator,
            [ids[index] for index in missing],
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            stop=(*stop, *stop_texts(template)),
            **sampling,
        )
        for place, answer in answers:
            journal.add(missing[place], {RESPONSE: answer.strip()})
            shown(len(journal.results))
        answered = [{**row, RESPONSE: journal.results[index][RESPONSE]} for index, row in enumerate(rows)]
    # Values that JSON does not have, such as dates of a Parquet file, are written as text.
    text = json.dumps(answered, ensure_ascii=False, indent=4, default=str) + "\n"
    write_text(output, text, errors=LONE_SURROGATES)
    part.unlink()
    return answered


def read_answers(path: Path) -> list[dict[str, Any]]:
    """Read one model's answers: a file from `write_answers`, or continuations.

    The file is a JSON list or, as .jsonl, one object per line. A row has an `instruction` and a `model_response`, or a
    `prompt` and the `text` that continues it, as in a run's samples.jsonl.

    Returns:
        The rows; continuations as {"prompt": …, "model_response": …}.

    Raises:
        DataError: The file cannot be read, or a row has another form; the error names the row and its columns.
    """
    rows = _read_objects(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: expected a list of at least one object, one per row")
    return [_checked_row(row, f"{path}: row {number}") for number, row in enumerate(rows, start=1)]


def read_answer_sets(name: str, path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the answers of each model in a file: one model as in `read_answers`, or several on the same prompts.

    A file with several models is the JSON that `bytemill eval prompts --json` prints.

    Args:
        name: Name of the model, for a file with one model.
        path: The file to read.

    Returns:
        Rows by model name.

    Raises:
        DataError: As in `read_answers`; or the prompts and the answers do not match.
    """
    found = None if _has_lines(path) else _read_objects(path)
    if not isinstance(found, dict):
        return {name: read_answers(path)}
    prompts, answers = found.get("prompts"), found.get("answers")
    if not isinstance(prompts, list) or not prompts or not isinstance(answers, dict) or not answers:
        raise DataError(f"{path}: expected a list of rows, or prompts and answers, as `eval prompts --json` prints")
    return {model: _battery_rows(prompts, said, f"{path}: {model}") for model, said in answers.items()}


def question_of(row: Mapping[str, Any]) -> str:
    r"""Return the question of a row, or the text to continue.

    >>> question_of({"instruction": "Translate.", "input": "Hi"}), question_of({"prompt": "Once upon"})
    ('Translate.\nHi', 'Once upon')
    """
    if is_continuation(row):
        return str(row["prompt"])
    return f"{row.get('instruction') or ''}\n{row.get('input') or ''}".strip()


def expected_answer_of(row: Mapping[str, Any]) -> str:
    """Return the expected answer of a row: its `output` or its `chosen` answer; "" if it has neither."""
    return str(row.get("output") or row.get("chosen") or "")


def is_continuation(row: Mapping[str, Any]) -> bool:
    """Return whether a row continues a text instead of answering an instruction."""
    return "instruction" not in row and "prompt" in row


def _has_lines(path: Path) -> bool:
    return path.suffix in (".jsonl", ".ndjson")


def _read_objects(path: Path) -> Any:
    try:
        if _has_lines(path):
            lines = read_lines(path, error=DataError)
            return [parse_object(line, f"{path}, line {number}", error=DataError) for number, line in lines]
        return read_json(path, max_bytes=MAX_ROWS_BYTES, error=DataError)
    except OSError as error:
        raise DataError(f"{path}: the answers cannot be read: {error.strerror}") from None


def _checked_row(row: dict[str, Any], place: str) -> dict[str, Any]:
    continues = is_continuation(row)
    question = "prompt" if continues else "instruction"
    answer = "text" if continues and RESPONSE not in row else RESPONSE
    for column in (question, answer):
        if not isinstance(row.get(column), str):
            raise DataError(f"{place} has no text in {column!r}; it has {', '.join(row)}")
    return {"prompt": row["prompt"], RESPONSE: row[answer]} if continues else row


def _battery_rows(prompts: list[Any], answers: Any, place: str) -> list[dict[str, Any]]:
    if not isinstance(answers, list) or len(answers) != len(prompts):
        raise DataError(f"{place}: expected a list of {len(prompts)} answers, one per prompt")
    rows = []
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True), start=1):
        texts = [prompt.get("label"), prompt.get("text"), answer] if isinstance(prompt, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{place}: prompt {number} or its answer is not text; expected label, text and an answer")
        label, text, _ = texts
        # If the label equals the text, the prompt has no template: it is a text to continue.
        row = {"prompt": text} if label == text else {"instruction": label}
        expected = prompt.get("expected_answer") or prompt.get("reference")  # the name in earlier versions
        rows.append(row | ({"output": expected} if expected else {}) | {RESPONSE: answer})
    return rows
