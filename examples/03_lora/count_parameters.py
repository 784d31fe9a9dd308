"""How many parameters LoRA trains in Bloom-560m, counted without its weights: torch's meta device has shapes only."""

import torch
import transformers

from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters

SETTINGS = [(4, ["query_key_value"]), (32, ["query_key_value"]), (64, ["query_key_value", "dense"])]


def bloom_560m() -> transformers.BloomForCausalLM:
    """Its shapes, by their numbers in the published configuration."""
    config = transformers.BloomConfig(vocab_size=250_880, hidden_size=1_024, n_layer=24, n_head=16)
    with torch.device("meta"):
        return transformers.BloomForCausalLM(config)


for r, layers in SETTINGS:
    model = bloom_560m()
    apply_lora(model, LoraConfig(r=r, target_modules=layers, bias="lora_only"))
    trained = sum(parameter.numel() for parameter in lora_parameters(model))
    total = sum(parameter.numel() for parameter in model.parameters())
    print(f"r {r:2}, {' + '.join(layers):23} {trained:9,} of {total:,} = {trained / total:.4%}")
