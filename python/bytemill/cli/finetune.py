"""`bytemill finetune`: tune a pretrained model on texts, instructions, conversations or labels."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bytemill.cli.after_tuning import tune
from bytemill.cli.console import is_first_process, json_text, say
from bytemill.cli.finetune_preference import preference
from bytemill.cli.run_end import finish, fit_in
from bytemill.cli.run_options import TrainingCommand, TuningOptions, takes_options
from bytemill.files import write_text
from bytemill.places import without_user

if TYPE_CHECKING:
    from bytemill.evaluate.classification import ClassificationReport

app = typer.Typer(
    help="Tune a trained model on texts, instructions, conversations, labels or preferences.", no_args_is_help=True
)
app.command(cls=TrainingCommand)(preference)


@app.callback()
def _group() -> None:
    """Tune a trained model on texts, instructions, conversations, labels or preferences."""


@app.command(cls=TrainingCommand)
@takes_options(TuningOptions, task="lm", output="runs/lm")
def lm(options: TuningOptions) -> None:
    """Tune a model on plain texts: the rows of a text column, or a .txt file. Long texts are cut into several samples.

    Example: bytemill finetune lm --model runs/first --data imdb.csv -t tokenizer.json --set data.text_column=text
    """
    _tune("lm", options)


@app.command(cls=TrainingCommand)
@takes_options(TuningOptions, task="instruct", output="runs/instruct")
def instruct(options: TuningOptions) -> None:
    """Tune a model on instructions and answers; the loss covers only the answers.

    Example: bytemill finetune instruct --model runs/first --data alpaca.json -t tokenizer.json --lora-rank 16
    """
    _tune("instruct", options)


@app.command(cls=TrainingCommand)
@takes_options(TuningOptions, task="chat", output="runs/chat")
def chat(options: TuningOptions) -> None:
    """Tune a model on conversations; the loss covers every assistant turn.

    Example: bytemill finetune chat --model runs/first --data sharegpt.json -t tokenizer.json
    """
    _tune("chat", options)


@app.command(cls=TrainingCommand)
@takes_options(TuningOptions, task="classify", output="runs/classify")
def classify(options: TuningOptions) -> None:
    """Tune a model to classify texts. At the end, its scores on training and test rows are printed.

    Example: bytemill finetune classify --model runs/first --data SMSSpamCollection -t tokenizer.json
    """
    resolved = options.resolved("classify")
    from bytemill.tasks.base_settings import tokenizer_of
    from bytemill.tasks.classifier_report import training_accuracy
    from bytemill.tasks.classify import classify_rows, classify_task_from_config

    rows = classify_rows(resolved)
    task, resolved, reports = classify_task_from_config(resolved, rows)
    for report in reports:
        say(report)
    tokenizer = tokenizer_of(resolved)
    pad_id = tokenizer.eot_token
    before = training_accuracy(task.model, rows.train, resolved, pad_id=pad_id)
    outcome = fit_in(options, task, resolved)
    if outcome.is_complete:
        after = training_accuracy(task.model, rows.train, resolved, pad_id=pad_id)
        _test(task.model, rows, resolved, options.output, tokenizer=tokenizer, accuracies=(before, after))
    finish(options, outcome)


def _tune(task_name: str, options: TuningOptions) -> None:
    resolved = options.resolved(task_name)
    from bytemill.tasks.tuning import tuning_task_from_config

    tune(options, tuning_task_from_config(resolved))


def _test(
    model: Any, rows: Any, config: Any, output: Path, *, tokenizer: Any, accuracies: tuple[float | None, float | None]
) -> None:
    """Measure the held-out rows; write and print their scores and the accuracy on the training rows."""
    from bytemill.tasks.classifier_report import decoded_texts, report_on_rows

    scored = None
    if rows.test is not None:
        texts = decoded_texts(rows.test, tokenizer)
        size = config.data.batch_size
        scored = report_on_rows(model, rows.test, texts, batch_size=size, pad_id=tokenizer.eot_token)
    if not is_first_process():
        return
    before, after = accuracies
    figures: dict[str, Any] = {"train_accuracy_before": before, "train_accuracy": after} if after is not None else {}
    if scored is not None:
        figures = {**_test_figures(scored), **figures}
        say(scored.score.table())
    if figures:
        write_text(output / "test.json", json_text(figures, indent=2) + "\n")
    if after is not None:
        print(f"training accuracy: {before:.4f} before, {after:.4f} after, {len(rows.train.rows):,} rows")
    if scored is not None:
        score = scored.score
        print(f"test accuracy: {score.accuracy:.4f}, macro F1 {score.macro_f1:.4f}, {scored.n_rows:,} rows")


def _test_figures(scored: "ClassificationReport") -> dict[str, Any]:
    """Return what test.json holds about the test rows; texts are without this user's folders."""
    score = scored.score
    return {
        "test_loss": scored.loss,
        "n_rows": scored.n_rows,
        **score.as_metrics("test_"),
        "labels": list(score.labels),
        "confusion": score.confusion.tolist(),
        "worst": [{**asdict(one), "text": without_user(one.text)} for one in scored.worst],
    }
