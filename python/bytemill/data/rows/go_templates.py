r"""Our prompt templates in the language of Go's text/template, which Ollama reads.

Ollama gives a template `.Messages`, each with `.Role` and `.Content`, and continues the text that it renders. Messages
have no place for an instruction's input, as in the Jinja templates (`jinja_templates.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.data.rows.templates import WITHOUT_INPUT
from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from bytemill.data.rows.templates import Template

__all__ = ["go_template_of"]

_ALPACA = (
    "{{ range $place, $_ := .Messages }}"
    '{{ if eq .Role "system" }}{{ .Content }}'
    f'{{{{ else if eq .Role "user" }}}}{{{{ if not $place }}}}{WITHOUT_INPUT}{{{{ end }}}}'
    "\n\n### Instruction:\n{{ .Content }}\n\n### Response:\n"
    "{{ else }}{{ .Content }}ANSWER_END{{ end }}"
    "{{ end }}"
)
_CHATML = (
    "{{ range $place, $_ := .Messages }}"
    "{{ if $place }}\n{{ end }}<|im_start|>{{ .Role }}\n{{ .Content }}"
    '{{ if eq .Role "assistant" }}ANSWER_END{{ else }}<|im_end|>{{ end }}'
    "{{ end }}"
    "\n<|im_start|>assistant\n"
)
_OURS = {
    "alpaca": _ALPACA,
    "alpaca_one_header": _ALPACA,
    "chatml": _CHATML,
    "chatml_text": _CHATML.replace("ANSWER_END", "<|im_end|>ANSWER_END"),
}


def go_template_of(template: Template | None, end_of_answer: str) -> str:
    """Return a template in Go's language.

    Args:
        template: Template that the model was tuned with; None for a model that only continues text.
        end_of_answer: The special token after an answer.

    Raises:
        ConfigError: The template is a model's own, or the token has characters with a meaning in Go's templates.

    >>> go_template_of(None, "</s>")
    '{{ .Prompt }}'
    """
    if template is None:
        return "{{ .Prompt }}"
    if not isinstance(template, str):
        raise ConfigError(
            "the model has its own chat template, in Jinja, which Ollama cannot read; export it without --ollama and "
            "write the TEMPLATE of its Modelfile by hand"
        )
    if "{{" in end_of_answer:
        raise ConfigError(f"the special token {end_of_answer!r} cannot be written in a template of Ollama")
    return _OURS[template].replace("ANSWER_END", end_of_answer)
