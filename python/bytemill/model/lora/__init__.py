"""LoRA: small trained updates beside the frozen weights of any torch model.

`config.py` holds the settings, `layer.py` the arithmetic, `apply.py` the wrapping and merging of whole
models, `adapter_file.py` the exchange with PEFT. Read them in this order.
"""

from bytemill.model.lora.adapter_file import load_adapter, save_adapter
from bytemill.model.lora.apply import apply_lora, lora_parameters, merge_lora, unmerge_lora
from bytemill.model.lora.config import LoraConfig
from bytemill.model.lora.layer import LoraLayer

__all__ = [
    "LoraConfig",
    "LoraLayer",
    "apply_lora",
    "load_adapter",
    "lora_parameters",
    "merge_lora",
    "save_adapter",
    "unmerge_lora",
]
