"""Download the tokenizer.json of a repository on Hugging Face's hub."""

from __future__ import annotations

import re
from pathlib import Path

from bytemill.errors import ArgumentError, DataError

__all__ = ["fetch_tokenizer_file"]

_NAME = r"\w([\w.-]*\w)?"
_REPOSITORY = re.compile(f"{_NAME}(/{_NAME})?", re.ASCII)


def fetch_tokenizer_file(repository: str) -> Path:
    """Download the file, or return the existing local copy.

    Args:
        repository: OWNER/NAME, or NAME for the oldest repositories.

    Raises:
        ArgumentError: The name is not a valid repository name, or huggingface_hub is not installed.
        DataError: The hub cannot be reached or has no such file; the message says why.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ArgumentError(f"{repository}: not an existing file or folder, and not a repository name, OWNER/NAME")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ArgumentError(
            f"{repository}: not an existing file or folder; to download it from the hub, pip install 'bytemill[hf]'"
        ) from error
    try:
        return Path(hf_hub_download(repository, "tokenizer.json"))
    except Exception as error:  # the hub's client raises its own errors, httpx's and the system's
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{repository}: the hub returned no tokenizer.json for it ({reason})") from error
