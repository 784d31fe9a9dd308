r"""The vocabulary of a page: tokens, merges, and the pattern as a regular expression of JavaScript.

JavaScript has no possessive repeats and no `(?i:…)` in older browsers, and its `\s` is not Unicode's white space: it
has U+FEFF and lacks U+0085. So each pattern in use has a spelling here that splits in the same way; others are refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError
from bytemill.tokenizer.known_patterns import LLAMA3, QWEN2
from bytemill.tokenizer.tokenizer import is_same_pattern

if TYPE_CHECKING:
    from bytemill.tokenizer import Tokenizer

__all__ = ["javascript_pattern", "page_vocabulary"]

# Without case, an s is also the long s.
_ENDINGS = r"[sSſdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE]"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LLAMA3 = (
    rf"'(?:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)

_SPELLINGS: tuple[tuple[str | None, str], ...] = (
    ("gpt2", r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
    (
        "cl100k",
        rf"'(?:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s+$|\s*[\r\n]|"
        r"\s+(?!\S)|\s",
    ),
    (
        "o200k",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+(?:'(?:{_ENDINGS}))?|"
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*(?:'(?:{_ENDINGS}))?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    (LLAMA3, _LLAMA3),
    (QWEN2, _LLAMA3.replace("{1,3}", "")),
    (None, r"[^]+"),
)
"""A pattern, and how JavaScript writes it with the flag `u`, apart from white space."""


def page_vocabulary(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the arguments of the page's tokenizer.

    Raises:
        ConfigError: The page cannot give the ids of this tokenizer; the message says why.

    >>> from bytemill import Tokenizer
    >>> vocabulary = page_vocabulary(Tokenizer.train(texts=["a low low"], vocab_size=260))
    >>> vocabulary["tokens"][256:], vocabulary["merges"], vocabulary["special"]
    (['6c6f', '206c6f', '206c6f77', None], [[108, 111], [32, 256], [257, 119]], {259: '<|endoftext|>'})
    """
    pattern = javascript_pattern(tokenizer.pattern)
    settings = json.loads(tokenizer.to_readable())
    if tokenizer.added_tokens:
        raise ConfigError(
            f"the tokenizer finds the added token {next(iter(tokenizer.added_tokens))!r} in any text, which the page "
            "cannot; make it a special token"
        )
    if settings.get("normalizer"):
        raise ConfigError(f"the tokenizer normalizes text to {settings['normalizer']}, which the page does not do")
    return {
        "pattern": pattern,
        "tokens": [settings["vocab"].get(str(one)) for one in range(tokenizer.n_vocab)],
        "special": {one: text for text, one in tokenizer.special_tokens.items()},
        "merges": settings["merges"],
        "ignoreMerges": settings["ignore_merges"],
    }


def javascript_pattern(pattern: str | None) -> str:
    r"""Return a pattern as a regular expression of JavaScript with the flag `u` that splits every text alike.

    Raises:
        ConfigError: There is no translation; the message names the patterns that have one.

    >>> javascript_pattern(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s")[-15:]
    'p{White_Space}+'
    """
    for known, spelling in _SPELLINGS:
        if is_same_pattern(pattern, known):
            return spelling.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}")
    raise ConfigError(
        f"the page has no translation of the pattern {pattern!r}; the patterns that work are gpt2, cl100k, o200k, "
        "those of Llama 3 and Qwen 2, and none"
    )
