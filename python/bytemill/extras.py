"""Optional packages, and the extra of bytemill that installs each."""

from importlib.util import find_spec

__all__ = ["EXTRA_OF", "needing", "require"]

EXTRA_OF = {
    "torch": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "matplotlib": "pages",
    "transformers": "hf",
    "peft": "hf",
    "datasets": "hf",
    "tokenizers": "hf",
    "huggingface_hub": "hf",
    "tiktoken": "tiktoken",
    "gguf": "gguf",
    "starlette": "serve",
    "uvicorn": "serve",
}
"""The extra that installs each optional package."""
_WITHOUT_GPU = (
    "; without a GPU, first install torch from PyTorch's index of CPU builds (pip's option --index-url, see "
    "PyTorch's installation page), which is about 5 GB smaller"
)


def needing(what: str, error: ModuleNotFoundError) -> str | None:
    """Return which package `what` needs and how to install it; None if no extra has the missing package.

    >>> needing("this command", ModuleNotFoundError(name="matplotlib"))
    "this command needs matplotlib: pip install 'bytemill[pages]'"
    """
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return None
    hint = _WITHOUT_GPU if package == "torch" else ""
    return f"{what} needs {package}: pip install 'bytemill[{extra}]'{hint}"


def require(package: str) -> None:
    """Check that a package is installed, without importing it.

    Raises:
        ModuleNotFoundError: The package is not installed; `needing` says what to install.
    """
    if find_spec(package) is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
