"""Creates the files that are needed to use a model: its tokenizer and its chat template.

A run's folder and an exported model contain the same files, under the names that Hugging Face's libraries read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bytemill.data.rows.jinja_templates import ChatTemplate, jinja_of
from bytemill.tokenizer.companions import tokenizer_json

if TYPE_CHECKING:
    from bytemill.data.rows import Template
    from bytemill.tokenizer import Tokenizer

__all__ = ["end_of_answer", "special_names", "tokenizer_files"]


def tokenizer_files(
    tokenizer: Tokenizer, template: Template | None = None, *, n_positions: int | None = None
) -> dict[str, str]:
    """Return the text of each file by its name: tokenizer.json, tokenizer_config.json, chat_template.jinja.

    Args:
        tokenizer: The model's tokenizer.
        template: Template that the model was tuned with; None for a model that only continues text.
        n_positions: The model's context in tokens.

    >>> from bytemill import Tokenizer
    >>> files = tokenizer_files(Tokenizer.train(texts=["low lower"], vocab_size=260), "alpaca")
    >>> list(files), json.loads(files["tokenizer_config.json"])["eos_token"]
    (['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'], '<|endoftext|>')
    """
    files = {
        "tokenizer.json": tokenizer_json(tokenizer),
        "tokenizer_config.json": json.dumps(_config(tokenizer, template, n_positions), indent=2) + "\n",
    }
    return files if template is None else {**files, "chat_template.jinja": jinja_of(template)}


def end_of_answer(tokenizer: Tokenizer, template: Template | None) -> str | None:
    """Return the special token that ends an answer, else the one that ends a text; None if there is neither.

    >>> from bytemill import Tokenizer
    >>> end_of_answer(Tokenizer.train(texts=["low lower"], vocab_size=260), "chatml")
    '<|endoftext|>'
    """
    special = tokenizer.special_tokens
    if isinstance(template, ChatTemplate):
        return template.names.get("eos_token")
    if template == "chatml" and "<|im_end|>" in special:
        return "<|im_end|>"
    return _end_of_text(tokenizer)


def special_names(tokenizer: Tokenizer, template: Template | None) -> dict[str, str]:
    """Return the special tokens by transformers' names, such as eos_token; those that do not exist are left out.

    >>> from bytemill import Tokenizer
    >>> special_names(Tokenizer.train(texts=["low lower"], vocab_size=260), None)["bos_token"]
    '<|endoftext|>'
    """
    end_of_text = _end_of_text(tokenizer)
    names = {
        "bos_token": end_of_text,  # in training a document starts after the end-of-text token of another
        "eos_token": end_of_answer(tokenizer, template),
        "pad_token": end_of_text,
    }
    if isinstance(template, ChatTemplate):
        names |= template.names
    return {name: text for name, text in names.items() if text is not None}


def _end_of_text(tokenizer: Tokenizer) -> str | None:
    return next((text for text, one in tokenizer.special_tokens.items() if one == tokenizer.end_of_text_id), None)


def _config(tokenizer: Tokenizer, template: Template | None, n_positions: int | None) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        # Otherwise transformers 4 also returns token_type_ids, and GPT-2 adds the embedding of token 0 everywhere.
        "model_input_names": ["input_ids", "attention_mask"],
        **({} if n_positions is None else {"model_max_length": n_positions}),
        **special_names(tokenizer, template),
    }
