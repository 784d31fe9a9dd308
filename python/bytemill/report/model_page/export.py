"""Writes a small GPT-2 as one HTML page that runs it: type a text, and the model continues it.

The page contains the weights as int8, the vocabulary, and the forward pass in JavaScript. It needs no network and may
not use one: its policy allows only its own script and style, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError, ConfigError
from bytemill.escape import escape
from bytemill.files import refuse_output_in_checkpoint, write_text
from bytemill.model import GPT2
from bytemill.report.model_page.vocabulary import page_vocabulary
from bytemill.report.model_page.weights import packed_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bytemill.tasks.usable_model import UsableModel

__all__ = ["MAX_PARAMETERS", "export_page"]

MAX_PARAMETERS = 32_000_000
"""Parameters of the largest model that a page may contain; the file then has 44 MB."""

_SCRIPTS = ("tokenizer.js", "network.js", "page.js")


def export_page(opened: UsableModel, path: Path, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Write a GPT-2 as a self-contained HTML page.

    Args:
        opened: The model with its tokenizer.
        path: The file; an existing one is replaced, and its folder is created if missing. Its name is the page's title.
        say: Called with a sentence if the model was tuned with a template, which the page does not use.

    Raises:
        ArgumentError: `path` is a folder.
        ConfigError: The model is not a GPT-2 or is too large, or the page cannot give the ids of its tokenizer; the
            message says why.
        OSError: The file cannot be written; the error names it.
    """
    given = opened.place.given
    if path.is_dir():
        raise ArgumentError(f"{path}: is a folder, but the page is one file; give a name such as {path / 'model.html'}")
    refuse_output_in_checkpoint(path)
    try:
        html = model_page(opened, path.stem)
    except ConfigError as error:
        raise ConfigError(f"{given}: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html)
    if opened.place.template() is not None:
        say(f"{given}: tuned with a template, which the page does not use: it continues the text that is typed")


def model_page(opened: UsableModel, name: str) -> str:
    """Return the HTML of a page with this title.

    Raises:
        ConfigError: See `export_page`.
    """
    model, tokenizer = opened.model, opened.tokenizer
    if not isinstance(model, GPT2):
        raise ConfigError("only a GPT-2 can be exported as a page, and this is another network")
    if model.n_parameters() > MAX_PARAMETERS:
        raise ConfigError(
            f"the model has {model.n_parameters():,} parameters, and a page can contain at most {MAX_PARAMETERS:,}; "
            "export a smaller model, or this one as GGUF"
        )
    if tokenizer.n_vocab > model.config.vocab_size:
        raise ConfigError(f"the tokenizer has {tokenizer.n_vocab} ids, but the model only {model.config.vocab_size}")
    vocabulary = page_vocabulary(tokenizer)
    weights = packed_weights(model, tokenizer.n_vocab)
    style, script = _resource("page.css"), "".join(map(_resource, _SCRIPTS))
    return Template(_resource("index.html")).substitute(
        policy=_policy(script, style),
        name=escape(name),
        n_parameters=f"{model.n_parameters():,}",
        style=style,
        script=script,
        model=_json({"config": _config(opened, model), "vocabulary": vocabulary, "layout": weights.layout}),
        numbers=base64.b64encode(weights.numbers).decode(),
        rows=base64.b64encode(weights.rows).decode(),
    )


def _config(opened: UsableModel, model: GPT2) -> dict[str, Any]:
    config = model.config
    return {
        "nPositions": config.n_positions,
        "width": config.n_embd,
        "nLayers": config.n_layer,
        "nHeads": config.n_head,
        "epsilon": config.layer_norm_epsilon,
        "isGeluExact": config.activation_function == "gelu",
        "isTied": config.tie_word_embeddings,
        "startId": opened.tokenizer.end_of_text_id,
        "stopIds": opened.place.stop_ids(opened.tokenizer),
    }


def _policy(script: str, style: str) -> str:
    """Return the Content-Security-Policy that allows this script and this style, and nothing else."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: dict[str, Any]) -> str:
    """Return JSON that cannot end the element that it is in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return files("bytemill.report.model_page").joinpath(name).read_text(encoding="utf-8")
