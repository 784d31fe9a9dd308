"""`bytemill model`: show, export, import and merge models."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.console import put, say
from bytemill.cli.output_paths import on_disk
from bytemill.cli.several_models import MODEL_HELP, OwnTokenizer
from bytemill.errors import ArgumentError, ConfigError
from bytemill.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.model import CausalModel
    from bytemill.tasks.model_place import ModelPlace

app = typer.Typer(help="Inspect models and convert their weights.", no_args_is_help=True)

Form = Literal["transformers", "gguf", "page"]
_FORM_OF_ENDING: dict[str, Form] = {".gguf": "gguf", ".html": "page"}
_FILE_NAMES = {"gguf": "GGUF", "page": "a page"}

ModelPath = Annotated[str, typer.Argument(help=MODEL_HELP)]


@app.command()
def info(
    model: ModelPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a model's configuration and number of parameters.

    Example: bytemill model info runs/first
    """
    from bytemill.tasks.usable_model import open_place

    place = open_place(model, say=say)
    facts = _facts(place)
    if as_json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            put(f"{name}: {value:,}" if name == "parameters" else f"{name}: {value}")


def _facts(place: "ModelPlace") -> "dict[str, Any]":
    """Return the model's configuration, and for a run its step, template and tokenizer size."""
    from bytemill.tasks.base_model import load_model_at, model_config_json
    from bytemill.tasks.classify import load_classifier

    if "labels" in place.fields:
        classifier, max_tokens = load_classifier(place)
        model: Any = classifier.body
        more = {"labels": list(classifier.labels), "max_tokens": max_tokens}
    else:
        model, more = load_model_at(place), {}
    shape = {name: value for name, value in model_config_json(model).items() if name not in ("format", "version")}
    facts = {"parameters": model.n_parameters(), **shape, **more}
    if place.state is not None:
        facts["step"] = place.state["step"]
        facts["validation_loss"] = place.state.get("validation_loss")
    template, tokenizer = place.template(), place.tokenizer_if_any()
    facts["template"] = template if template is None or isinstance(template, str) else "own"
    facts["tokenizer_ids"] = None if tokenizer is None else tokenizer.n_vocab
    return facts


@app.command()
def export(
    model: ModelPath,
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="Folder to write; for GGUF and a page, the file.", callback=on_disk)
    ],
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="transformers: a folder for Hugging Face's libraries. gguf: one file for llama.cpp and Ollama. "
            "page: one HTML file that runs a small GPT-2 in any browser. "
            "Default: gguf if OUTPUT ends in .gguf, page if it ends in .html, else transformers.",
        ),
    ] = None,
    weights: Annotated[
        Literal["f32", "f16", "bf16", "q8_0"] | None,
        typer.Option(help="With GGUF: number type of the weights; q8_0 has 8.5 bits per weight. Default: f16."),
    ] = None,
    ollama: Annotated[
        bool, typer.Option("--ollama", help="With GGUF: also write a Modelfile for Ollama next to the file.")
    ] = False,
    adapter: Annotated[bool, typer.Option("--adapter", help="Write only the LoRA adapter, in PEFT's format.")] = False,
    base: Annotated[
        str | None,
        typer.Option(
            help="With --adapter: name of the base model to write into the adapter's settings; PEFT needs it."
        ),
    ] = None,
    tokenizer: OwnTokenizer = None,
) -> None:
    """Write a model for other programs: a folder for transformers, one GGUF file for llama.cpp, or one HTML page.

    All contain weights and tokenizer; folder and GGUF also chat template and special ids. Adapters are merged into the
    weights, or written alone with --adapter. A classifier becomes a GPT2ForSequenceClassification; GGUF and pages have
    no classifiers.

    Example: bytemill model export runs/tuned@best my-model

    Example: bytemill model export runs/tuned@best model.gguf --ollama

    Example: bytemill model export runs/first model.html
    """
    from bytemill.tasks.usable_model import open_model, open_place, tokenizer_for

    form = form or _FORM_OF_ENDING.get(output.suffix, "transformers")
    _refuse_mixed_options({"--weights": weights, "--ollama": ollama}, {"--adapter": adapter}, form)
    place = open_place(model, say=say)
    if form == "gguf":
        _export_gguf(place, output, tokenizer, weights=weights or "f16", ollama=ollama)
        return
    if form == "page":
        _export_page(place, output, tokenizer)
        return
    from bytemill.tasks.base_model import load_base_model
    from bytemill.tasks.export import export_classifier, export_model, refuse_passed_over

    refuse_passed_over(place)
    if adapter:
        from bytemill.model.lora import save_adapter
        from bytemill.tasks.base_model import load_model_at

        save_adapter(load_model_at(place, merge=False), output, base_model=base)
    elif "labels" in place.fields:
        export_classifier(place, tokenizer_for(place, tokenizer), output)
    elif tokenizer is None and place.tokenizer_if_any() is None:
        say(f"{model}: no tokenizer lies with this model, so the folder has its weights alone; give one with -t")
        load_base_model(model).save_huggingface(output)
    else:
        export_model(open_model(model, tokenizer=tokenizer), output)
    print(output)


