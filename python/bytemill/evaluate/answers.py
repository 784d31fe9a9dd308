"""A model's answers to the rows of a test set, as JSON: what judges and people read.

Each row keeps its columns and gains `model_response`. The work is written down row by row beside the
result, so a run that is cut off goes on; the result appears at the end, whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Unpack

from bytemill.data.rows import Template, instruction_prompt, instruction_turns, prompt_ids, stop_texts
from bytemill.errors import DataError
from bytemill.evaluate.journal import LONE_SURROGATES, Journal
from bytemill.files import write_text
from bytemill.inference.batches import complete_all
from bytemill.json_reader import MAX_ROWS_BYTES, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bytemill.inference import Sampling, TextGenerator

__all__ = ["RESPONSE", "read_answers", "write_answers"]

RESPONSE = "model_response"
"""The column that holds the model's answer."""


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
    """Answer every row and write them all to `output`; what `output`.part holds is not done again.

    Args:
        generator: Model and tokenizer.
        rows: instruction, input (may be absent), and what else they have.
        output: The JSON file.
        model_name: Noted in the .part file, so that two models' answers never mix.
        template: Wording of the prompt; the one that the model was tuned with.
        batch_size: Rows at a time at most; see `complete_all`.
        max_new_tokens: Tokens of an answer at most.
        stop: An answer ends before the first of these.
        shown: Called with the number of rows that are done.
        **sampling: As `bytemill.model.generate`.

    Raises:
        ConfigError: `output`.part holds answers of another model, or under other settings.
    """
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
    # What JSON does not have, such as the dates of a Parquet file, is written as its text.
    text = json.dumps(answered, ensure_ascii=False, indent=4, default=str) + "\n"
    write_text(output, text, errors=LONE_SURROGATES)
    part.unlink()
    return answered


def read_answers(path: Path) -> list[dict[str, Any]]:
    """What `write_answers` wrote.

    Raises:
        DataError: The file cannot be read, or is of another form; names the columns that are there.
    """
    try:
        rows = read_json(path, max_bytes=MAX_ROWS_BYTES, error=DataError)
    except OSError as error:
        raise DataError(f"{path}: the answers cannot be read: {error.strerror}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: expected a list of objects, one a row, and at least one")
    for number, row in enumerate(rows, start=1):
        for column in ("instruction", RESPONSE):
            if not isinstance(row.get(column), str):
                raise DataError(f"{path}: row {number} has no text in {column!r}; it has {', '.join(row)}")
    return rows
