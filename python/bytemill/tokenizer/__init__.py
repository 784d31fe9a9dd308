"""Convert text to ids and back: the Python interface of the Rust core."""

from bytemill.tokenizer.tokenizer import Tokenizer
from bytemill.tokenizer.training_report import TrainingReport

__all__ = ["Tokenizer", "TrainingReport"]
