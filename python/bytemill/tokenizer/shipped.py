"""Vocabularies that are part of bytemill and need no download.

`gpt2.tiktoken` is tiktoken's r50k_base.tiktoken, byte for byte: GPT-2's vocabulary. Copyright and licence: NOTICE.
"""

from pathlib import Path

__all__ = ["SHIPPED"]

SHIPPED = dict.fromkeys(("gpt2", "r50k_base"), Path(__file__).with_name("gpt2.tiktoken"))
"""Encoding names of tiktoken that have a file here; all of them are the same vocabulary."""
