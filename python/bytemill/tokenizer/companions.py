"""Read the files next to a tokenizer.json in a Hugging Face folder: end tokens and the chat template.

    tokenizer_config.json    names of the special tokens; the chat template, in older folders
    chat_template.jinja      the chat template
    generation_config.json   ids that end an answer
    config.json              the same, in older folders

A run's folder has the first file, so a run works like any other folder with a tokenizer.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError, FormatError
from bytemill.json_reader import read_object, read_regular_file

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Companions", "read_companions", "tokenizer_json"]

MAX_TEMPLATE_BYTES = 1 << 20


@dataclass(frozen=True)
class Companions:
    """Contents of the files next to a tokenizer.json."""

    special_names: dict[str, str]
    """Variables of chat templates: bos_token, eos_token and the like."""
    chat_template: str | None
    """The chat template in Jinja."""
    end_ids: tuple[int, ...]
    """Ids that end an answer."""


def read_companions(folder: Path) -> Companions:
    """Return the contents of the files in `folder`; missing files are skipped.

    Raises:
        FormatError: A file is not JSON.

    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "tokenizer_config.json").write_text('{"eos_token": {"content": "</s>"}}')
    >>> read_companions(folder).special_names
    {'eos_token': '</s>'}
    """
    settings = _object(folder / "tokenizer_config.json")
    names = {key: text for key, value in settings.items() if key.endswith("_token") and (text := _text(value))}
    ends: list[int] = []
    for name in ("generation_config.json", "config.json"):
        given = _object(folder / name).get("eos_token_id")
        ends += [one for one in (given if isinstance(given, list) else [given]) if type(one) is int]
    return Companions(names, _chat_template(folder, settings), tuple(dict.fromkeys(ends)))


def tokenizer_json(tokenizer: Tokenizer) -> str:
    """Return the text of a tokenizer.json, or of our readable form if the former cannot hold the vocabulary.

    >>> from bytemill import Tokenizer
    >>> tokenizer = Tokenizer.train(texts=["low lower"], vocab_size=260)
    >>> '"type":"BPE"' in tokenizer_json(tokenizer).replace(" ", "")
    True
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        try:
            tokenizer.save(path)
        except (ArgumentError, FormatError):
            return tokenizer.to_readable()
        return path.read_text(encoding="utf-8")


def _chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return read_regular_file(file, max_bytes=MAX_TEMPLATE_BYTES, error=FormatError).decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{file}: not UTF-8 at byte {error.start}") from None
    found = settings.get("chat_template")
    if isinstance(found, list):  # several by name; the default is for conversations
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _object(file: Path) -> dict[str, Any]:
    return read_object(file, error=FormatError) if file.is_file() else {}


def _text(value: Any) -> str | None:
    """Return a token's text; the JSON value may be an object with its flags."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) and value else None
