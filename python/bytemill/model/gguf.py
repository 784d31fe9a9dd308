"""Write the weights of a GPT-2 under the names and in the number types of GGUF, which llama.cpp reads.

A GGUF matrix has the shape of our linear layers, (out, in), so nothing is transposed. The package `gguf` writes the
file; one tensor is converted and written at a time, so the memory needed beyond the model is that of its largest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from gguf import GGUFWriter
    from numpy.typing import NDArray

    from bytemill.model.gpt2 import GPT2

__all__ = ["GGUFType", "add_architecture", "narrow_matrices", "write_tensors"]

GGUFType = Literal["f32", "f16", "bf16", "q8_0"]
"""Number type of the matrices: 32, 16, 16 and 8.5 bits per weight."""

Q8_BLOCK = 32
"""Weights of a row that share one scale in q8_0."""

# {} is the number of a block.
_NAMES = {
    "token_embedding": "token_embd",
    "position_embedding": "position_embd",
    "blocks.{}.attention_norm": "blk.{}.attn_norm",
    "blocks.{}.attention.qkv": "blk.{}.attn_qkv",
    "blocks.{}.attention.projection": "blk.{}.attn_output",
    "blocks.{}.mlp_norm": "blk.{}.ffn_norm",
    "blocks.{}.mlp.expand": "blk.{}.ffn_up",
    "blocks.{}.mlp.contract": "blk.{}.ffn_down",
    "final_norm": "output_norm",
    "head": "output",
}
_ALWAYS_F32 = ("position_embd.weight",)  # as in files that llama.cpp's own tools write


def add_architecture(writer: GGUFWriter, model: GPT2, number_type: GGUFType) -> None:
    """Add the sizes of the model and its number type to the file's metadata."""
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    config = model.config
    file_types = {
        "f32": LlamaFileType.ALL_F32,
        "f16": LlamaFileType.MOSTLY_F16,
        "bf16": LlamaFileType.MOSTLY_BF16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_file_type(file_types[number_type])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(config.inner_width)
    writer.add_block_count(config.n_layer)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def write_tensors(writer: GGUFWriter, model: GPT2, path: Path, number_type: GGUFType) -> None:
    """Write the file: the metadata that `writer` holds, and all tensors.

    Args:
        writer: A writer with all metadata.
        model: A plain GPT-2; adapters must be merged into it before.
        path: The file.
        number_type: Number type of the matrices. Vectors and position embeddings stay f32.

    Raises:
        ConfigError: A weight is NaN or infinite, or too large for f16; the message names its tensor.
    """
    # llama.cpp reads sizes before contents, so the first pass only measures.
    for name, tensor in _tensors(model):
        data, kind = _converted(name, tensor[:1] if tensor.dim() == 2 else tensor, number_type)
        n_rows = len(tensor) if tensor.dim() == 2 else 1
        shape = (n_rows, *data.shape[1:]) if tensor.dim() == 2 else data.shape
        writer.add_tensor_info(name, shape, data.dtype, n_rows * data.nbytes, raw_dtype=kind)
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, tensor in _tensors(model):
            writer.write_tensor_data(_converted(name, tensor, number_type)[0])
    finally:
        writer.close()


def narrow_matrices(model: GPT2) -> bool:
    """Return whether q8_0 leaves some matrices in f16, because their rows are not whole blocks of 32 weights."""
    return bool(model.config.n_embd % Q8_BLOCK or model.config.inner_width % Q8_BLOCK)


def _tensors(model: GPT2) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor by its GGUF name, without padded rows of the embedding."""
    config = model.config
    table = {
        ours.format(block): theirs.format(block) for block in range(config.n_layer) for ours, theirs in _NAMES.items()
    }
    for name, parameter in model.named_parameters():
        module_name, _, kind = name.rpartition(".")
        if module_name not in table:
            raise ConfigError(
                f"{name} is not part of a plain GPT-2; merge adapters with merge_lora(model, unwrap=True)"
            )
        tensor = parameter.detach()
        is_table = module_name in ("token_embedding", "head")
        yield f"{table[module_name]}.{kind}", tensor[: config.vocab_size] if is_table else tensor
    if not config.qkv_bias:  # llama.cpp's GPT-2 always has these biases; zeros do the same
        for block in range(config.n_layer):
            yield f"blk.{block}.attn_qkv.bias", torch.zeros(3 * config.n_embd)


def _converted(name: str, tensor: Tensor, number_type: GGUFType) -> tuple[NDArray[np.generic], Any]:
    """Return a tensor's numbers, and their type in the file."""
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    numbers = tensor.float().cpu().contiguous()
    if not numbers.isfinite().all():
        raise ConfigError(f"{name}: some weights are NaN or infinite; export an earlier checkpoint")
    if numbers.dim() == 1 or name in _ALWAYS_F32:
        number_type = "f32"
    elif number_type == "q8_0" and numbers.shape[-1] % Q8_BLOCK:
        number_type = "f16"
    largest = float(numbers.abs().max())
    if number_type == "f16" and largest > torch.finfo(torch.float16).max:
        raise ConfigError(f"{name}: a weight of size {largest:.3g} is too large for f16; use bf16 or f32")
    kind = GGMLQuantizationType[number_type.upper()]
    return quantize(numbers.numpy(), kind), kind
