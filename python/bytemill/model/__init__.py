"""GPT-2 models: networks, reading and writing weights, LoRA and sampling.

A name of this package imports torch when it is first used, except `GPT2Config`. So settings can be checked before
torch is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bytemill.model.cache import KeyValueCache
    from bytemill.model.config import GPT2Config
    from bytemill.model.generation import generate, generate_stream
    from bytemill.model.gpt2 import GPT2
    from bytemill.model.native import load_model, save_model
    from bytemill.model.pretrained import CausalModel, load_pretrained
    from bytemill.model.transformers_causal import TransformersCausal

__all__ = [
    "GPT2",
    "CausalModel",
    "GPT2Config",
    "KeyValueCache",
    "TransformersCausal",
    "generate",
    "generate_stream",
    "load_model",
    "load_pretrained",
    "save_model",
]

_MODULES = {
    "GPT2": "gpt2",
    "CausalModel": "pretrained",
    "GPT2Config": "config",
    "KeyValueCache": "cache",
    "TransformersCausal": "transformers_causal",
    "generate": "generation",
    "generate_stream": "generation",
    "load_model": "native",
    "load_pretrained": "pretrained",
    "save_model": "native",
}


def __getattr__(name: str) -> Any:
    """Import a name of this package when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found
