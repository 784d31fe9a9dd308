"""Generate text with a model and its tokenizer."""

from bytemill.inference.conversation import Conversation
from bytemill.inference.text import Sampling, TextGenerator, TextTokenizer, stream_text

__all__ = ["Conversation", "Sampling", "TextGenerator", "TextTokenizer", "stream_text"]
