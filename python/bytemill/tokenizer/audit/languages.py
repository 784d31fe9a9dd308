"""What the same text costs in each language: tokens a word, a character, and beside English.

Tokens a word are called fertility (Rust et al. 2021, "How good is your tokenizer?"); tokens beside those of English
for the same content are a language's premium (Petrov et al. 2023, "Language model tokenizers introduce unfairness
between languages"). Scripts without spaces have no words to count by, so their fertility is left out.
"""

from __future__ import annotations

import statistics
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bytemill.errors import DataError
from bytemill.tokenizer.audit.answer import Answer, Cell
from bytemill.tokenizer.audit.samples import SENTENCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["fertility", "read_languages"]

MOST_FILE_BYTES = 4 << 20
N_ENDS = 8
LONGEST_WORD = 25
REFERENCES = ("English", "eng")


def read_languages(path: str | Path) -> dict[str, str]:
    """The texts of a ZIP file with one .txt a language, each under its file's name.

    Raises:
        DataError: It is no ZIP file, or holds no such text.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {
                PurePosixPath(entry.filename).stem: archive.read(entry).decode("utf-8", "replace").strip("\ufeff \n")
                for entry in archive.infolist()
                if entry.filename.endswith(".txt") and 0 < entry.file_size <= MOST_FILE_BYTES
            }
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: no ZIP file of texts that can be read: {error}") from None
    if not texts:
        raise DataError(f"{path}: holds no .txt file, expected one a language")
    return texts


def fertility(tokenizer: Tokenizer, texts: Mapping[str, str] | None = None) -> Answer:
    """Tokens by language; of many languages the cheapest, the middle ones and the dearest."""
    rows = sorted((_row(tokenizer, name, text) for name, text in (texts or SENTENCES).items()), key=lambda row: row[3])
    reference = next((row for row in rows if row[0] in REFERENCES), rows[0])
    rows_beside = [(*row, round(row[3] / max(1, reference[3]), 3)) for row in rows]
    shown: Sequence[tuple[Cell, ...]] = rows_beside if len(rows) <= 3 * N_ENDS else _ends_and_middle(rows_beside)
    cheapest, dearest = rows_beside[0], rows_beside[-1]
    middle = statistics.median(row[6] for row in rows_beside)
    return Answer(
        "What do other languages pay?",
        f"The same content costs {cheapest[3]:,} tokens in {cheapest[0]} and {dearest[3]:,} in {dearest[0]}, "
        f"{dearest[3] / max(1, cheapest[3]):.1f} times as many; the middle of {len(rows)} texts pays {middle:.2f} times "
        f"what {reference[0]} pays. Every token costs time, money and a place in the context, so users of dear languages "
        "get less of each. What decides is how much of a language the training text held, then how many bytes its script takes.",
        "Tokens by language, fewest first" + ("" if len(shown) == len(rows) else f" ({len(shown)} of {len(rows)})"),
        ("language", "characters", "bytes", "tokens", "tokens a word", "tokens a character", f"beside {reference[0]}"),
        tuple(shown),
        bars=tuple((str(row[0]), float(row[6])) for row in shown),
        bars_label=f"tokens beside {reference[0]}",
    )


def _row(tokenizer: Tokenizer, name: str, text: str) -> tuple[str, int, int, int, str | float, float]:
    n_tokens, words = tokenizer.count(text), text.split()
    has_words = len(text) <= LONGEST_WORD * max(1, len(words)) and not _is_unspaced(text)
    a_word: str | float = round(n_tokens / len(words), 3) if has_words else "–"
    return name, len(text), len(text.encode()), n_tokens, a_word, round(n_tokens / max(1, len(text)), 3)


def _is_unspaced(text: str) -> bool:
    """Whether most of it is in scripts that write no spaces: Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan."""
    ranges = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF))
    n_unspaced = sum(any(first <= ord(one) <= last for first, last in ranges) for one in text)
    return 2 * n_unspaced > len(text)


def _ends_and_middle(rows: Sequence[tuple[Cell, ...]]) -> Sequence[tuple[Cell, ...]]:
    begin = (len(rows) - N_ENDS) // 2
    middle = rows[begin : begin + N_ENDS]
    english = [row for row in rows[N_ENDS:] if row[0] in REFERENCES and row not in middle and row not in rows[-N_ENDS:]]
    return [*rows[:N_ENDS], *english, *middle, *rows[-N_ENDS:]]
