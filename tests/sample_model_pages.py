"""Makes tiny models, their pages, and the weights that a page has: for the tests of pages that run a model."""

import copy
from pathlib import Path

import torch

from bytemill import Tokenizer
from bytemill.model import GPT2, GPT2Config
from bytemill.report.model_page.export import export_page
from bytemill.report.model_page.weights import int8_rows
from bytemill.tasks.model_place import ModelPlace
from bytemill.tasks.tokenizer_files import tokenizer_files
from bytemill.tasks.usable_model import UsableModel

TEXT = "the cat sat on the mat. The dog sat, it's 12 o'clock, 北京是中国的首都。\n" * 3


def trained(**options):
    return Tokenizer.train(texts=[TEXT], **{"vocab_size": 300, **options})


def model_of(tokenizer, **settings):
    torch.manual_seed(0)
    sizes = {"vocab_size": tokenizer.n_vocab, "n_positions": 24, "n_embd": 36, "n_layer": 2, "n_head": 2}
    model = GPT2(GPT2Config(**{**sizes, **settings})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def export(path: Path, tokenizer=None, model=None, template=None):
    """Write a page, from a place that has this tokenizer and template; return what was said."""
    tokenizer = tokenizer or trained()
    model = model or model_of(tokenizer)
    place = path.parent / "place"
    place.mkdir(parents=True, exist_ok=True)
    for name, text in tokenizer_files(tokenizer, template).items():
        (place / name).write_text(text, encoding="utf-8")
    said: list[str] = []
    export_page(UsableModel(ModelPlace("place", place), model, tokenizer, template or "alpaca"), path, say=said.append)
    return said


def rounded(model):
    """The model with the weights that its page has."""
    found = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.dim() == 2:
                rows, scales = int8_rows(parameter)
                parameter.copy_(rows * scales[:, None])
    return found
