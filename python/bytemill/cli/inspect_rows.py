"""`bytemill data inspect --task`: show rows as the model sees them, with trained tokens highlighted."""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from bytemill.cli.console import say
from bytemill.errors import ArgumentError
from bytemill.outside_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bytemill.tasks.row_parts import Rows
    from bytemill.train.config import RunConfig

__all__ = ["TASKS", "show_rows"]

TASKS = ("lm", "instruct", "chat", "classify", "preference")
_TRAINED_STYLE, _OTHER_STYLE = "black on bright_green", "dim"


class _Shown(NamedTuple):
    head: str
    ids: list[int]
    trained: list[bool]


def show_rows(config: RunConfig, *, first: int, number: int, most_tokens: int) -> None:
    """Print rows of `config.data.path` with their masks; print the number of usable rows to stderr.

    Trained tokens are coloured if stdout is a terminal; otherwise they have brackets ⟦ ⟧.

    Raises:
        ArgumentError: The task does not exist, or `first` is not the number of a row.
        DataError: The rows cannot be read, or none is usable.
    """
    from rich.console import Console
    from rich.text import Text

    from bytemill.tasks.base_settings import tokenizer_of
    from bytemill.tasks.inputs import check_inputs

    if config.task not in TASKS:
        raise ArgumentError(f"task is {config.task!r}, expected one of {', '.join(TASKS)}")
    check_inputs(config)
    tokenizer = tokenizer_of(config)
    rows, report = _encoded(config, tokenizer)
    say(report)
    if first >= len(rows):
        raise ArgumentError(f"first is {first}, expected 0 to {len(rows) - 1}")
    console = Console(soft_wrap=True, highlight=False)
    for place, row in enumerate(rows[first : first + number], first):
        console.print(Text(printable(f"── row {place:,}: {row.head} ──"), style="bold"))
        shown = Text()
        for is_trained, piece in _pieces(row, tokenizer, most_tokens):
            if console.is_terminal:
                shown.append(printable(piece), style=_TRAINED_STYLE if is_trained else _OTHER_STYLE)
            else:
                shown.append(f"⟦{piece}⟧" if is_trained else piece)
        if len(row.ids) > most_tokens:
            shown.append(f" … {len(row.ids) - most_tokens:,} more", style=_OTHER_STYLE)
        console.print(shown)


def _encoded(config: RunConfig, tokenizer: Any) -> tuple[list[_Shown], str]:
    from bytemill.data.rows import encode_labelled
    from bytemill.data.rows.labels import label_names, renamed_labels
    from bytemill.tasks.tuning import encode_for_task, read_for_task

    if config.task == "preference":
        return _pairs(config, tokenizer)
    notes: list[str] = []
    given = _drawn(read_for_task(config, notes=notes), config)
    if config.task == "classify":
        given = renamed_labels(given, config.classify.names)
        labelled = encode_labelled(given, tokenizer, labels=label_names(given), max_tokens=config.data.seq_len)
        rows = [
            _Shown(
                f"{len(row.ids):,} tokens, the class {labelled.labels[row.label]!r} is read at the last",
                row.ids.tolist(),
                [place == len(row.ids) - 1 for place in range(len(row.ids))],
            )
            for row in labelled.rows
        ]
        return rows, "; ".join([labelled.report(), *notes])
    encoded = encode_for_task(given, tokenizer, config)
    shown = []
    for row in encoded.rows:
        trained = row.trained().tolist() if config.data.mask_prompt else [True] * len(row.ids)
        trained[0] = False  # no token before it could predict it
        shown.append(_Shown(f"{len(row.ids):,} tokens, {sum(trained):,} trained", row.ids.tolist(), trained))
    return shown, "; ".join([encoded.report(), *notes])


def _drawn(rows: Rows, config: RunConfig) -> Rows:
    """Return the rows that a run uses: all, `data.max_rows` (training rows first), or `data.train_rows`."""
    from bytemill.tasks.row_parts import row_parts

    data = config.data
    if data.train_rows:
        return row_parts(config, rows, lambda _: [], at_most=data.max_rows).train
    if not data.max_rows:
        return rows
    return list(chain(*row_parts(config, rows, lambda _: [], at_most=data.max_rows)))


def _pairs(config: RunConfig, tokenizer: Any) -> tuple[list[_Shown], str]:
    """Return each pair as two rows, the chosen answer first."""
    from bytemill.tasks.preference import encode_for_preference, read_pairs

    encoded = encode_for_preference(_drawn(read_pairs(config), config), tokenizer, config)
    shown = []
    for pair in encoded.pairs:
        for kind, row in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            trained = row.trained().tolist()
            shown.append(
                _Shown(f"{kind}, {sum(trained):,} of {len(row.ids):,} tokens compared", row.ids.tolist(), trained)
            )
    return shown, encoded.report()


def _pieces(row: _Shown, tokenizer: Any, most_tokens: int) -> Iterator[tuple[bool, str]]:
    """Return spans of the same kind decoded together, because a character may need several ids."""
    pairs = list(zip(row.trained, row.ids, strict=True))[:most_tokens]
    for is_trained, group in groupby(pairs, key=lambda pair: pair[0]):
        yield is_trained, tokenizer.decode([one for _, one in group])
