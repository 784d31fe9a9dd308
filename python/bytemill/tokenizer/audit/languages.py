"""Compare the tokens of the same text in each language: per word, per character, and relative to English.

Tokens per word are called fertility (Rust et al. 2021, "How good is your tokenizer?"). Tokens relative to English for
the same content are a language's premium (Petrov et al. 2023, "Language model tokenizers introduce unfairness
between languages"). Scripts without spaces have no words to count, so their fertility is omitted.
"""

from __future__ import annotations

import statistics
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bytemill.errors import DataError
from bytemill.tokenizer.audit.answer import Answer, Cell
from bytemill.tokenizer.audit.samples import LANGUAGE_NAMES, SENTENCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["fertility", "read_languages"]

MOST_FILE_BYTES = 4 << 20
MOST_BARS = 30
N_ENDS = 4
ENGLISH = "English"


def read_languages(path: str | Path) -> dict[str, str]:
    """Read a ZIP file with one .txt per language; keys are names of large languages, else file names.

    Indentation and empty lines are removed: some tokenizers use one token per space, in every language.

    Raises:
        DataError: The file is not a ZIP file, or contains no .txt file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {
                PurePosixPath(entry.filename).stem: _lines(archive.read(entry).decode("utf-8-sig", "replace"))
                for entry in archive.infolist()
                if entry.filename.endswith(".txt") and 0 < entry.file_size <= MOST_FILE_BYTES
            }
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: not a ZIP file that can be read: {error}") from None
    if not texts:
        raise DataError(f"{path}: contains no .txt file, expected one per language")
    return {LANGUAGE_NAMES.get(code, code): text for code, text in texts.items()}


def fertility(tokenizer: Tokenizer, texts: Mapping[str, str] | None = None) -> Answer:
    """Count tokens by language, fewest first; texts of less than half of English's bytes are skipped as incomplete."""
    given = texts or SENTENCES
    reference = given.get(ENGLISH) or next(iter(given.values()))
    whole = {name: text for name, text in given.items() if 2 * len(text.encode()) >= len(reference.encode())}
    n_reference = max(1, tokenizer.count(reference))
    rows = sorted((_row(tokenizer, name, text, n_reference) for name, text in whole.items()), key=lambda row: row[3])
    shown = rows if len(rows) <= MOST_BARS else _known_and_ends(rows)
    cheapest, dearest = rows[0], rows[-1]
    middle = statistics.median(row[6] for row in rows)
    left_out = len(given) - len(whole)
    return Answer(
        "What do other languages cost?",
        f"The same content costs {cheapest[3]:,} tokens in {cheapest[0]} and {dearest[3]:,} in {dearest[0]}, "
        f"{dearest[3] / max(1, cheapest[3]):.1f} times as many; the median of {len(rows)} texts costs {middle:.2f} "
        "times as much as English. Every token costs time, money and space in the context, so users of expensive "
        "languages get less of each. The main cause is the amount of the language in the training text; the second is "
        "the number of bytes of its script.",
        "Tokens by language, fewest first"
        + (f"; {len(shown)} of {len(rows)} texts" if len(shown) < len(rows) else "")
        + (f", {left_out} incomplete ones left out" if left_out else ""),
        ("language", "characters", "bytes", "tokens", "tokens a word", "tokens a character", "times English"),
        tuple(shown),
        all_rows=tuple(rows) if len(shown) < len(rows) else (),
        bars=tuple((row[0], row[6]) for row in shown),
        bars_label="tokens, times English",
    )


def _lines(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


_Row = tuple[str, int, int, int, Cell, float, float]


def _row(tokenizer: Tokenizer, name: str, text: str, n_reference: int) -> _Row:
    n_tokens, n_characters = tokenizer.count(text), max(1, len(text))
    a_word: Cell = "–" if _is_unspaced(text) else round(n_tokens / max(1, len(text.split())), 3)
    times = round(n_tokens / n_reference, 3)
    return name, len(text), len(text.encode()), n_tokens, a_word, round(n_tokens / n_characters, 3), times


def _is_unspaced(text: str) -> bool:
    """Return whether most of a text is Chinese, Japanese, Thai, Lao, Khmer, Burmese or Tibetan (no spaces)."""
    ranges = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF))
    n_unspaced = sum(any(first <= ord(one) <= last for first, last in ranges) for one in text)
    return 2 * n_unspaced > len(text)


def _known_and_ends(rows: Sequence[_Row]) -> list[_Row]:
    """Return the large languages, and those with the fewest and the most tokens."""
    names = set(LANGUAGE_NAMES.values())
    return [row for i, row in enumerate(rows) if row[0] in names or i < N_ENDS or i >= len(rows) - N_ENDS]
