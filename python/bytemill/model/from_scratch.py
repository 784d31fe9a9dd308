"""Rename tensors of Raschka's book "Build a Large Language Model (From Scratch)" to nanoGPT's names.

Its queries, keys and values are three layers, its norms have `scale` and `shift`, and its head has its own weights.
"""

import re

import torch
from torch import Tensor

__all__ = ["FROM_SCRATCH", "as_nanogpt_names"]

FROM_SCRATCH = re.compile(r"(tok_emb|pos_emb|trf_blocks)\.")
"""Matches tensor names that only state dicts of the book have."""

_OUTSIDE = {"tok_emb": "wte", "pos_emb": "wpe", "final_norm": "ln_f", "out_head": "lm_head"}
_INSIDE = {
    "att": "attn",
    "att.qkv": "attn.c_attn",
    "att.out_proj": "attn.c_proj",
    "att.proj": "attn.c_proj",
    "ff.layers.0": "mlp.c_fc",
    "ff.layers.2": "mlp.c_proj",
    "norm1": "ln_1",
    "norm2": "ln_2",
}
_KINDS = {"scale": "weight", "shift": "bias"}
_SPLIT = ("att.W_query", "att.W_key", "att.W_value")
_BLOCK = re.compile(r"trf_blocks\.(\d+)\.(.+)")


def as_nanogpt_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a state dict, and join queries, keys and values; unknown names stay.

    >>> found = as_nanogpt_names({"trf_blocks.0.norm1.scale": torch.ones(2), "tok_emb.weight": torch.ones(5, 2)})
    >>> sorted(found)
    ['h.0.ln_1.weight', 'wte.weight']
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        block = _BLOCK.fullmatch(module)
        if block is None:
            renamed[f"{_OUTSIDE.get(module, module)}.{_KINDS.get(kind, kind)}"] = tensor
        elif block[2] == _SPLIT[0]:
            parts = [tensors.get(f"trf_blocks.{block[1]}.{part}.{kind}") for part in _SPLIT]
            if all(part is not None for part in parts):
                renamed[f"h.{block[1]}.attn.c_attn.{kind}"] = torch.cat([part for part in parts if part is not None])
        elif block[2] not in _SPLIT:
            renamed[f"h.{block[1]}.{_INSIDE.get(block[2], block[2])}.{_KINDS.get(kind, kind)}"] = tensor
    return renamed
