"""Train tokenizers and GPT-2 models, from raw text to a fine-tuned model.

Importing this package is quick and does not import torch. The names of `bytemill.model` import it when they are first
used, and so do the modules that train.

>>> from bytemill import Tokenizer
>>> tokenizer = Tokenizer.train(texts=["to be or not to be"], vocab_size=264)
>>> tokenizer.decode(tokenizer.encode("not to be"))
'not to be'
"""

from bytemill._core import __version__
from bytemill.tokenizer import Tokenizer

__all__ = ["Tokenizer", "__version__"]
