"""`bytemill finetune`: a pretrained model learns to write like a text, to answer, to converse, or to classify."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bytemill.cli.console import is_first_process, json_text, say
from bytemill.cli.preference import preference
from bytemill.cli.tested import test_after
from bytemill.cli.train import ConfigFile, MoreSettings, PrintConfig, Resume, Settings, as_settings, finish, resolve
from bytemill.cli.written import RunFolder
from bytemill.files import write_text

app = typer.Typer(help="Fine-tune a model.", no_args_is_help=True)
app.command()(preference)

Model = Annotated[str | None, typer.Option(help="A run, a checkpoint, Hugging Face weights, or a hub id.")]
RowsPath = Annotated[
    str | None,
    typer.Option(
        help="Rows: .json, .jsonl, .csv, .tsv (also .gz), .parquet, a save_to_disk folder, label-tab-text lines, "
        "for lm also .txt, or hf:ID on the hub."
    ),
]
TokenizerPath = Annotated[
    Path | None, typer.Option("--tokenizer", "-t", help="Tokenizer file or folder. Default: the model's own.")
]
LoraRank = Annotated[
    int | None,
    typer.Option(
        help="Rank of the LoRA adapters; 0 trains without LoRA. Default: 8, for classify 0.", show_default=False
    ),
]


@app.callback()
def _group() -> None:
    """Fine-tune a model."""


@app.command()
def lm(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    model: Model = None,
    data: RowsPath = None,
    tokenizer: TokenizerPath = None,
    lora_rank: LoraRank = None,
    output: RunFolder = Path("runs/lm"),
    resume: Resume = False,
    prints_config: PrintConfig = False,
) -> None:
    """Tune a model on a text column or a .txt file; each row is a document, and long documents are cut into windows.

    Example: bytemill finetune lm --model runs/first --data imdb.csv -t tokenizer.json --set data.text_column=text
    """
    given = {"base": model, "data.path": data, "data.tokenizer": tokenizer, "lora.r": lora_rank}
    changes = [*(settings or []), *(more_settings or [])]
    _tune("lm", config, given, changes, output, resume=resume, prints=prints_config)


@app.command()
def instruct(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    model: Model = None,
    data: RowsPath = None,
    tokenizer: TokenizerPath = None,
    lora_rank: LoraRank = None,
    output: RunFolder = Path("runs/instruct"),
    resume: Resume = False,
    prints_config: PrintConfig = False,
) -> None:
    """Tune a model on instructions and answers; the loss covers only the answers.

    Example: bytemill finetune instruct --model runs/first --data alpaca.json -t tokenizer.json --lora-rank 16
    """
    given = {"base": model, "data.path": data, "data.tokenizer": tokenizer, "lora.r": lora_rank}
    _tune(
        "instruct",
        config,
        given,
        [*(settings or []), *(more_settings or [])],
        output,
        resume=resume,
        prints=prints_config,
    )


@app.command()
def chat(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    model: Model = None,
    data: RowsPath = None,
    tokenizer: TokenizerPath = None,
    lora_rank: LoraRank = None,
    output: RunFolder = Path("runs/chat"),
    resume: Resume = False,
    prints_config: PrintConfig = False,
) -> None:
    """Tune a model on conversations; the loss covers every assistant turn.

    Example: bytemill finetune chat --model runs/first --data sharegpt.json -t tokenizer.json
    """
    given = {"base": model, "data.path": data, "data.tokenizer": tokenizer, "lora.r": lora_rank}
    _tune(
        "chat", config, given, [*(settings or []), *(more_settings or [])], output, resume=resume, prints=prints_config
    )


@app.command()
def classify(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    model: Model = None,
    data: RowsPath = None,
    tokenizer: TokenizerPath = None,
    lora_rank: LoraRank = None,
    output: RunFolder = Path("runs/classify"),
    resume: Resume = False,
    prints_config: PrintConfig = False,
) -> None:
    """Tune a model to classify texts; scores on training and test rows are printed and written to test.json.

    Example: bytemill finetune classify --model runs/first --data SMSSpamCollection -t tokenizer.json
    """
    given = {"base": model, "data.path": data, "data.tokenizer": tokenizer, "lora.r": lora_rank}
    changes = [*as_settings(given), "task=classify", *(settings or []), *(more_settings or [])]
    resolved = resolve(config, changes, output if resume else None, prints=prints_config)
    from bytemill.tasks.base_model import tokenizer_of
    from bytemill.tasks.classifier_report import training_accuracy
    from bytemill.tasks.classify import classify_task_from_config
    from bytemill.train.loop import fit

    task, resolved, rows = classify_task_from_config(resolved)
    for report in rows.reports():
        say(report)
    pad_id = tokenizer_of(resolved).eot_token
    before = training_accuracy(task.model, rows.train, resolved, pad_id=pad_id)
    outcome = fit(task, resolved, output, resume=resume)
    after = training_accuracy(task.model, rows.train, resolved, pad_id=pad_id)
    _test(task.model, rows, resolved, output, pad_id=pad_id, accuracies=(before, after))
    finish(output, outcome.steps, outcome.metrics)


def _tune(
    task_name: str,
    config: Path | None,
    given: dict[str, Any],
    changes: list[str],
    output: Path,
    *,
    resume: bool,
    prints: bool,
) -> None:
    resolved = resolve(
        config, [*as_settings(given), f"task={task_name}", *changes], output if resume else None, prints=prints
    )
    from bytemill.tasks.tuning import tuning_task_from_config
    from bytemill.train.loop import fit

    task, resolved, reports = tuning_task_from_config(resolved)
    for report in reports:
        say(report)
    outcome = fit(task, resolved, output, resume=resume)
    test_after(task, resolved, output)
    finish(output, outcome.steps, outcome.metrics)


def _test(
    model: Any, rows: Any, config: Any, output: Path, *, pad_id: int, accuracies: tuple[float | None, float | None]
) -> None:
    """Measure the rows that were kept aside; write and print that and the accuracy on the training rows."""
    from bytemill.tasks.classify import score_classifier

    scored = None if rows.test is None else score_classifier(model, rows.test, config.data, pad_id=pad_id)
    if not is_first_process():
        return
    before, after = accuracies
    figures = {"train_accuracy_before": before, "train_accuracy": after} if after is not None else {}
    if scored is not None:
        score, loss = scored
        figures = {"test_loss": loss, "n_rows": len(rows.test.rows), **score.as_metrics("test_"), **figures}
        say(score.table())
    if figures:
        write_text(output / "test.json", json_text(figures, indent=2) + "\n")
    if after is not None:
        print(f"training accuracy: {before:.4f} before, {after:.4f} after, {len(rows.train.rows):,} rows")
    if scored is not None:
        print(f"test accuracy: {score.accuracy:.4f}, macro F1 {score.macro_f1:.4f}, {len(rows.test.rows):,} rows")
