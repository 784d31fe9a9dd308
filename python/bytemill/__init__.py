"""From raw text to a fine-tuned GPT-2.

Importing this package is quick and never imports torch; `bytemill.model`, `bytemill.train` and what
stands on them do.

>>> from bytemill import Tokenizer
>>> tokenizer = Tokenizer.train(texts=["to be or not to be"], vocab_size=264)
>>> tokenizer.decode(tokenizer.encode("not to be"))
'not to be'
"""

from bytemill._core import __version__
from bytemill.tokenizer import Tokenizer

__all__ = ["Tokenizer", "__version__"]
