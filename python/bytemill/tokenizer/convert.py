"""Vocabularies from and to the objects of tiktoken and Hugging Face."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill import _core
from bytemill.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    import tiktoken
    from transformers import PreTrainedTokenizerFast

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["from_huggingface", "from_tiktoken", "refuse_other_kinds", "to_huggingface", "to_tiktoken"]


def from_tiktoken(encoding: tiktoken.Encoding | str) -> _core.Tokenizer:
    """Take over ranks, pattern and special tokens; a name makes tiktoken load (perhaps download) it.

    Raises:
        ArgumentError: It is neither an Encoding nor a name.
    """
    if isinstance(encoding, str):
        import tiktoken

        encoding = tiktoken.get_encoding(encoding)
    if not hasattr(encoding, "_mergeable_ranks"):
        raise ArgumentError(
            f"expected a tiktoken.Encoding or its name, found an object of type {type(encoding).__name__}"
        )
    # tiktoken has no public way to its ranks; these three names have been stable since its first release.
    ranks = list(encoding._mergeable_ranks.items())
    return _core.tokenizer_from_ranks(ranks, encoding._pat_str, list(encoding._special_tokens.items()))


def to_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    """Hand over ranks, pattern and special tokens.

    Raises:
        ArgumentError: tiktoken would encode differently with them.
    """
    import tiktoken

    if tokenizer.pattern is not None and tokenizer.pattern.startswith("{"):
        raise ArgumentError("this tokenizer splits in several steps, and a tiktoken.Encoding has one pattern")
    special = tokenizer.special_tokens
    return tiktoken.Encoding(
        f"bytemill-{tokenizer.fingerprint[:12]}",
        # tiktoken always splits; this pattern leaves every text whole.
        pat_str=r"[\s\S]+" if tokenizer.pattern is None else tokenizer.pattern,
        mergeable_ranks=dict(tokenizer.ranks()),
        special_tokens=special,
    )


def from_huggingface(source: str | Path | Any) -> _core.Tokenizer:
    """Read a tokenizer.json: of a folder, of a hub repository, or of an object of transformers or tokenizers.

    Raises:
        FormatError: The tokenizer does something that byte-level BPE does not; says what.
        ArgumentError: It is none of these.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir() and (path / "tokenizer.json").exists():
            path /= "tokenizer.json"
        if not path.exists():
            from huggingface_hub import hf_hub_download

            path = Path(hf_hub_download(str(source), "tokenizer.json"))
        return _core.load_tokenizer(str(path), "auto", None)
    backend = getattr(source, "backend_tokenizer", source)
    if not hasattr(backend, "to_str"):
        kind = type(source).__name__
        raise ArgumentError(f"expected a path, a repository or a fast tokenizer, found an object of type {kind}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(backend.to_str(), encoding="utf-8")
        return _core.load_tokenizer(str(path), "auto", None)


def refuse_other_kinds(path: Path) -> None:
    """Say so where a tokenizer.json holds another model than BPE; anything else passes.

    Raises:
        FormatError: It does; names the model.
    """
    try:
        model = json.loads(path.read_bytes())["model"]
        kind = model["type"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if kind != "BPE":
        raise FormatError(f"{path}: a tokenizer of type {kind}; only byte-level BPE can be loaded here")


def to_huggingface(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Hand over a tokenizer.json; `<|endoftext|>`, where there is one, becomes its eos, bos and unk token."""
    from transformers import PreTrainedTokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        names = {}
        if "<|endoftext|>" in tokenizer.special_tokens:
            names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
        return PreTrainedTokenizerFast(tokenizer_file=str(path), clean_up_tokenization_spaces=False, **names)
