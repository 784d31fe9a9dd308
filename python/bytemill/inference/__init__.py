"""Text in, text out: sampling with a tokenizer."""
