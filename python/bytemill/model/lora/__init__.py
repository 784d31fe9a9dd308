"""LoRA: small trained updates to the frozen weights of any torch model.

`config.py` holds the settings, `layer.py` the arithmetic, `apply.py` the wrapping and merging of whole
models, `adapters.py` several adapters on one base, `adapter_file.py` reading and writing PEFT's format. Read them in
this order.
"""

from bytemill.model.lora.adapter_file import is_own_adapter, load_adapter, save_adapter
from bytemill.model.lora.adapters import adapter_disabled, adapter_names, add_adapter, rename_adapter, set_adapter
from bytemill.model.lora.apply import apply_lora, lora_parameters, merge_lora, unmerge_lora
from bytemill.model.lora.config import LoraConfig
from bytemill.model.lora.layer import LoraLayer, LowRankUpdate

__all__ = [
    "LoraConfig",
    "LoraLayer",
    "LowRankUpdate",
    "adapter_disabled",
    "adapter_names",
    "add_adapter",
    "apply_lora",
    "is_own_adapter",
    "load_adapter",
    "lora_parameters",
    "merge_lora",
    "rename_adapter",
    "save_adapter",
    "set_adapter",
    "unmerge_lora",
]
