"""Generate text with a model and its tokenizer: `text.py` for one prompt, `engine.py` for many at the same time."""

from bytemill.inference.conversation import Conversation
from bytemill.inference.engine import Engine
from bytemill.inference.text import Sampling, TextGenerator, TextTokenizer, stream_text

__all__ = ["Conversation", "Engine", "Sampling", "TextGenerator", "TextTokenizer", "stream_text"]
