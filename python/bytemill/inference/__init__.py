"""Text in, text out: sampling with a tokenizer."""

from bytemill.inference.text import Sampling, TextGenerator, TextTokenizer, stream_text

__all__ = ["Sampling", "TextGenerator", "TextTokenizer", "stream_text"]
