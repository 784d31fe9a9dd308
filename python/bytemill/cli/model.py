"""`bytemill model`: what a model is, and its weights for others."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bytemill.cli.console import put, say
from bytemill.cli.written import on_disk
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from bytemill.model import CausalModel

app = typer.Typer(help="Look at models and convert their weights.", no_args_is_help=True)

ModelPath = Annotated[str, typer.Argument(help="A run, a checkpoint, or weights in Hugging Face's form.")]


@app.command()
def info(
    model: ModelPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a model's shape and its number of parameters.

    Example: bytemill model info runs/first
    """
    from bytemill.tasks.base_model import load_base_model, model_config_json

    loaded = load_base_model(model)
    shape = {name: value for name, value in model_config_json(loaded).items() if name not in ("format", "version")}
    facts = {"parameters": loaded.n_parameters(), **shape}
    if as_json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            put(f"{name}: {value:,}" if name == "parameters" else f"{name}: {value}")


@app.command()
def export(
    model: ModelPath,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.", callback=on_disk)],
    adapter: Annotated[bool, typer.Option("--adapter", help="Write the run's adapter alone, as PEFT does.")] = False,
    base: Annotated[str | None, typer.Option(help="With --adapter: the base's name, which PEFT asks for.")] = None,
) -> None:
    """Write weights that transformers reads; adapters are merged into them, or written alone.

    Example: bytemill model export runs/first gpt2-mine
    """
    from bytemill.tasks.base_model import load_base_model

    if adapter:
        from bytemill.model.lora import save_adapter

        save_adapter(load_base_model(model, merge=False), output, base_model=base)
    else:
        load_base_model(model).save_huggingface(output)
    print(output)


@app.command(name="import")
def import_(
    source: Annotated[
        str, typer.Argument(help="A folder, a hub repository, or a file: .safetensors, .bin, .pt, .pth, .ckpt.")
    ],
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.", callback=on_disk)],
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read .bin, .pt, .pth and .ckpt, of sources that you trust.")
    ] = False,
    heads: Annotated[
        int | None,
        typer.Option(min=1, help="Number of attention heads (default: what the file or its config.json says)."),
    ] = None,
    activation: Annotated[
        Literal["gelu_new", "gelu"] | None,
        typer.Option(help="GELU in its tanh form (gelu_new) or exact (gelu) (default: what the file's program uses)."),
    ] = None,
) -> None:
    """Write weights of transformers, nanoGPT, build-nanogpt or LLMs-from-scratch as a model of ours.

    Example: bytemill model import out/ckpt.pt first --allow-pickle
    """
    from bytemill.model.foreign import import_weights

    _write(import_weights(source, allow_pickle=allow_pickle, n_head=heads, activation=activation, say=say), output)
    print(output)


@app.command()
def merge(
    model: ModelPath,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.", callback=on_disk)],
    adapter: Annotated[Path | None, typer.Option(help="A folder with an adapter in PEFT's form.")] = None,
) -> None:
    """Write a model with its adapter, or one in PEFT's form, taken into its weights.

    Example: bytemill model merge runs/first merged --adapter adapter
    """
    from bytemill.model.lora import is_own_adapter, load_adapter, merge_lora
    from bytemill.tasks.base_model import load_base_model

    if adapter is not None and is_own_adapter(load_base_model(model, merge=False), adapter):
        raise ArgumentError(f"--adapter: {adapter} is the adapter of {model}, which is merged anyway; leave it out")
    loaded = load_base_model(model)
    if adapter is not None:
        loaded = merge_lora(load_adapter(loaded, adapter), unwrap=True)
    _write(loaded, output)
    print(output)


def _write(model: "CausalModel", output: Path) -> None:
    """Write a model in our own form, or a network of transformers in theirs."""
    from bytemill.model import GPT2, save_model

    if isinstance(model, GPT2):
        save_model(model, output)
    else:
        model.save_huggingface(output)
