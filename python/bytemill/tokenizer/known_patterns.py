"""Patterns of well-known vocabularies that have no name of their own here, as their tokenizer.json spells them."""

__all__ = ["LLAMA3", "QWEN2"]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
"""That of Llama 3, with every digit alone."""
