"""Text to ids and back: the face of the Rust core."""

from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
