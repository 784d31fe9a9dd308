"""Report pages: HTML, Markdown and text tables of runs, evaluations and tokenizers."""
