"""The ten classic questions about tokenizers, answered with numbers of one tokenizer.

Each answer is a table (some a plot too) and three sentences. The questions are those that students of tokenization
ask first; the figures are this tokenizer's own, so that two vocabularies can be held against each other.
"""

from bytemill.tokenizer.audit.answer import Answer
from bytemill.tokenizer.audit.languages import read_languages
from bytemill.tokenizer.audit.questions import audit

__all__ = ["Answer", "audit", "read_languages"]
