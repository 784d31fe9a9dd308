"""Writes the Modelfile with which Ollama runs an exported GGUF file: prompt template, stop texts and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.data.rows import stop_texts
from bytemill.data.rows.go_templates import go_template_of
from bytemill.errors import ConfigError
from bytemill.tasks.tokenizer_files import end_of_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.data.rows import Template
    from bytemill.tokenizer import Tokenizer

__all__ = ["modelfile"]

_LONGEST_ANSWER = 256  # this and the next are the defaults of `bytemill chat`
_SAMPLING = {"temperature": 0.7, "top_k": 50, "top_p": 1, "min_p": 0, "repeat_penalty": 1}


def modelfile(
    gguf_name: str,
    tokenizer: Tokenizer,
    template: Template | None,
    *,
    n_positions: int,
    stop_ids: Sequence[int] = (),
) -> str:
    r"""Return the text of a Modelfile.

    Args:
        gguf_name: Name of the GGUF file, which is in the same folder.
        tokenizer: The model's tokenizer.
        template: Template that the model was tuned with; None for a model that only continues text.
        n_positions: The model's context in tokens.
        stop_ids: Ids at which generation stops.

    Raises:
        ConfigError: Ollama cannot read the template or a stop text.

    >>> from bytemill import Tokenizer
    >>> tokenizer = Tokenizer.train(texts=["low lower"], vocab_size=260)
    >>> print(modelfile("model.gguf", tokenizer, None, n_positions=64, stop_ids=[259]).partition("PARAMETER")[0])
    FROM ./model.gguf
    TEMPLATE {{ .Prompt }}
    <BLANKLINE>
    """
    text_of = {one: text for text, one in tokenizer.special_tokens.items()}
    stops = [*(text_of[one] for one in stop_ids), *(() if template is None else stop_texts(template))]
    parameters = {"num_ctx": n_positions, "num_predict": min(_LONGEST_ANSWER, n_positions // 2), **_SAMPLING}
    lines = [
        f"FROM ./{gguf_name}",
        f"TEMPLATE {_quoted(go_template_of(template, end_of_answer(tokenizer, template) or ''))}",
        *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
        *(f"PARAMETER stop {_quoted(stop)}" for stop in dict.fromkeys(stops)),
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """Return a value as Ollama reads it: there are no escapes, and three quotes enclose any text without three quotes.

    >>> _quoted("</s>"), _quoted(" a space").count('"')
    ('</s>', 6)
    """
    if value == value.strip() and "\n" not in value and '"' not in value:
        return value
    if '"""' in value or value.endswith('"'):
        raise ConfigError(f"the text {value!r} cannot be written in a Modelfile, because of its quotes")
    return f'"""{value}"""'
