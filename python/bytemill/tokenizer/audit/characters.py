"""Questions about single characters and words: their bytes, and why a model cannot see letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.tokenizer.audit.answer import Answer
from bytemill.tokenizer.audit.samples import CHARACTERS, REVERSED_WORDS
from bytemill.tokenizer.pieces import pieces, spelled

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["characters", "reversing"]


def characters(tokenizer: Tokenizer) -> Answer:
    """Show code points, bytes and ids of single characters."""
    rows = tuple(_character(tokenizer, character) for character in CHARACTERS)
    n_bytes, n_tokens = sum(row[3] for row in rows[:4]), sum(row[4] for row in rows[:4])
    return Answer(
        "What is a character to the tokenizer?",
        "Unicode numbers characters, UTF-8 writes each number as one to four bytes, and the tokenizer sees only the "
        f"bytes. The four characters 北大模型 are {n_bytes} bytes, and {n_tokens} tokens here if encoded one by one. "
        "A character that is frequent in the training text is one token; any other is split into pieces that have no "
        "meaning by themselves.",
        "Characters as code points, bytes and ids",
        ("character", "code point", "UTF-8", "bytes", "tokens", "ids"),
        rows,
        token_columns=(2, 5),
    )


def reversing(tokenizer: Tokenizer) -> Answer:
    """Show the tokens of words forwards and backwards."""
    rows, n_shared, n_all = [], 0, 0
    for word in REVERSED_WORDS:
        forwards, backwards = pieces(tokenizer, word), pieces(tokenizer, word[::-1])
        shared = {piece.id for piece in forwards} & {piece.id for piece in backwards}
        n_shared, n_all = n_shared + len(shared), n_all + len({piece.id for piece in forwards})
        told = ["|".join(spelled(piece.token) for piece in found) for found in (forwards, backwards)]
        rows.append((word, told[0], len(forwards), told[1], len(backwards), len(shared)))
    return Answer(
        "Why can a model not reverse a word?",
        "To reverse a word, a model must know its letters, but a token's id does not contain them. Forwards these "
        f"words have {n_all} different tokens, and {n_shared} of them also occur backwards: the model must memorize "
        "the rest, token by token. It helps to ask for letters with spaces between them, because each letter is then "
        "one token.",
        "Words, and the same letters from right to left",
        ("word", "forwards", "tokens", "backwards", "tokens backwards", "shared"),
        tuple(rows),
        token_columns=(1, 3),
    )


def _character(tokenizer: Tokenizer, character: str) -> tuple[str, str, str, int, int, str]:
    ids = tokenizer.encode_ordinary(character)
    written = character.encode()
    code_point = f"{ord(character)} (U+{ord(character):04X})"
    return character, code_point, written.hex(" "), len(written), len(ids), " ".join(map(str, ids))
