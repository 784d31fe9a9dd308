"""Text in, text out: sampling with a tokenizer."""

from bytemill.inference.conversation import Conversation
from bytemill.inference.text import Sampling, TextGenerator, TextTokenizer, stream_text

__all__ = ["Conversation", "Sampling", "TextGenerator", "TextTokenizer", "stream_text"]