def _refuse_mixed_options(of_gguf: "Mapping[str, Any]", of_folder: "Mapping[str, Any]", form: Form) -> None:
    for name, value in of_gguf.items():
        if value and form != "gguf":
            raise ArgumentError(f"{name} is for GGUF; add --format gguf")
    for name, value in of_folder.items():
        if value and form != "transformers":
            raise ArgumentError(f"{name} writes a folder, and {_FILE_NAMES[form]} is one file")


def _export_gguf(
    place: "ModelPlace",
    output: Path,
    tokenizer: Path | None,
    *,
    weights: Literal["f32", "f16", "bf16", "q8_0"],
    ollama: bool,
) -> None:
    require("gguf")
    from bytemill.tasks.export import refuse_passed_over
    from bytemill.tasks.gguf import export_gguf
    from bytemill.tasks.usable_model import open_model

    refuse_passed_over(place)
    if "labels" in place.fields:
        raise ConfigError(
            f"{place.given}: a classifier, which llama.cpp cannot run; export it as a folder for transformers"
        )
    export_gguf(open_model(place.given, tokenizer=tokenizer), output, number_type=weights, ollama=ollama, say=say)
    print(output)
    if ollama:
        print(output.parent / "Modelfile")


def _export_page(place: "ModelPlace", output: Path, tokenizer: Path | None) -> None:
    from bytemill.report.model_page.export import export_page
    from bytemill.tasks.export import refuse_passed_over
    from bytemill.tasks.usable_model import open_model

    refuse_passed_over(place)
    if "labels" in place.fields:
        raise ConfigError(f"{place.given}: a classifier, which a page cannot run; export it as a folder")
    export_page(open_model(place.given, tokenizer=tokenizer), output, say=say)
    print(output)


@app.command(name="import")
def import_(
    source: Annotated[
        str, typer.Argument(help="A folder, a hub repository, or a file: .safetensors, .bin, .pt, .pth, .ckpt.")
    ],
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.", callback=on_disk)],
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Allow pickled files (.bin, .pt, .pth, .ckpt). They can run code, so the source must be trusted.",
        ),
    ] = False,
    heads: Annotated[
        int | None,
        typer.Option(min=1, help="Number of attention heads. Default: from the file or its config.json."),
    ] = None,
    activation: Annotated[
        Literal["gelu_new", "gelu"] | None,
        typer.Option(help="GELU as tanh approximation (gelu_new) or exact (gelu). Default: as the file's program."),
    ] = None,
) -> None:
    """Convert weights of transformers, nanoGPT, build-nanogpt or LLMs-from-scratch to bytemill's format.

    Example: bytemill model import out/ckpt.pt first --allow-pickle
    """
    from bytemill.model.foreign import import_weights
    from bytemill.tasks.model_place import find_model

    model = import_weights(source, allow_pickle=allow_pickle, n_head=heads, activation=activation, say=say)
    if Path(source).is_dir():
        _write_files_for_use(find_model(source), output, model.config.n_positions)
    _write(model, output)
    print(output)


@app.command()
def merge(
    model: ModelPath,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.", callback=on_disk)],
    adapter: Annotated[
        Path | None, typer.Option(help="Folder with an adapter in PEFT's format. Default: the run's own adapter.")
    ] = None,
) -> None:
    """Merge an adapter into a model's weights: the run's own, or one in PEFT's format.

    Example: bytemill model merge runs/first merged --adapter adapter
    """
    from bytemill.tasks.usable_model import open_place

    place = open_place(model, say=say)
    from bytemill.model.lora import is_own_adapter, load_adapter, merge_lora
    from bytemill.tasks.base_model import load_model_at
    from bytemill.tasks.export import refuse_passed_over

    refuse_passed_over(place)
    if adapter is not None and is_own_adapter(load_model_at(place, merge=False), adapter):
        raise ArgumentError(f"--adapter: {adapter} is the adapter of {model}, which is merged anyway; leave it out")
    loaded = load_model_at(place)
    if adapter is not None:
        loaded = merge_lora(load_adapter(loaded, adapter), unwrap=True)
    _write_files_for_use(place, output, loaded.config.n_positions)
    _write(loaded, output)
    print(output)


def _write_files_for_use(place: "ModelPlace", output: Path, n_positions: int) -> None:
    """Write the model's tokenizer and template if it has them."""
    from bytemill.tasks.export import write_files_for_use
    from bytemill.tasks.tokenizer_files import tokenizer_files

    own = place.tokenizer_if_any()
    if own is not None:
        write_files_for_use(output, tokenizer_files(own, place.template(), n_positions=n_positions))


def _write(model: "CausalModel", output: Path) -> None:
    """Write a model in our format, or a network of transformers in theirs."""
    from bytemill.model import GPT2, save_model

    if isinstance(model, GPT2):
        save_model(model, output)
    else:
        model.save_huggingface(output)
