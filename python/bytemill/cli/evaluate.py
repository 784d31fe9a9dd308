"""`bytemill eval`: evaluate models on data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli import answers
from bytemill.cli.console import json_text, measuring, say
from bytemill.cli.eval_classify import classify
from bytemill.cli.eval_matrix import matrix
from bytemill.cli.several_models import Model, OwnTokenizer, open_for_use
from bytemill.errors import DataError
from bytemill.extras import require
from bytemill.train.run.metrics import as_json_data

app = typer.Typer(help="Measure models: loss, benchmarks, answers, classes.", no_args_is_help=True)
app.command()(matrix)
app.command()(classify)
app.command()(answers.prompts)
app.command()(answers.judge)


@app.callback()
def _group() -> None:
    """Measure models: loss, benchmarks, answers, classes."""


@app.command()
def loss(
    model: Model,
    data: Annotated[Path, typer.Option("--data", "-d", help="Folder of token shards.")],
    tokenizer: OwnTokenizer = None,
    split: Annotated[str, typer.Option(help="Split: train or val.")] = "val",
    seq_len: Annotated[
        int | None, typer.Option(min=1, help="Tokens per sample. Default: the model's context length.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per batch.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the mean loss over a whole split: nats per token, perplexity and bits per byte.

    Example: bytemill eval loss -m runs/first -d shards
    """
    from bytemill.data import read_manifest
    from bytemill.tasks.usable_model import open_place, tokenizer_for
    from bytemill.tokenizer.source import tokenizer_in

    require("torch")
    _refuse_rows(data)
    manifest = read_manifest(data)
    place = open_place(model, say=say)
    place.refuse_other_tokenizer(manifest.tokenizer_sha256)
    found = place.tokenizer_if_any() or tokenizer_in(data) if tokenizer is None else tokenizer_for(place, tokenizer)
    if found is not None:
        manifest.refuse_other(found)
    from bytemill.data import TokenLoader
    from bytemill.evaluate.loss import bytes_per_token, held_out_loss
    from bytemill.tasks.base_model import load_model_at
    from bytemill.tasks.pretrain import one_pass
    from bytemill.train.machine.device import pick_device

    loaded = load_model_at(place).to(pick_device())
    if manifest.n_vocab > loaded.config.vocab_size:
        raise DataError(
            f"{data}: its ids need a vocabulary of {manifest.n_vocab}, {model} has {loaded.config.vocab_size}"
        )
    loader = TokenLoader(
        data, batch_size=batch_size, seq_len=seq_len or loaded.config.n_positions, split=split, shuffle=False
    )
    token_bytes = None if found is None else bytes_per_token(found)
    with measuring("measuring", unit="samples"):
        metrics = held_out_loss(loaded, one_pass(loader), token_bytes=token_bytes).as_metrics(prefix="")
    if as_json:
        print(json_text(metrics))
    else:
        for name, value in metrics.items():
            print(f"{name.replace('_', ' ')}: {value:.4f}")


def _refuse_rows(data: Path) -> None:
    """Raise DataError for a file: another command measures its text or rows."""
    if data.is_file():
        raise DataError(
            f"{data}: is a file, expected a folder of token shards from `bytemill data prepare`; for text or rows, "
            f"use `bytemill eval matrix -m MODEL -d {data}`"
        )


@app.command()
def hellaswag(
    model: Model,
    data: Annotated[
        Path, typer.Option("--data", "-d", help="File hellaswag_val.jsonl, with ctx, endings and label in each line.")
    ],
    tokenizer: OwnTokenizer = None,
    items: Annotated[int, typer.Option(min=0, help="Number of items to use, from the first; 0 uses all.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Items per batch; each item has four rows.")] = 8,
    strips: Annotated[
        bool,
        typer.Option("--strip", help="Remove spaces at the start of endings. Default: keep them, like build-nanogpt."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure HellaSwag accuracy by build-nanogpt's rule: choose the right ending of four; chance is 0.25.

    Example: bytemill eval hellaswag -m runs/first -d hellaswag_val.jsonl
    """
    from bytemill.data.rows.read import refuse_missing
    from bytemill.progress import PhaseProgress

    refuse_missing(data)
    opened = open_for_use(model, tokenizer)
    from bytemill.evaluate.hellaswag import REFERENCE_SCORES, hellaswag_score, read_hellaswag

    chosen = read_hellaswag(data)[: items or None]
    loaded, loaded_tokenizer = opened.model, opened.tokenizer
    with PhaseProgress({"answering": "items"}, shown=True) as progress:
        score = hellaswag_score(
            loaded,
            loaded_tokenizer,
            chosen,
            n_positions=loaded.config.n_positions,
            batch_items=batch_size,
            strip_endings=strips,
            shown=lambda n_done: progress.update("answering", n_done, len(chosen)),
        )
    if as_json:
        print(json_text({"n_items": score.n_items, "n_right": score.n_right, **score.as_metrics()}))
        return
    print(f"accuracy: {score.accuracy:.4f} +- {score.standard_error:.4f} ({score.n_right} of {score.n_items})")
    for name, accuracy in REFERENCE_SCORES.items():
        print(f"{name}, all 10,042 items: {accuracy:.4f}")


@app.command()
def harness(
    model: Model,
    tasks: Annotated[
        list[str],
        typer.Option("--task", help="Name of a benchmark of lm-evaluation-harness. Repeat the option for several."),
    ],
    tokenizer: OwnTokenizer = None,
    include: Annotated[Path | None, typer.Option(help="Folder with your own tasks in YAML.")] = None,
    items: Annotated[int, typer.Option(min=0, help="Number of items to use per task, from the first; 0 uses all.")] = 0,
    few_shot: Annotated[int, typer.Option(min=0, help="Number of solved examples before each question.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts per batch.")] = 8,
) -> None:
    """Run benchmarks of EleutherAI's lm-evaluation-harness (needs bytemill[eval]) and print the results as JSON.

    Example: bytemill eval harness -m runs/first --task lambada_openai --task piqa
    """
    from bytemill.progress import PhaseProgress

    opened = open_for_use(model, tokenizer)
    from bytemill.evaluate.harness import TextScorer, for_harness

    scorer = TextScorer(opened.model, opened.tokenizer, batch_size=batch_size)
    units = {"likelihoods": "pairs", "texts": "windows", "answers": "prompts"}
    with PhaseProgress(units, shown=True) as progress:
        adapted = for_harness(scorer, shown=progress.update)
        import lm_eval

        found = lm_eval.simple_evaluate(
            adapted,
            tasks=tasks,
            num_fewshot=few_shot,
            limit=items or None,
            task_manager=lm_eval.tasks.TaskManager(include_path=None if include is None else str(include)),
        )
    print(json.dumps(as_json_data(found["results"]), indent=2, default=str))
