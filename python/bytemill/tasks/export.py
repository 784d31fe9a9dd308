"""Exports a trained model as a folder for Hugging Face's libraries: weights, tokenizer, chat template and stop ids.

`AutoModelForCausalLM`, `AutoTokenizer` and `pipeline` load the folder, and so do vLLM and other programs that read this
format. A classifier is exported as transformers' `GPT2ForSequenceClassification`, which computes the class at the last
token that is not padding. Ours computes it at an end-of-text token after the text, so the exported tokenizer appends
that token.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import CheckpointError, ConfigError
from bytemill.files import refuse_output_in_checkpoint, write_text
from bytemill.model import GPT2
from bytemill.model.huggingface import save_huggingface
from bytemill.model.weight_files import read_json, read_tensors, write_json, write_tensors
from bytemill.tasks.classify import load_classifier
from bytemill.tasks.model_card import classifier_card, model_card
from bytemill.tasks.tokenizer_files import tokenizer_files

if TYPE_CHECKING:
    from pathlib import Path

    from bytemill.model.classifier import Classifier
    from bytemill.tasks.model_place import ModelPlace
    from bytemill.tasks.usable_model import UsableModel
    from bytemill.tokenizer import Tokenizer

__all__ = ["export_classifier", "export_model", "refuse_passed_over", "write_files_for_use"]

_PADDING = "<|pad|>"


def export_model(opened: UsableModel, folder: Path) -> None:
    """Write a language model, with its adapters merged.

    Args:
        opened: The model with its tokenizer and template.
        folder: Output folder, created if missing; files of an earlier export are replaced.

    Raises:
        OSError: A file cannot be written; the error names it.
    """
    tokenizer, place = opened.tokenizer, opened.place
    tuned_with = place.template()
    write_files_for_use(folder, tokenizer_files(tokenizer, tuned_with, n_positions=opened.model.config.n_positions))
    ends = list(place.stop_ids(tokenizer))
    ids = _special_ids(tokenizer, ends)
    write_json(ids, folder / "generation_config.json")
    write_text(folder / "README.md", model_card(opened, tuned_with))
    opened.model.save_huggingface(folder)
    write_json(read_json(folder / "config.json") | ids, folder / "config.json")


def export_classifier(place: ModelPlace, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a classifier as transformers' GPT2ForSequenceClassification.

    Raises:
        ConfigError: Its body is not bytemill's GPT-2.
    """
    classifier, max_tokens = load_classifier(place)
    body = classifier.body.cpu()
    if not isinstance(body, GPT2):
        raise ConfigError(f"{place.given}: only classifiers on GPT-2 can be exported; this one has another network")
    if tokenizer.end_of_text_id is None:
        raise ConfigError(f"{place.given}: its tokenizer has no end of text, where the class is read")
    padding_id = body.config.vocab_size
    files = tokenizer_files(tokenizer, n_positions=max_tokens)
    files["tokenizer.json"] = _appending(files["tokenizer.json"], tokenizer, padding_id)
    files["tokenizer_config.json"] = _with_padding(files["tokenizer_config.json"])
    write_files_for_use(folder, files)
    write_text(folder / "README.md", classifier_card(place, classifier.labels))
    save_huggingface(body, folder)
    tensors = read_tensors(folder / "model.safetensors")
    tensors.pop("lm_head.weight", None)  # only in an untied model; a classifier does not use it
    embedding = tensors["transformer.wte.weight"]
    tensors["transformer.wte.weight"] = torch.cat([embedding, torch.zeros(1, embedding.shape[1])])
    tensors["transformer.ln_f.bias"] = _bias_with_head(classifier.cpu())
    tensors["score.weight"] = classifier.head.weight.detach()
    write_tensors(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    labels = dict(enumerate(classifier.labels))
    settings = {
        "architectures": ["GPT2ForSequenceClassification"],
        "vocab_size": padding_id + 1,
        "pad_token_id": padding_id,
        "id2label": {str(number): label for number, label in labels.items()},
        "label2id": {label: number for number, label in labels.items()},
        "problem_type": "single_label_classification",
    }
    write_json(read_json(folder / "config.json") | settings, folder / "config.json")


def refuse_passed_over(place: ModelPlace) -> None:
    """Refuse to export an older checkpoint because the newest one of the run is damaged.

    Raises:
        CheckpointError: The newest checkpoint is damaged; the error says how to select the older one.
    """
    if place.passed_over and place.state is not None:
        raise CheckpointError(
            f"{place.passed_over[0]}; to use the checkpoint before it, give {place.given}@{place.state['step']}"
        )


def write_files_for_use(folder: Path, files: dict[str, str]) -> None:
    """Write tokenizer and template into a model's folder, which is created if missing."""
    refuse_output_in_checkpoint(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if "chat_template.jinja" not in files:
        (folder / "chat_template.jinja").unlink(missing_ok=True)  # of an earlier model in this folder
    for name, text in files.items():
        write_text(folder / name, text)


def _special_ids(tokenizer: Tokenizer, ends: list[int]) -> dict[str, Any]:
    start = tokenizer.end_of_text_id
    ids = {"bos_token_id": start, "eos_token_id": ends[0] if len(ends) == 1 else ends or None, "pad_token_id": start}
    return {name: one for name, one in ids.items() if one is not None}


def _bias_with_head(classifier: Classifier) -> torch.Tensor:
    """Return the bias of the last norm that replaces the bias of the head.

    With the norm's bias b, the scores are W (x + b) + c. For a vector d with W d = c they equal W (x + b + d).
    """
    body, head = classifier.body, classifier.head
    assert isinstance(body, GPT2)
    weight, bias = head.weight.detach().double(), head.bias.detach().double()
    moved: torch.Tensor = torch.linalg.lstsq(weight, bias[:, None]).solution[:, 0]
    return (body.final_norm.bias.detach().double() + moved).float()


def _appending(text: str, tokenizer: Tokenizer, padding_id: int) -> str:
    """Return the tokenizer.json changed to append an end-of-text token to each text, with a padding token added."""
    data = json.loads(text)
    end_id = tokenizer.end_of_text_id
    end = next(name for name, one in tokenizer.special_tokens.items() if one == end_id)
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
        "pair": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 0}},
            {"SpecialToken": {"id": end, "type_id": 0}},
        ],
        "special_tokens": {end: {"id": end, "ids": [end_id], "tokens": [end]}},
    }
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data["added_tokens"] = [
        *(data.get("added_tokens") or []),
        {"id": padding_id, "content": _PADDING, **flags, "special": True},
    ]
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _with_padding(text: str) -> str:
    return json.dumps(json.loads(text) | {"pad_token": _PADDING}, indent=2) + "\n"
