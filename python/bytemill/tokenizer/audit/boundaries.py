"""Questions about the boundary of text and ids: special tokens in user text, and unseen spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.errors import DataError
from bytemill.tokenizer.audit.answer import Answer
from bytemill.tokenizer.audit.entries import every_token
from bytemill.tokenizer.pieces import pieces_of_ids, spelled

if TYPE_CHECKING:
    from collections.abc import Collection

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["n_spellings", "not_end_to_end", "special_text"]

PROMPT, ANSWER = "The capital of France is", " Paris"
WORDS = ("hello", "Hello", "HELLO", " hello")


def special_text(tokenizer: Tokenizer) -> Answer:
    """Show how a special token's text in user input is encoded."""
    special = next(iter(tokenizer.special_tokens), "<|endoftext|>")
    text = f"Good.{special}Bye."
    as_text = tokenizer.encode(text, disallowed_special=())
    as_token = tokenizer.encode(text, allowed_special="all", disallowed_special=())
    try:
        refusal, n_refused = "accepted: it has no special tokens", str(len(tokenizer.encode(text)))
    except DataError as error:
        refusal, n_refused = f"refused: {error}", "–"
    rows = (
        ("as if nothing were special", len(as_text), _shown(tokenizer, as_text)),
        ("special tokens allowed", len(as_token), _shown(tokenizer, as_token)),
        ("nothing said, the default", n_refused, refusal),
    )
    names = ", ".join(tokenizer.special_tokens) or "none"
    return Answer(
        "What if a user writes <|endoftext|>?",
        f"This tokenizer's special tokens are: {names}. In a document such text is harmless as long as it stays "
        f"text ({len(as_text)} tokens here). If it becomes the one id that ends a document, a user can cut off the "
        "text that a program put before it. So the default here, as in tiktoken, is to refuse it, and the program must "
        "choose one of the two.",
        f"Three ways to encode “{text}”",
        ("way", "tokens", "result"),
        rows,
        token_columns=(2,),
    )


def not_end_to_end(tokenizer: Tokenizer) -> Answer:
    """Count the id sequences that spell a text; a model is trained on only one of them."""
    tokens = set(every_token(tokenizer).values())
    texts = (*WORDS, PROMPT + ANSWER)
    rows = tuple(_spellings(tokenizer, text, tokens) for text in texts)
    whole = tokenizer.encode_ordinary(PROMPT + ANSWER)
    parts = tokenizer.encode_ordinary(PROMPT + " ") + tokenizer.encode_ordinary(ANSWER.strip())
    difference = "the very ids" if parts == whole else f"{len(parts)} ids instead of {len(whole)}, a row"
    return Answer(
        "Where is a language model not end to end?",
        f"A model is trained on one spelling of each text, but {rows[-1][3]:,} sequences of ids decode to "
        f"“{PROMPT + ANSWER}”. No id tells the model that hello, Hello and ␣hello are one "
        f"word, and a prompt that ends in a space gives {difference} that training "
        f"{'saw' if parts == whole else 'never saw'}. The tokenizer is trained first, by counting, and gets no "
        "gradient: the model must compensate for its weaknesses.",
        "Texts, their one spelling, and how many there could be",
        ("text", "tokens", "spelling", "rows of ids that decode to it"),
        rows,
        token_columns=(0, 2),
    )


def n_spellings(text: bytes, tokens: Collection[bytes]) -> int:
    """Return the number of token sequences that spell `text`.

    >>> n_spellings(b"abc", {b"a", b"b", b"c", b"ab", b"bc"})
    3
    """
    ways = [1]
    for end in range(1, len(text) + 1):
        ways.append(sum(ways[start] for start in range(end) if text[start:end] in tokens))
    return ways[-1]


def _spellings(tokenizer: Tokenizer, text: str, tokens: Collection[bytes]) -> tuple[str, int, str, int]:
    ids = tokenizer.encode_ordinary(text)
    return text.replace(" ", "␣"), len(ids), _shown(tokenizer, ids), n_spellings(text.encode(), tokens)


def _shown(tokenizer: Tokenizer, ids: list[int]) -> str:
    return "|".join(spelled(piece.token) for piece in pieces_of_ids(tokenizer, ids))
