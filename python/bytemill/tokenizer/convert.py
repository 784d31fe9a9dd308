"""Convert vocabularies from and to objects of tiktoken and Hugging Face."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill import _core
from bytemill.errors import ArgumentError, FormatError
from bytemill.files import write_text
from bytemill.json_reader import read_object
from bytemill.tokenizer.shipped import SHIPPED

if TYPE_CHECKING:
    import tiktoken
    from transformers import PreTrainedTokenizerFast

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = [
    "TIKTOKEN_MISSING",
    "from_huggingface",
    "from_tiktoken",
    "refuse_other_kinds",
    "to_huggingface",
    "to_tiktoken",
]


TIKTOKEN_MISSING = "tiktoken, which knows other names, is not installed: pip install 'bytemill[tiktoken]'"


def from_tiktoken(encoding: tiktoken.Encoding | str) -> _core.Tokenizer:
    """Copy ranks, pattern and special tokens; for a name, tiktoken loads (perhaps downloads) the encoding.

    The names of GPT-2's vocabulary need neither tiktoken nor a download, because it is part of bytemill.

    Raises:
        ArgumentError: The argument is neither an Encoding nor a known name, or tiktoken is not installed.
    """
    if isinstance(encoding, str):
        if encoding in SHIPPED:
            return _core.load_tokenizer(str(SHIPPED[encoding]), "auto", None)
        try:
            import tiktoken
        except ImportError:
            raise ArgumentError(f"no vocabulary {encoding!r}: {TIKTOKEN_MISSING}") from None

        encoding = tiktoken.get_encoding(encoding)
    if not hasattr(encoding, "_mergeable_ranks"):
        raise ArgumentError(
            f"expected a tiktoken.Encoding or its name, found an object of type {type(encoding).__name__}"
        )
    # tiktoken has no public access to its ranks; these three names have been stable since its first release.
    ranks = list(encoding._mergeable_ranks.items())
    return _core.tokenizer_from_ranks(ranks, encoding._pat_str, list(encoding._special_tokens.items()))


def to_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    """Return a `tiktoken.Encoding` with the ranks, pattern and special tokens.

    Raises:
        ArgumentError: tiktoken would encode differently.
    """
    import tiktoken

    if tokenizer.pattern is not None and tokenizer.pattern.startswith("{"):
        raise ArgumentError("this tokenizer splits in several steps, but a tiktoken.Encoding has only one pattern")
    special = tokenizer.special_tokens
    return tiktoken.Encoding(
        tokenizer.name,
        # tiktoken always splits; this pattern leaves every text whole.
        pat_str=r"[\s\S]+" if tokenizer.pattern is None else tokenizer.pattern,
        mergeable_ranks=dict(tokenizer.ranks()),
        special_tokens=special,
    )


def from_huggingface(source: str | Path | Any) -> _core.Tokenizer:
    """Read the tokenizer.json of a folder, a hub repository, or an object of transformers or tokenizers.

    Raises:
        FormatError: The tokenizer uses something that byte-level BPE does not have; the message says what.
        ArgumentError: The source is none of these.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir() and (path / "tokenizer.json").exists():
            path /= "tokenizer.json"
        if not path.exists():
            from bytemill.tokenizer.hub import fetch_tokenizer_file

            path = fetch_tokenizer_file(str(source))
        return _core.load_tokenizer(str(path), "auto", None)
    text = _tokenizer_json(getattr(source, "backend_tokenizer", source))
    if text is None:
        kind = type(source).__name__
        raise ArgumentError(f"expected a path, a repository or a fast tokenizer, found an object of type {kind}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        write_text(path, text)
        return _core.load_tokenizer(str(path), "auto", None)


def _tokenizer_json(backend: Any) -> str | None:
    """Return the tokenizer.json text that a `tokenizers.Tokenizer` would save; None for any other object."""
    if hasattr(backend, "to_str"):
        text: str = backend.to_str()
        return text
    if type(backend).__module__.partition(".")[0] != "tokenizers" or type(backend).__name__ != "Tokenizer":
        return None
    # tokenizers 1.0 has neither `to_str` nor `save`; its pickle begins with the same text.
    _, (text, *_) = backend.__reduce__()
    return text


def refuse_other_kinds(path: Path) -> None:
    """Raise FormatError if a tokenizer.json holds a model other than BPE; accept any other file.

    Raises:
        FormatError: The model is not BPE; the message names it.
    """
    try:
        kind = read_object(path)["model"]["type"]
    except (OSError, ValueError, KeyError, TypeError):  # the core reports the error
        return
    if kind != "BPE":
        raise FormatError(f"{path}: a tokenizer of type {kind}; only byte-level BPE can be loaded here")


def to_huggingface(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Return a transformers tokenizer; its bos and eos tokens are those that the post-processor adds.

    If it adds none, `<|endoftext|>` is used if the vocabulary has it; it is the unk token too.
    """
    from transformers import PreTrainedTokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        names = {}
        if "<|endoftext|>" in tokenizer.special_tokens:
            names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
        names |= _put_around(read_object(path)["post_processor"])
        return PreTrainedTokenizerFast(tokenizer_file=str(path), clean_up_tokenization_spaces=False, **names)


def _put_around(post_processor: dict[str, Any] | None) -> dict[str, str]:
    """Return the special tokens that a post-processor adds around one text, by transformers' names.

    >>> bos, text = {"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}
    >>> _put_around({"type": "TemplateProcessing", "single": [bos, text]})
    {'bos_token': '<s>'}
    """
    found: dict[str, str] = {}
    post_processor = post_processor or {}
    for step in post_processor.get("processors", [post_processor]):
        if step.get("type") in ("RobertaProcessing", "BertProcessing"):
            first, last = step["cls"][0], step["sep"][0]
            found |= {"bos_token": first, "eos_token": last, "cls_token": first, "sep_token": last}
        if step.get("type") == "TemplateProcessing":
            names = [piece.get("SpecialToken", {}).get("id") for piece in step["single"]]
            if None in names:
                place = names.index(None)
                before, after = names[:place], [name for name in names[place:] if name]
                found |= {"bos_token": before[0]} if before else {}
                found |= {"eos_token": after[-1]} if after else {}
    return found
