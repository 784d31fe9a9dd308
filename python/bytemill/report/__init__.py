"""Report pages: HTML, Markdown and text tables of runs, evaluations and tokenizers."""

from bytemill.report.notebook import show

__all__ = ["show"]
