"""The vocabulary of a GGUF file: tokens, merges, and the name of llama.cpp's rule for splitting text.

llama.cpp does not read a pattern. It has one hand-written rule per family of models and selects it by the name in
`tokenizer.ggml.pre`. A wrong name gives other ids without any error, so a pattern is either one of `_RULES` or refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from bytemill import _core
from bytemill.errors import ConfigError
from bytemill.tokenizer.known_patterns import LLAMA3, QWEN2
from bytemill.tokenizer.tokenizer import is_same_pattern

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["GGUFVocabulary", "gguf_vocabulary"]

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
"""Token types of the GGUF specification."""

_LONG_S = "a contraction with the long s, as in 'ſ, is not recognized"


class _Rule(NamedTuple):
    """A rule of llama.cpp for a pattern."""

    pattern: str
    """The pattern: its name, or its usual spelling."""
    pre: str
    """The name of the rule in `tokenizer.ggml.pre`."""
    pre_ignoring_merges: str | None
    """The name of the same rule for a vocabulary with `ignore_merges`; None if there is none."""
    differences: str
    """Where the rule splits differently from the pattern; "" for nowhere."""


_RULES = (
    _Rule("gpt2", "gpt-2", None, ""),
    _Rule(
        "cl100k",
        "dbrx",
        "llama-bpe",
        f"white space at the end of a text is split after its last line break; {_LONG_S}",
    ),
    _Rule(
        LLAMA3,
        "dbrx",
        "llama-bpe",
        _LONG_S,
    ),
    _Rule(
        QWEN2,
        "qwen2",
        None,
        _LONG_S,
    ),
    _Rule(
        "o200k",
        "gpt-4o",
        None,
        "beyond ASCII, words are not split before capitals, and combining marks end a word; " + _LONG_S,
    ),
)

_SAMPLE = (
    "It's 1,234.50 km from A to B; they'll see IDs, CamelCase and snake_case.\n\n"
    "    for i in range(10):\n\t\tprint(f'{i:>4}')  # 2026-01-31\r\n"
    "北京是中国的首都。Straße, naïve, 東京タワー 42号…  \n"
)
"""Text in which the patterns in use split differently."""


@dataclass(frozen=True)
class GGUFVocabulary:
    """The entries of a GGUF file that llama.cpp's tokenizer reads."""

    pre: str
    """Name of the rule that splits text."""
    tokens: list[str]
    """The text of each id; ordinary tokens are written in GPT-2's printable characters."""
    types: list[int]
    """The type of each id: 1 normal, 3 control (a special token), 4 user-defined (found in any text), 5 unused."""
    merges: list[str]
    """The two parts of each merge, separated by a space, in order."""
    differences: tuple[str, ...]
    """One clause for each kind of text to which llama.cpp gives other ids."""


def gguf_vocabulary(tokenizer: Tokenizer, n_rows: int) -> GGUFVocabulary:
    """Return the vocabulary for a model whose embedding table has `n_rows` rows.

    Args:
        tokenizer: The model's tokenizer.
        n_rows: Ids that the model knows. Ids without a token become unused tokens, `[PAD300]` and so on.

    Raises:
        ConfigError: llama.cpp cannot give the ids of this tokenizer; the message says why.

    >>> from bytemill import Tokenizer
    >>> vocabulary = gguf_vocabulary(Tokenizer.train(texts=["a low low"], vocab_size=260), n_rows=261)
    >>> vocabulary.pre, vocabulary.tokens[256:], vocabulary.types[256:], vocabulary.merges
    ('gpt-2', ['lo', 'Ġlo', 'Ġlow', '<|endoftext|>', '[PAD260]'], [1, 1, 1, 3, 5], ['l o', 'Ġ lo', 'Ġlo w'])
    """
    if tokenizer.n_vocab > n_rows:
        raise ConfigError(f"the tokenizer has {tokenizer.n_vocab} ids, but the model only {n_rows}")
    if not tokenizer.merges:
        raise ConfigError("the vocabulary has no merges, and llama.cpp reads only vocabularies with merges")
    settings = json.loads(tokenizer.to_readable())
    rule = _rule_for(tokenizer.pattern)
    pre = rule.pre_ignoring_merges if settings["ignore_merges"] else rule.pre
    if pre is None:
        raise ConfigError(
            f"the vocabulary has ignore_merges, which llama.cpp does not support with its rule {rule.pre!r}; "
            "set it to false in tokenizer.json if the ids are the same without it"
        )
    tokens, types = _entries(tokenizer, n_rows)
    printable = _printable_characters()
    merges = [
        f"{left.decode('latin-1').translate(printable)} {right.decode('latin-1').translate(printable)}"
        for left, right in tokenizer.merges
    ]
    return GGUFVocabulary(pre, tokens, types, merges, tuple(_differences(rule, settings)))


