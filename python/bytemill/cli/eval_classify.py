"""`bytemill eval classify`: evaluate a classifier on labelled rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text, measuring, put, say
from bytemill.cli.several_models import OwnTokenizer, Page, show

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig


def classify(
    data: Annotated[
        str, typer.Option("--data", "-d", help="Labelled rows, in any format that `finetune classify` reads.")
    ],
    model: Annotated[
        str | None, typer.Argument(help="A run of `bytemill finetune classify`, or a checkpoint of one.")
    ] = None,
    named_model: Annotated[str | None, typer.Option("--model", "-m", help="The same as MODEL, as an option.")] = None,
    tokenizer: OwnTokenizer = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column that holds the text. Default: the one used in tuning.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column that holds the class. Default: the one used in tuning.")
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, help="Number of texts with the highest loss to show; 0 shows none.")
    ] = 10,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    page: Page = None,
) -> None:
    """Classify labelled texts and print accuracy, macro F1, scores per class and the texts with the highest loss.

    Like scikit-learn, macro F1 ignores classes that are neither the true nor the predicted class of any text.

    Example: bytemill eval classify runs/spam --data labelled.csv
    """
    from bytemill.data.rows.read import refuse_missing
    from bytemill.tasks.usable_model import open_place, tokenizer_for
    from bytemill.train.config import RunConfig

    given = model or named_model
    if given is None or (model and named_model):
        raise typer.BadParameter("give one model, either as MODEL or with --model")
    refuse_missing(data)
    place = open_place(given, say=say)
    from bytemill.tasks.classifier_report import classification_report
    from bytemill.tasks.classify import load_classifier
    from bytemill.tasks.labelled_parts import called
    from bytemill.tasks.tuning import read_for_task

    classifier, max_tokens = load_classifier(place)
    vocabulary = tokenizer_for(place, tokenizer)
    config = _with_columns(place.settings or RunConfig(), text_column, label_column)
    notes: list[str] = []
    rows = called(read_for_task(config, data, notes=notes), config.classify.names)
    with measuring("classifying"):
        found = classification_report(
            classifier, rows, vocabulary, max_tokens=max_tokens, batch_size=batch_size, n_worst=worst
        )
    say("; ".join([found.rows, *notes]))
    if page is not None:
        from bytemill.report.evaluation import classes_page
        from bytemill.report.provenance import provenance_here

        here = provenance_here()
        show(classes_page(found, model=Path(given).name, data=Path(data).name, provenance=here), Path(page))
    put(json_text(found.as_json()) if as_json else found.as_text())


def _with_columns(config: "RunConfig", text_column: str | None, label_column: str | None) -> "RunConfig":
    given = {"text_column": text_column, "label_column": label_column}
    data = config.data.model_copy(update={name: value for name, value in given.items() if value is not None})
    return config.model_copy(update={"task": "classify", "data": data})
