"""The ten classic questions about tokenizers, answered with numbers of one tokenizer.

Each answer is a table (some also have a plot) and three sentences. The questions are those that students of
tokenization ask first. The figures are this tokenizer's own, so two vocabularies can be compared.
"""

from bytemill.tokenizer.audit.answer import Answer
from bytemill.tokenizer.audit.languages import read_languages
from bytemill.tokenizer.audit.questions import audit

__all__ = ["Answer", "audit", "read_languages"]