def _entries(tokenizer: Tokenizer, n_rows: int) -> tuple[list[str], list[int]]:
    """Return the text and the type of each id."""
    special = {one: text for text, one in tokenizer.special_tokens.items()}
    added = {one: text for text, one in tokenizer.added_tokens.items()}
    ordinary = set(tokenizer.token_ids()) - special.keys() - added.keys()
    printable = _printable_characters()
    tokens, types = [], []
    for one in range(n_rows):
        if one in special:
            text, kind = special[one], _CONTROL
        elif one in added:
            text, kind = added[one], _USER_DEFINED
        elif one in ordinary:
            text = tokenizer.decode_single_token_bytes(one).decode("latin-1").translate(printable)
            kind = _NORMAL
        else:
            text, kind = f"[PAD{one}]", _UNUSED
        tokens.append(text)
        types.append(kind)
    _refuse_equal_texts(tokens)
    return tokens, types


def _refuse_equal_texts(tokens: list[str]) -> None:
    first: dict[str, int] = {}
    for one, text in enumerate(tokens):
        if first.setdefault(text, one) != one:
            raise ConfigError(
                f"the tokens {first[text]} and {one} are both written {text!r} in a GGUF file, where each text must be "
                "different; rename the special token"
            )


def _rule_for(pattern: str | None) -> _Rule:
    """Return llama.cpp's rule for a pattern.

    Raises:
        ConfigError: There is none; the message names the named pattern that splits most like this one.
    """
    for rule in _RULES:
        if is_same_pattern(pattern, rule.pattern):
            return rule
    named = "a vocabulary that does not split text" if pattern is None else f"the pattern {pattern!r}"
    nearest = max(("gpt2", "cl100k", "o200k"), key=lambda name: _agreement(pattern, name))
    raise ConfigError(
        f"llama.cpp has no rule for {named}; the nearest that it has is {nearest}: train the vocabulary with "
        f"--pattern {nearest} to export its models as GGUF"
    )


def _agreement(pattern: str | None, other: str) -> float:
    """Return the share of pretoken ends in a sample text that two patterns have in common, 0 to 1.

    >>> _agreement("gpt2", "gpt2")
    1.0
    """
    ends, others = _ends(pattern), _ends(other)
    return len(ends & others) / len(ends | others)


def _ends(pattern: str | None) -> set[int]:
    byte_ranks = [(bytes([byte]), byte) for byte in range(256)]
    splitter = _core.tokenizer_from_ranks(byte_ranks, pattern, [])
    return set(accumulate(map(len, splitter.pretokens(_SAMPLE))))


def _differences(rule: _Rule, settings: dict[str, object]) -> list[str]:
    found = [rule.differences] if rule.differences else []
    if settings.get("normalizer"):
        found.append(f"text is not normalized to {settings['normalizer']} before it is split")
    for token in settings.get("added_tokens", []):  # type: ignore[attr-defined]
        flags = [name for name in ("lstrip", "rstrip", "single_word") if token[name]]
        if flags:
            found.append(f"the token {token['content']} is found without its {' and '.join(flags)}")
    return found


def _printable_characters() -> dict[int, int]:
    """Map each byte to the code point by which GPT-2's vocabulary files write it.

    Printable characters of Latin-1 stay; the other bytes follow from U+0100 on.
    """
    stays = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    moved = (byte for byte in range(256) if byte not in stays)
    return {byte: byte for byte in stays} | {byte: 256 + place for place, byte in enumerate(moved)}
