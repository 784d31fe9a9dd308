"""The results of runs of one task: a verdict, key figures and tables, each with the measures of its task."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bytemill.report.blocks import Block, Figure, KeyFigures, Table
from bytemill.report.classes import classes_blocks, classes_figures
from bytemill.report.figures import count, decimal, percent, short_count
from bytemill.report.run_data import RunData
from bytemill.report.verdict import (
    classifier_verdict,
    language_model_verdict,
    preference_verdict,
    ranking_verdict,
)

__all__ = ["Results", "results_of"]

_LARGEST_PERPLEXITY_LOSS = 15
"""A perplexity above e to this says nothing."""


@dataclass(frozen=True)
class Results:
    """What runs achieved."""

    verdict: str
    summary: tuple[Block, ...] = ()
    """Key figures."""
    blocks: Sequence[Block] = field(default=())
    """Tables of the section on results."""


def results_of(task: str, runs: Sequence[RunData]) -> Results:
    """Return the results of one or more runs of the same task."""
    return {"classify": _classifiers, "preference": _preferences}.get(task, _language_models)(runs)


def _language_models(runs: Sequence[RunData]) -> Results:
    if len(runs) == 1:
        (run,) = runs
        losses = [loss for _, loss in run.logged("loss")]
        verdict = language_model_verdict(losses, run.logged("val_loss"))
        return Results(verdict, _figures([*_loss_figures(run), *_speed_figures(run)]), [_losses_table(runs)])
    verdict = ranking_verdict({run.name: _last_loss(run) for run in runs}, _loss_name(runs), lower_is_better=True)
    return Results(verdict, _figures(_best_figures(runs)), [_losses_table(runs)])


def _loss_figures(run: RunData) -> list[Figure]:
    validations = [(step, loss) for step, loss in run.logged("val_loss") if math.isfinite(loss)]
    if not validations:
        last = run.last("loss")
        return [Figure(decimal(last, 3), "training loss", "nats per token, last step")] if math.isfinite(last) else []
    last = validations[-1][1]
    best_step, best = min(validations, key=lambda one: one[1])
    note = "" if best == last else f"; lowest: {decimal(best, 3)} at step {count(best_step)}"
    figures = [Figure(decimal(last, 3), "validation loss", f"nats per token, last{note}")]
    if last < _LARGEST_PERPLEXITY_LOSS:
        figures.append(Figure(_rounded(math.exp(last)), "perplexity", "e to the validation loss"))
    bits = run.last("val_bits_per_byte")
    if math.isfinite(bits):
        figures.append(Figure(decimal(bits, 3), "bits per byte", "can be compared across tokenizers"))
    return figures


def _speed_figures(run: RunData) -> list[Figure]:
    figures = []
    tokens = run.last("tokens")
    if tokens > 0:
        figures.append(Figure(short_count(tokens), "tokens seen", f"in {count(run.steps)} steps"))
    for key, label, form in (("tokens_per_s", "tokens per second", count), ("mfu", "of the hardware's peak", percent)):
        values = [value for _, value in run.logged(key) if math.isfinite(value)]
        if values:
            figures.append(Figure(form(statistics.median(values)), label, "median over the steps"))
    return figures


def _best_figures(runs: Sequence[RunData]) -> list[Figure]:
    """Return the key figures of several runs: the best of each."""
    name, losses = _loss_name(runs), {run.name: _last_loss(run) for run in runs}
    finite = {run: loss for run, loss in losses.items() if math.isfinite(loss)}
    if not finite:
        return []
    best = min(finite, key=lambda run: finite[run])
    figures = [Figure(decimal(finite[best], 3), f"lowest final {name}", f"run {best}")]
    if finite[best] < _LARGEST_PERPLEXITY_LOSS:
        figures.append(Figure(_rounded(math.exp(finite[best])), "its perplexity", "e to the loss"))
    if len(finite) > 1:
        worst = max(finite, key=lambda run: finite[run])
        figures.append(Figure(decimal(finite[worst] - finite[best], 3), "from best to worst", f"run {worst}"))
    tokens = {run.name: run.last("tokens") for run in runs}
    most = max((value for value in tokens.values() if math.isfinite(value)), default=0)
    return [*figures, *([Figure(short_count(most), "tokens seen", "by the longest run")] if most else [])]


def _losses_table(runs: Sequence[RunData]) -> Table:
    """Return each run's final losses, and of HellaSwag with its standard error if logged; the best first."""
    columns: list[tuple[str, Callable[[RunData], str]]] = [
        ("validation loss", lambda run: decimal(run.last("val_loss"), 4)),
        ("lowest", lambda run: decimal(_lowest(run), 4)),
        ("perplexity", lambda run: _perplexity(run)),
        ("bits per byte", lambda run: decimal(run.last("val_bits_per_byte"), 4)),
        ("HellaSwag", _hellaswag),
        ("training loss", lambda run: decimal(run.last("loss"), 4)),
        ("steps", lambda run: count(run.steps)),
    ]
    return _ranked_table(runs, columns, _last_loss)


