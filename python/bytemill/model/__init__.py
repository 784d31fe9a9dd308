"""GPT-2 models: networks, reading and writing weights, LoRA and sampling.

Importing this package, or anything in it, imports torch. So the command line imports it when a command runs, not when
options are parsed.
"""

from bytemill.model.cache import KeyValueCache
from bytemill.model.config import GPT2Config
from bytemill.model.generate import generate, generate_stream
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
