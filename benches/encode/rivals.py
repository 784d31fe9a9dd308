"""bytemill and its rivals, each with the calls that are timed here.

Each rival is measured with its fastest call: one that returns a flat array if there is one, else a list. A rival that
is not installed, or does not support the vocabulary, is left out with the reason.
"""

import importlib.metadata
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vocabularies import Vocabulary

Ids = Any  # whatever holds ids: a list, an array, a buffer

__all__ = ["DISTRIBUTIONS", "Ids", "NotHere", "Rival", "as_array", "make", "version"]


class NotHere(Exception):  # noqa: N818 - no error: the table says so and goes on
    """A rival is not available; the text says why."""


@dataclass(frozen=True)
class Rival:
    """The calls of a tokenizer that are timed here; None if it has no such call."""

    name: str
    to_list: Callable[[str], Sequence[int]]
    to_array: Callable[[str], Ids]  # its fastest call for all ids of one text
    batch: Callable[[list[str]], object] | None = None  # many texts, on all threads that the process may use
    to_bytes: Callable[[np.ndarray], object] | None = None  # uint32 ids to bytes, or to text if it returns no bytes


def _bytemill(vocabulary: Vocabulary) -> Rival:
    from bytemill import Tokenizer

    tokenizer = Tokenizer.load(vocabulary.ranks)

    def to_array(text: str) -> Ids:
        return tokenizer.encode_to_numpy(text, disallowed_special=())

    def batch(texts: list[str]) -> object:
        return tokenizer.encode_batch_to_numpy(texts, disallowed_special=())

    return Rival("bytemill", tokenizer.encode_ordinary, to_array, batch, tokenizer.decode_bytes)


def _tiktoken(vocabulary: Vocabulary) -> Rival:
    import tiktoken

    encoding = tiktoken.Encoding(
        vocabulary.name,
        pat_str=vocabulary.pattern,
        mergeable_ranks=vocabulary.read_ranks(),
        special_tokens=vocabulary.special_tokens,
    )

    def to_array(text: str) -> Ids:
        return encoding.encode_to_numpy(text, disallowed_special=())

    def batch(texts: list[str]) -> object:
        return encoding.encode_ordinary_batch(texts, num_threads=2)

    return Rival("tiktoken", encoding.encode_ordinary, to_array, batch, lambda ids: encoding.decode_bytes(ids.tolist()))


def _tokenizers(vocabulary: Vocabulary) -> Rival:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(vocabulary.huggingface))

    def to_list(text: str) -> list[int]:
        return tokenizer.encode(text).ids

    return Rival(
        "tokenizers", to_list, to_list, tokenizer.encode_batch_fast, lambda ids: tokenizer.decode(ids.tolist())
    )


def _gigatoken(vocabulary: Vocabulary) -> Rival:
    import gigatoken

    tokenizer = gigatoken.Tokenizer.from_tiktoken(str(vocabulary.ranks))
    face = tokenizer.as_tiktoken()
    return Rival("gigatoken", face.encode_ordinary, tokenizer.encode, tokenizer.encode_batch, tokenizer.decode)


def _fastokens(vocabulary: Vocabulary) -> Rival:
    import fastokens

    return _swapped_in("fastokens", fastokens.Tokenizer.from_file(str(vocabulary.huggingface)))


def _snaptokens(vocabulary: Vocabulary) -> Rival:
    import snaptokens

    form = json.loads(vocabulary.huggingface.read_text(encoding="utf-8"))
    if vocabulary.name == "cl100k_base":
        form["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = _CL100K_AS_SNAPTOKENS_KNOWS_IT
    return _swapped_in("snaptokens", snaptokens.Tokenizer.from_json_str(json.dumps(form)))


# Hugging Face's form of the pattern; it differs from tiktoken's only in white space at the end of a text.
_CL100K_AS_SNAPTOKENS_KNOWS_IT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _swapped_in(name: str, tokenizer: Any) -> Rival:
    """Return a rival with the interface of transformers' tokenizers, whose `encode` does not return a list."""
    return Rival(
        name,
        lambda text: tokenizer.encode(text).ids,
        lambda text: tokenizer.encode_batch_flat([text]),
        tokenizer.encode_batch_flat,
        lambda ids: tokenizer.decode(ids.tolist()),
    )


def _toktok(vocabulary: Vocabulary) -> Rival:
    import toktok

    try:
        tokenizer = toktok._encoding(vocabulary.name)
    except KeyError:
        raise NotHere("does not know the vocabulary") from None

    def to_array(text: str) -> Ids:
        return tokenizer.encode_to_numpy(text, disallowed_special=())

    return Rival("toktok", tokenizer.encode_ordinary, to_array, tokenizer.encode_batch_to_numpy, tokenizer.decode_bytes)


def _splintr(vocabulary: Vocabulary) -> Rival:
    import splintr

    if vocabulary.name == "r50k_base":
        ranks = vocabulary.ranks.read_bytes()
        tokenizer = splintr.Tokenizer.from_bytes(ranks, vocabulary.pattern, vocabulary.special_tokens)
    else:
        tokenizer = splintr.Tokenizer.from_pretrained(vocabulary.name)
    return Rival(
        "splintr",
        tokenizer.encode_ordinary,
        tokenizer.encode_flat,
        tokenizer.encode_batch_flat,
        lambda ids: tokenizer.decode_bytes(ids.tolist()),
    )


def _quicktok(vocabulary: Vocabulary) -> Rival:
    import quicktok

    try:
        tokenizer = quicktok.get_encoding(vocabulary.name)
    except RuntimeError:
        raise NotHere("does not know the vocabulary") from None

    def to_array(text: str) -> Ids:
        return tokenizer.encode_batch([text], 1)[0]

    return Rival("quicktok", tokenizer.encode_ordinary, to_array, tokenizer.encode_batch, tokenizer.decode_bytes)


_MAKERS: dict[str, Callable[[Vocabulary], Rival]] = {
    "bytemill": _bytemill,
    "gigatoken": _gigatoken,
    "fastokens": _fastokens,
    "snaptokens": _snaptokens,
    "toktok": _toktok,
    "splintr": _splintr,
    "quicktok": _quicktok,
    "tiktoken": _tiktoken,
    "tokenizers": _tokenizers,
}
DISTRIBUTIONS = {
    "bytemill": "bytemill",
    "gigatoken": "gigatoken",
    "fastokens": "fastokens",
    "snaptokens": "snaptokens",
    "toktok": "toktok-rs",
    "splintr": "splintr-rs",
    "quicktok": "quicktok-v1",
    "tiktoken": "tiktoken",
    "tokenizers": "tokenizers",
}


def make(name: str, vocabulary: Vocabulary) -> Rival:
    """Return the rival of this name with this vocabulary.

    Raises:
        NotHere: The rival is not installed, or does not support the vocabulary.
    """
    try:
        return _MAKERS[name](vocabulary)
    except ImportError:
        raise NotHere("is not installed") from None


def version(name: str) -> str:
    """Return the installed version, or "" if it is unknown."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS[name])
    except importlib.metadata.PackageNotFoundError:
        return ""


def as_array(ids: Ids) -> np.ndarray:
    """Return the ids of `Rival.to_array` or `Rival.to_list` as uint32."""
    if isinstance(ids, tuple):  # flat ids, and offsets of the texts
        ids = ids[0]
    if isinstance(ids, bytes | bytearray | memoryview):
        return np.frombuffer(ids, dtype=np.uint32)
    return np.asarray(getattr(ids, "ids", ids), dtype=np.uint32)