def _preferences(runs: Sequence[RunData]) -> Results:
    columns: list[tuple[str, Callable[[RunData], str]]] = [
        ("win rate, validation", lambda run: _share(run.last("val_accuracy"))),
        ("win rate, test", lambda run: _share(_tested(run, "test_accuracy"))),
        ("margin, validation", lambda run: decimal(run.last("val_margin"), 4)),
        ("margin, training", lambda run: decimal(run.last("margin"), 4)),
        ("validation loss", lambda run: decimal(run.last("val_loss"), 4)),
        ("training loss", lambda run: decimal(run.last("loss"), 4)),
        ("steps", lambda run: count(run.steps)),
    ]
    table = _ranked_table(runs, columns, lambda run: -_wins(run))
    if len(runs) > 1:
        verdict = ranking_verdict({run.name: _wins(run) for run in runs}, "win rate", lower_is_better=False)
        return Results(verdict, (), [table])
    (run,) = runs
    losses = [loss for _, loss in run.logged("loss")]
    figures = [Figure(_share(_wins(run)), "win rate of the chosen answer", "guessing gives 50 %")]
    margin = run.last("val_margin") if math.isfinite(run.last("val_margin")) else run.last("margin")
    figures.append(Figure(decimal(margin, 3), "margin", "reward of the chosen answer minus that of the rejected one"))
    rewards = f"{decimal(run.last('reward_chosen'), 3)} / {decimal(run.last('reward_rejected'), 3)}"
    figures.append(Figure(rewards, "rewards", "chosen / rejected, last step"))
    figures.append(Figure(decimal(run.last("loss"), 3), "loss", "ln 2 = 0.693 before tuning"))
    return Results(preference_verdict(losses, _wins(run)), _figures(figures), [table])


def _classifiers(runs: Sequence[RunData]) -> Results:
    columns: list[tuple[str, Callable[[RunData], str]]] = [
        ("test accuracy", lambda run: decimal(_tested(run, "test_accuracy"), 4)),
        ("macro F1", lambda run: decimal(_tested(run, "test_macro_f1"), 4)),
        ("validation accuracy", lambda run: decimal(run.last("val_accuracy"), 4)),
        ("training accuracy", lambda run: decimal(_tested(run, "train_accuracy"), 4)),
        ("before tuning", lambda run: decimal(_tested(run, "train_accuracy_before"), 4)),
        ("validation loss", lambda run: decimal(run.last("val_loss"), 4)),
        ("steps", lambda run: count(run.steps)),
    ]
    table = _ranked_table(runs, columns, lambda run: -_accuracy(run))
    if len(runs) > 1:
        verdict = ranking_verdict({run.name: _accuracy(run) for run in runs}, "accuracy", lower_is_better=False)
        return Results(verdict, (), [table])
    (run,) = runs
    labels, confusion = run.test.get("labels"), run.test.get("confusion")
    if not labels or not confusion:
        accuracy = run.last("val_accuracy")
        unmeasured = "No test rows were measured"
        known = f": the accuracy on the validation set is {_share(accuracy)}." if math.isfinite(accuracy) else "."
        return Results(unmeasured + known, (), [table])
    return Results(
        classifier_verdict(labels, confusion),
        _figures(classes_figures(run.test)),
        [*classes_blocks(run.test), table],
    )


def _ranked_table(
    runs: Sequence[RunData],
    columns: Sequence[tuple[str, Callable[[RunData], str]]],
    badness: Callable[[RunData], float],
) -> Table:
    """Return a table of the columns that have a value for any run, the best run first.

    Of several runs, the best value is marked if the first column, which has what they are ranked by, is shown.
    """
    ranked = sorted(runs, key=lambda run: value if math.isfinite(value := badness(run)) else math.inf)
    cells = {title: [form(run) for run in ranked] for title, form in columns}
    kept = {title: values for title, values in cells.items() if set(values) != {"–"}}
    rows = tuple((run.name, *(values[i] for values in kept.values())) for i, run in enumerate(ranked))
    has_best = len(runs) > 1 and columns[0][0] in kept and rows[0][1] != "–"
    caption = "Final results" if len(runs) == 1 else "Final results, best first"
    numeric = tuple(range(1, len(kept) + 1))
    return Table(caption, ("run", *kept), rows, numeric=numeric, best=((0, 1),) if has_best else ())


def _figures(figures: Sequence[Figure]) -> tuple[Block, ...]:
    shown = tuple(figure for figure in figures if figure.value != "–")
    return (KeyFigures(shown),) if shown else ()


def _loss_name(runs: Sequence[RunData]) -> str:
    return "validation loss" if any(run.logged("val_loss") for run in runs) else "training loss"


def _last_loss(run: RunData) -> float:
    return run.last("val_loss") if run.logged("val_loss") else run.last("loss")


def _lowest(run: RunData) -> float:
    return min((loss for _, loss in run.logged("val_loss") if math.isfinite(loss)), default=math.nan)


def _perplexity(run: RunData) -> str:
    loss = run.last("val_loss")
    return _rounded(math.exp(loss)) if loss < _LARGEST_PERPLEXITY_LOSS else "–"


def _hellaswag(run: RunData) -> str:
    score, error = run.last("hellaswag"), run.last("hellaswag_error")
    return decimal(score, 4) + (f" ± {decimal(error, 4)}" if math.isfinite(error) else "")


def _tested(run: RunData, name: str) -> float:
    value = run.test.get(name)
    return value if isinstance(value, int | float) else math.nan


def _accuracy(run: RunData) -> float:
    tested = _tested(run, "test_accuracy")
    return tested if math.isfinite(tested) else run.last("val_accuracy")


def _wins(run: RunData) -> float:
    """Return the win rate on test pairs, else on validation pairs."""
    return _accuracy(run)


def _share(value: float) -> str:
    return percent(value) if math.isfinite(value) else "–"


def _rounded(value: float) -> str:
    return decimal(value, 1) if value >= 100 else decimal(value, 2)
