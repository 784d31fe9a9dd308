"""Find a model's folder: a local folder, or a hub repository to download; refuse other common inputs with a hint."""

import re
from pathlib import Path

from bytemill.errors import ConfigError, FormatError
from bytemill.json_reader import read_object

__all__ = ["model_folder", "refuse_tensorflow"]

_TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt"]
_HUB_FILES = ["config.json", "generation_config.json", "model*.safetensors*", *_TOKENIZER_FILES]
_HUB_PICKLES = "pytorch_model*.bin*"
_PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
_IDS_BY_WIDTH = {768: "gpt2", 1_024: "gpt2-medium", 1_280: "gpt2-large", 1_600: "gpt2-xl"}


def model_folder(path_or_repo: str | Path, *, pickles: bool = False) -> Path:
    """Return the folder itself, or the folder with the downloaded files of a hub repository.

    Args:
        path_or_repo: A folder, or a repository of the hub.
        pickles: Whether to download pytorch_model.bin from a repository without safetensors.

    Raises:
        FormatError: Neither the folder nor the repository exists.
    """
    refuse_tensorflow(Path(path_or_repo))
    if Path(path_or_repo).is_dir():
        return Path(path_or_repo)
    if Path(path_or_repo).is_file():
        raise FormatError(
            f"{path_or_repo}: is a file, expected a folder with config.json{_how_to_import(path_or_repo)}"
        )
    if _is_local(str(path_or_repo)):
        raise FormatError(f"{path_or_repo}: not an existing folder, and not a valid repository name")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ConfigError(
            f"{path_or_repo}: no such folder; to download it from the hub, pip install 'bytemill[hf]'"
        ) from error
    try:
        folder = Path(snapshot_download(str(path_or_repo), allow_patterns=_HUB_FILES))
        if pickles and not any(folder.glob("model*.safetensors*")):
            folder = Path(snapshot_download(str(path_or_repo), allow_patterns=[*_HUB_FILES, _HUB_PICKLES]))
        return folder
    except Exception as error:  # the hub's client raises its own errors, httpx's and the system's
        reason = str(error).strip().partition("\n")[0]
        raise FormatError(
            f"{path_or_repo}: no such folder, and the hub returned no such repository ({reason})"
        ) from error


def refuse_tensorflow(path: Path) -> None:
    """Raise FormatError for OpenAI's original GPT-2, a TensorFlow checkpoint: a folder, or a file in one.

    Raises:
        FormatError: The path is such a checkpoint; the message names a repository with the same weights.
    """
    folder = path if path.is_dir() else path.parent
    is_checkpoint = path.is_dir() or path.name.startswith(("model.ckpt", "checkpoint", "hparams.json"))
    if is_checkpoint and not (folder / "config.json").exists() and any(folder.glob("model.ckpt.*")):
        name = _IDS_BY_WIDTH.get(_width(folder), "gpt2")
        raise FormatError(
            f"{path}: is a TensorFlow checkpoint, which cannot be read; the hub has the same weights: "
            f"give openai-community/{name}"
        )


def _width(folder: Path) -> int:
    """Return the width in OpenAI's hparams.json; 0 without one."""
    try:
        width = read_object(folder / "hparams.json").get("n_embd", 0)
    except (OSError, FormatError):
        return 0
    return width if isinstance(width, int) else 0


def _is_local(name: str) -> bool:
    """Return whether a name can only be a path: the hub is not asked for a mistyped path.

    >>> _is_local("./model"), _is_local("a/b/c"), _is_local("owner/name"), _is_local("gpt2")
    (True, True, False, False)
    """
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name) or Path(name).suffix in _PICKLE_SUFFIXES:
        return True
    return "/" in name and Path(name).parent.is_dir()


def _how_to_import(path: str | Path) -> str:
    if Path(path).suffix in _PICKLE_SUFFIXES:
        return f"; make one with: bytemill model import {path} FOLDER --allow-pickle"
    if Path(path).suffix == ".safetensors":
        return f"; make one with: bytemill model import {path} FOLDER"
    return ""
