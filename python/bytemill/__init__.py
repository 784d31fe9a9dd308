"""Train tokenizers and GPT-2 models, from raw text to a fine-tuned model.

Importing this package is quick and does not import torch. `bytemill.model`, `bytemill.train` and everything that uses
them import it.

>>> from bytemill import Tokenizer
>>> tokenizer = Tokenizer.train(texts=["to be or not to be"], vocab_size=264)
>>> tokenizer.decode(tokenizer.encode("not to be"))
'not to be'
"""

from bytemill._core import __version__
from bytemill.tokenizer import Tokenizer

__all__ = ["Tokenizer", "__version__"]
