"""All ten questions, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.tokenizer.audit.boundaries import not_end_to_end, special_text
from bytemill.tokenizer.audit.characters import characters, reversing
from bytemill.tokenizer.audit.forms import digits, indentation, yaml_and_json
from bytemill.tokenizer.audit.languages import fertility
from bytemill.tokenizer.audit.samples import CODE, SENTENCES
from bytemill.tokenizer.audit.vocabulary import size_and_length, unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.tokenizer.audit.answer import Answer
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["audit"]


def audit(
    tokenizer: Tokenizer, *, text: str | None = None, languages: Mapping[str, str] | None = None
) -> tuple[Answer, ...]:
    """Answer the ten questions for one tokenizer.

    Args:
        tokenizer: The tokenizer to audit.
        text: Text to measure the vocabulary's sizes on; if None, the English text of `languages`, or short samples.
        languages: The same text in several languages, by name; if None, one sentence in fifteen languages.

    >>> from bytemill import Tokenizer
    >>> answers = audit(Tokenizer.train(texts=["low lower lowest"], vocab_size=262))
    >>> len(answers), answers[0].question
    (10, 'What is a character to the tokenizer?')
    """
    measured = "The given text"
    if not text and (languages or {}).get("English"):
        text, measured = (languages or {})["English"], "The English text of the languages"
    if not text:
        text = "\n".join([*SENTENCES.values(), CODE])
        measured = f"Short samples in {len(SENTENCES)} languages and a piece of code"
    return (
        characters(tokenizer),
        size_and_length(tokenizer, text, measured),
        reversing(tokenizer),
        fertility(tokenizer, languages),
        digits(tokenizer),
        indentation(tokenizer),
        special_text(tokenizer),
        unreachable(tokenizer),
        yaml_and_json(tokenizer),
        not_end_to_end(tokenizer),
    )
