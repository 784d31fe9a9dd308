"""GPT-2, its weights in and out, LoRA and sampling."""
