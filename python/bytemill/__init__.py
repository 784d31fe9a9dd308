"""From raw text to a fine-tuned GPT-2.

Importing this package is quick and never imports torch; `bytemill.model`, `bytemill.train` and what
stands on them do.
"""
