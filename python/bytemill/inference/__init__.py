"""Text in, text out: sampling with a tokenizer."""

from bytemill.inference.text import TextGenerator, TextTokenizer, stream_text

__all__ = ["TextGenerator", "TextTokenizer", "stream_text"]
