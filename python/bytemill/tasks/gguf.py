"""Exports a language model as one GGUF file, which llama.cpp, Ollama, LM Studio and others run.

The file contains the weights with adapters merged, the vocabulary, the special ids and the chat template. llama.cpp
must then give the ids and the probabilities that bytemill gives; where its splitting rule differs, the export says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.data.rows.jinja_templates import jinja_of
from bytemill.errors import ArgumentError, ConfigError
from bytemill.files import refuse_output_in_checkpoint, write_text, write_with
from bytemill.model import GPT2
from bytemill.model.gguf import GGUFType, add_architecture, narrow_matrices, write_tensors
from bytemill.tasks.modelfile import modelfile
from bytemill.tasks.tokenizer_files import special_names
from bytemill.tokenizer.gguf import gguf_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gguf import GGUFWriter

    from bytemill.data.rows import Template
    from bytemill.tasks.usable_model import UsableModel
    from bytemill.tokenizer import Tokenizer
    from bytemill.tokenizer.gguf import GGUFVocabulary

__all__ = ["export_gguf"]

_BYTE_OF_NO_TEXT = b"\xff"


def export_gguf(
    opened: UsableModel,
    path: Path,
    *,
    number_type: GGUFType = "f16",
    ollama: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a GPT-2 as a GGUF file.

    Args:
        opened: The model with its tokenizer and template.
        path: The file; an existing one is replaced, and its folder is created if missing.
        number_type: Number type of the matrices.
        ollama: Also write a Modelfile for Ollama into the same folder.
        say: Called with a sentence for each way in which llama.cpp computes something else than bytemill.

    Raises:
        ArgumentError: `path` is a folder.
        ConfigError: The model is not a GPT-2, or llama.cpp cannot give the ids of its tokenizer; the message says why.
        OSError: A file cannot be written; the error names it.
    """
    from gguf import GGUFWriter

    place, model, tokenizer = opened.place, opened.model, opened.tokenizer
    if not isinstance(model, GPT2):
        raise ConfigError(
            f"{place.given}: only a GPT-2 can be exported as GGUF, and this is another network; export it as a folder "
            "and convert that with llama.cpp's own converter"
        )
    if path.is_dir():
        raise ArgumentError(f"{path}: is a folder, but GGUF is one file; give a name such as {path / 'model.gguf'}")
    refuse_output_in_checkpoint(path)
    template = place.template()
    try:
        vocabulary = gguf_vocabulary(tokenizer, model.config.vocab_size)
    except ConfigError as error:
        raise ConfigError(f"{place.given}: {error}") from None
    stop_ids = place.stop_ids(tokenizer)
    modelfile_text = None
    if ollama:
        modelfile_text = modelfile(
            path.name, tokenizer, template, n_positions=model.config.n_positions, stop_ids=stop_ids
        )

    def fill(temporary: Path) -> None:
        writer = GGUFWriter(None, "gpt2")
        writer.add_name(path.stem)
        add_architecture(writer, model, number_type)
        _add_tokenizer(writer, vocabulary, _special_ids(tokenizer, template, stop_ids))
        if template is not None:
            writer.add_chat_template(jinja_of(template))
        write_tensors(writer, model, temporary, number_type)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_with(path, fill)
    if modelfile_text is not None:
        write_text(path.parent / "Modelfile", modelfile_text)
    for sentence in _differences(model, vocabulary, number_type):
        say(f"{place.given}: {sentence}")


def _add_tokenizer(writer: GGUFWriter, vocabulary: GGUFVocabulary, special_ids: dict[str, int]) -> None:
    writer.add_tokenizer_model("gpt2")  # byte-level BPE, whatever the vocabulary
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    for name, one in special_ids.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", one)
    writer.add_add_bos_token(False)  # some rules of llama.cpp would add one
    writer.add_add_eos_token(False)


def _special_ids(tokenizer: Tokenizer, template: Template | None, stop_ids: tuple[int, ...]) -> dict[str, int]:
    """Return the special ids by GGUF's names: bos, eos, eot (end of turn), eom (another end), padding.

    Without an end, llama.cpp would stop at id 11. The byte 0xFF, which is in no text, is given instead.

    Raises:
        ConfigError: The vocabulary has neither an end nor this byte.
    """
    special = tokenizer.special_tokens
    names = special_names(tokenizer, template)
    end = special.get(names.get("eos_token", ""), stop_ids[0] if stop_ids else None)
    if end is None:
        try:
            end = tokenizer.encode_single_token(_BYTE_OF_NO_TEXT)
        except KeyError:
            raise ConfigError("the vocabulary has no special token that ends a text, which llama.cpp needs") from None
    others = [one for one in stop_ids if one != end]
    ids = {
        "bos": special.get(names.get("bos_token", ""), end),
        "eos": end,
        "eot": end,
        "padding": special.get(names.get("pad_token", "")),
        "eom": others[0] if others else None,
    }
    return {name: one for name, one in ids.items() if one is not None}


def _differences(model: GPT2, vocabulary: GGUFVocabulary, number_type: GGUFType) -> list[str]:
    found = []
    if vocabulary.differences:
        found.append(
            f"llama.cpp's rule {vocabulary.pre!r} gives some texts other ids: {'; '.join(vocabulary.differences)}"
        )
    if model.config.activation_function == "gelu":
        found.append(
            "llama.cpp computes GELU by its tanh form, not exactly as this model, so its answers differ a little"
        )
    if number_type == "q8_0" and narrow_matrices(model):
        found.append("q8_0 needs rows of a multiple of 32 weights; matrices with other rows are f16")
    return found
