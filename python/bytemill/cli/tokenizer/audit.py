"""`bytemill tokenizer audit`: answer ten questions about a tokenizer with measurements."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.output_form import FormOption, Output, deliver, form_of
from bytemill.cli.tokenizer.ids import documents
from bytemill.cli.tokenizer.options import TokenizerSource

if TYPE_CHECKING:
    from bytemill import Tokenizer
    from bytemill.tokenizer.audit import Answer

__all__ = ["audit"]


def audit(
    tokenizer: TokenizerSource,
    languages: Annotated[
        Path | None, typer.Option(help="ZIP file with the same text in many languages, one .txt per language.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Text file: count its tokens with smaller vocabularies too.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Model with this tokenizer: also find the tokens that it was hardly trained on."
        ),
    ] = None,
    form: FormOption = None,
    output: Output = None,
) -> None:
    """Measure a tokenizer, and answer ten common questions about it.

    Examples: how many tokens do digits, indentation and other languages need? Which tokens can never occur?

    Example: bytemill tokenizer audit -t tokenizer.json --languages udhr2.zip -o audit.html
    """
    from bytemill.tokenizer.audit import audit, read_languages
    from bytemill.tokenizer.source import open_tokenizers

    wanted = form_of(form, output)
    ((name, opened),) = open_tokenizers([tokenizer]).items()
    sample = None if text is None else "".join(documents(None, [text]))
    answers = audit(opened, text=sample, languages=None if languages is None else read_languages(languages))
    if model is not None:
        answers = (*answers, _undertrained(model, opened))
    deliver(_written(name, opened, answers, wanted), output)


def _undertrained(model: str, tokenizer: "Tokenizer") -> "Answer":
    from bytemill.evaluate.undertrained import undertrained_answer
    from bytemill.model import GPT2
    from bytemill.tasks.base_model import load_base_model

    loaded = load_base_model(model, tokenizer_sha256=tokenizer.fingerprint)
    # The output table, which shows the tokens in question; in GPT-2 it is also the input table.
    table = loaded.head_weight if isinstance(loaded, GPT2) else loaded.get_output_embeddings().weight
    return undertrained_answer(tokenizer, table.detach().float().cpu().numpy())


def _written(name: str, tokenizer: "Tokenizer", answers: "tuple[Answer, ...]", form: str) -> str:
    if form == "json":
        return json.dumps([answer.as_dict() for answer in answers], ensure_ascii=False, indent=2) + "\n"
    from bytemill.report.audit import audit_markdown, audit_page, audit_text

    if form == "markdown":
        return audit_markdown(name, answers)
    if form == "text":
        return audit_text(answers)
    from bytemill.report.provenance import provenance_here

    return audit_page(name, tokenizer, answers, provenance=provenance_here()).html()
