"""Verdicts: plain functions from the numbers of a result to the sentence that a page states about it.

Every claim of a page about its result is chosen here, so that no sentence contradicts the numbers below it.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

from bytemill.report.figures import count, decimal, percent

__all__ = [
    "classifier_verdict",
    "demo_verdict",
    "growth_verdict",
    "judge_verdict",
    "ladder_verdict",
    "language_model_verdict",
    "matrix_verdict",
    "preference_verdict",
    "ranking_verdict",
    "sweep_verdict",
    "tokenizers_verdict",
]

_SAME = 0.002
"""Two losses that differ by less than this fraction are called equal."""
_LN_2 = math.log(2)
_NEAR_LN_2 = 0.005


def language_model_verdict(
    losses: Sequence[float], validations: Sequence[tuple[float, float]], *, unit: str = "nats per token"
) -> str:
    """Return what training did to the loss.

    Args:
        losses: Training loss of each logged step.
        validations: (step, loss) of each validation, oldest first.
        unit: Unit of the loss.

    >>> print(language_model_verdict([6.0, 4.0], [(0, 6.2), (10, 4.1)]))
    The validation loss fell from 6.200 to 4.100 nats per token.
    """
    if (broken := _diverged(losses)) or (broken := _diverged([loss for _, loss in validations])):
        return broken
    finite = [(step, loss) for step, loss in validations if math.isfinite(loss)]
    if not finite:
        return _training_only([loss for loss in losses if math.isfinite(loss)], unit)
    if len(finite) == 1:
        return f"The validation loss is {decimal(finite[0][1], 3)} {unit}; there is no earlier one to compare with."
    (_, first), (_, last) = finite[0], finite[-1]
    best_step, best = min(finite, key=lambda one: one[1])
    change = f"from {decimal(first, 3)} to {decimal(last, 3)} {unit}"
    if best < last * (1 - _SAME) and best < first * (1 - _SAME):
        return (
            f"The validation loss was lowest at step {count(best_step)}: {decimal(best, 3)} {unit}. "
            f"It rose to {decimal(last, 3)} at the end: the model overfits."
        )
    if last > first * (1 + _SAME):
        return f"Training made the model worse: the validation loss rose {change}."
    if last > first * (1 - _SAME):
        return f"Training changed nothing: the validation loss went {change}."
    return f"The validation loss fell {change}."


def classifier_verdict(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    """Return how good a classifier is, compared with always answering the most frequent class.

    Args:
        labels: The classes.
        confusion: Counts; rows are true classes, columns predicted classes.

    >>> print(classifier_verdict(["ham", "spam"], [[95, 5], [7, 93]]))
    94 % of 200 test texts are classified correctly; always answering `ham` gives 50 %.
    """
    n_rows = sum(map(sum, confusion))
    if not n_rows:
        return "No test text was classified."
    accuracy = sum(confusion[i][i] for i in range(len(labels))) / n_rows
    sizes = [sum(row) for row in confusion]
    common = sizes.index(max(sizes))
    baseline = sizes[common] / n_rows
    given = [sum(row[i] for row in confusion) for i in range(len(labels))]
    figures = f"{_percent(accuracy)} of {count(n_rows)} test texts"
    if max(given) == n_rows and len(labels) > 1:
        always = labels[given.index(n_rows)]
        return f"The classifier always answers `{always}`, so it is right for {figures} and has learned nothing."
    error = math.sqrt(baseline * (1 - baseline) / n_rows)
    compared = f"always answering `{labels[common]}` gives {_percent(baseline)}"
    if accuracy <= baseline:
        return f"The classifier is no better than one answer for all: it is right for {figures}; {compared}."
    if accuracy < baseline + 2 * error:
        return f"{figures} are classified correctly; {compared}, which so few texts cannot tell apart."
    return f"{figures} are classified correctly; {compared}."


def preference_verdict(losses: Sequence[float], wins: float | None, n_pairs: int | None = None) -> str:
    """Return whether preference tuning made chosen answers more likely than rejected ones.

    Args:
        losses: Loss of each step or validation, oldest first.
        wins: Fraction of pairs not trained on whose chosen answer has the higher reward; None if not measured.
        n_pairs: Number of these pairs, if known.

    >>> print(preference_verdict([0.6931, 0.41], 0.81))
    The chosen answer has the higher reward in 81 % of the pairs that were not trained on; guessing gives 50 %.
    """
    if broken := _diverged(losses):
        return broken
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return "No loss was logged."
    if all(abs(loss - _LN_2) < _NEAR_LN_2 for loss in finite):
        return (
            "The loss never left ln 2 = 0.693, its value before tuning: the model has not learned which answers are "
            "preferred. Use a higher learning rate or more steps."
        )
    if wins is None or not math.isfinite(wins):
        direction = "fell" if finite[-1] < finite[0] else "did not fall"
        ends = f"from {decimal(finite[0], 3)} to {decimal(finite[-1], 3)}"
        return f"The loss {direction} {ends}; no other pairs were measured."
    share = f"in {_percent(wins)} of the pairs that were not trained on; guessing gives 50{_GAP}%"
    error = 0.5 / math.sqrt(n_pairs) if n_pairs else 0.0
    if wins <= 0.5 + 2 * error:
        return f"The model does not prefer the chosen answers clearly: they have the higher reward {share}."
    return f"The chosen answer has the higher reward {share}."


def sweep_verdict(
    groups: Mapping[str, Sequence[float]], *, n_runs: int, n_done: int, n_failed: int, unit: str = "validation loss"
) -> str:
    """Return which settings are best, if the runs can tell.

    Args:
        groups: Final losses of the runs by their settings; runs that differ only in the seed are repeats.
        n_runs: Number of planned runs.
        n_done: Number of finished runs.
        n_failed: Number of failed runs.
        unit: What the losses are.

    >>> print(sweep_verdict({"r=4": [2.5, 2.54], "r=8": [2.1, 2.12]}, n_runs=4, n_done=4, n_failed=0))
    `r=8` is best: 2.1100 validation loss, 0.4100 below the next. Repeats with other seeds spread by 0.04.
    """
    state = "" if n_done == n_runs else f" {n_done} of {n_runs} runs are done" + (
        f", {n_failed} failed." if n_failed else "."
    )  # fmt: skip
    means = {
        name: sum(finite) / len(finite)
        for name, values in groups.items()
        if (finite := [value for value in values if math.isfinite(value)])
    }
    if not means:
        return f"No run has a {unit} yet.{state}"
    ranked = sorted(means, key=lambda name: means[name])
    best = f"`{ranked[0]}`"
    if len(ranked) == 1 and len(values := [one for one in groups[ranked[0]] if math.isfinite(one)]) > 1:
        spread = decimal(max(values) - min(values), 4)
        mean = decimal(means[ranked[0]], 4)
        return f"The {len(values)} repeats end with a mean {unit} of {mean}; they spread by {spread}.{state}"
    if len(ranked) == 1:
        others = "there is nothing to compare" if len(groups) == 1 else "the others have none yet"
        return f"{best} ends with a {unit} of {decimal(means[ranked[0]], 4)}; {others}.{state}"
    gap = means[ranked[1]] - means[ranked[0]]
    spreads = [max(values) - min(values) for values in groups.values() if len(values) > 1]
    spreads = [spread for spread in spreads if math.isfinite(spread)]
    if spreads and gap <= max(spreads):
        return (
            f"There is no clear best: {best} ({decimal(means[ranked[0]], 4)}) and `{ranked[1]}` differ by "
            f"{decimal(gap, 4)}, and repeats with other seeds spread by {decimal(max(spreads), 4)}.{state}"
        )
    if gap == 0:
        return f"{best} and `{ranked[1]}` have the same {unit}: {decimal(means[ranked[0]], 4)}.{state}"
    repeats = (
        f"Repeats with other seeds spread by {max(spreads):.2g}."
        if spreads
        else "No settings were repeated with another seed, so small differences may be chance."
    )
    return f"{best} is best: {decimal(means[ranked[0]], 4)} {unit}, {decimal(gap, 4)} below the next. {repeats}{state}"


def ranking_verdict(values: Mapping[str, float], name: str, *, lower_is_better: bool) -> str:
    """Return which of several runs ended best.

    >>> print(ranking_verdict({"a": 2.5, "b": 2.1}, "validation loss", lower_is_better=True))
    `b` ends with the lowest validation loss: 2.1000, 0.4000 below `a`.
    """
    finite = {run: value for run, value in values.items() if math.isfinite(value)}
    if not finite:
        return f"No run has a {name} that is a finite number."
    ranked = sorted(finite, key=lambda run: finite[run], reverse=not lower_is_better)
    missing = len(values) - len(finite)
    others = f" {missing} of {len(values)} runs have none." if missing else ""
    best, side = ranked[0], "below" if lower_is_better else "above"
    if len(ranked) == 1:
        return f"Only `{best}` has a {name}: {decimal(finite[best], 4)}.{others}"
    gap = abs(finite[ranked[1]] - finite[best])
    if gap <= _SAME * abs(finite[best]):
        return f"`{best}` and `{ranked[1]}` end with practically the same {name}: {decimal(finite[best], 4)}.{others}"
    extreme = "lowest" if lower_is_better else "highest"
    return (
        f"`{best}` ends with the {extreme} {name}: {decimal(finite[best], 4)}, {decimal(gap, 4)} {side} "
        f"`{ranked[1]}`.{others}"
    )


def matrix_verdict(data_sets: Sequence[str], losses: Mapping[str, Sequence[float]]) -> str:
    """Return which model has the lowest loss on which data set.

    >>> print(matrix_verdict(["imdb", "alpaca"], {"base": [3.8, 4.6], "tuned": [4.8, 2.1]}))
    Lowest loss: `base` on imdb; `tuned` on alpaca.
    """
    if not losses or not data_sets:
        return "No loss was measured."
    if len(losses) == 1:
        return f"One model, `{next(iter(losses))}`, so there is nothing to compare."
    best: dict[str, list[str]] = {}
    for i, name in enumerate(data_sets):
        finite = {model: values[i] for model, values in losses.items() if math.isfinite(values[i])}
        if finite:
            best.setdefault(min(finite, key=lambda model: finite[model]), []).append(name)
    if not best:
        return "No loss is a finite number."
    if len(best) == 1 and len(data_sets) > 1:
        return f"`{next(iter(best))}` has the lowest loss on all {len(data_sets)} data sets."
    return "Lowest loss: " + "; ".join(f"`{model}` on {', '.join(names)}" for model, names in best.items()) + "."


def judge_verdict(rubric: str, judge: str, means: Mapping[str, float | None], n_scored: Mapping[str, int]) -> str:
    """Return whose answers the judge prefers; also that it gave no scores, or only zeros.

    >>> print(judge_verdict("quality", "llama3", {"base": 12.0, "tuned": 55.0}, {"base": 10, "tuned": 10}))
    `llama3` gives `tuned` the highest mean quality: 55.0 of 100 points, 43.0 more than `base`.
    """
    known = {name: mean for name, mean in means.items() if mean is not None and n_scored[name]}
    if not known:
        return f"There are no scores: `{judge}` gave none. Check that its server runs, then call the command again."
    if not any(known.values()):
        return f"`{judge}` gave 0 points to every answer. Read its replies before you trust them."
    unscored = [name for name in means if name not in known]
    missing = f" {', '.join(f'`{name}`' for name in unscored)} has no scores." if unscored else ""
    ranked = sorted(known, key=lambda name: known[name], reverse=True)
    first = f"{decimal(known[ranked[0]], 1)} of 100 points"
    if len(ranked) == 1:
        return f"`{judge}` gives `{ranked[0]}` a mean {rubric} of {first}.{missing}"
    gap = known[ranked[0]] - known[ranked[1]]
    if gap < 0.05:
        return f"`{judge}` gives `{ranked[0]}` and `{ranked[1]}` the same mean {rubric}: {first}.{missing}"
    return (
        f"`{judge}` gives `{ranked[0]}` the highest mean {rubric}: {first}, {decimal(gap, 1)} more than "
        f"`{ranked[1]}`.{missing}"
    )


def ladder_verdict(names: Sequence[str], speeds: Sequence[float]) -> str:
    """Return which rung is fastest.

    >>> print(ladder_verdict(["fp32", "bf16"], [100.0, 240.0]))
    `bf16` is the fastest rung: 2.40 times as fast as fp32.
    """
    if not names:
        return "No rung could be measured on this machine."
    best = max(range(len(names)), key=lambda i: speeds[i])
    if len(names) == 1:
        return f"Only {names[0]} could be measured on this machine."
    if best == 0:
        return f"No rung is faster than {names[0]} on this machine."
    return f"`{names[best]}` is the fastest rung: {decimal(speeds[best] / speeds[0])} times as fast as {names[0]}."


def growth_verdict(points: Sequence[tuple[float, float]]) -> str:
    """Return how bytes per token grow with the vocabulary.

    >>> print(growth_verdict([(256, 1.0), (512, 1.6), (1024, 2.0)]))
    Each doubling of the vocabulary adds less: 0.60 bytes per token at first, 0.40 at last.
    >>> print(growth_verdict([(256, 1.0), (512, 1.004), (1024, 1.005)]))
    A larger vocabulary hardly helps on this text: 1.00 bytes per token with 256 ids, 1.00 with 1,024.
    """
    if len(points) < 2:
        return "There is only one size, so there is no growth to see."
    (first_size, first), (last_size, last) = points[0], points[-1]
    if last < first * 1.02:
        ends = f"{decimal(first)} bytes per token with {count(first_size)} ids, {decimal(last)} with {count(last_size)}"
        return f"A larger vocabulary hardly helps on this text: {ends}."
    gains = [
        (after - before) / math.log2(larger / smaller)
        for (smaller, before), (larger, after) in itertools.pairwise(points)
        if larger > smaller
    ]
    if len(gains) < 2:
        sizes = f"From {count(first_size)} to {count(last_size)} ids"
        return f"{sizes}, bytes per token grow from {decimal(first)} to {decimal(last)}."
    ends = f"{decimal(gains[0])} bytes per token at first, {decimal(gains[-1])} at last"
    if all(later <= earlier for earlier, later in itertools.pairwise(gains)):
        return f"Each doubling of the vocabulary adds less: {ends}."
    if gains[-1] < gains[0]:
        return f"Doublings of the vocabulary add less in the end, but not at every size: {ends}."
    return f"The gain of a doubling does not fall up to {count(last_size)} ids: {ends}."


def tokenizers_verdict(text: str, n_tokens: Mapping[str, int]) -> str:
    """Return which tokenizer needs the fewest tokens for a text.

    >>> print(tokenizers_verdict("book.txt", {"gpt2": 248, "ours": 158}))
    On book.txt, `ours` needs the fewest tokens: 158, which is 64 % of what `gpt2` needs (248).
    """
    ranked = sorted(n_tokens, key=lambda name: n_tokens[name])
    if len(ranked) == 1:
        return f"{text} is {count(n_tokens[ranked[0]])} tokens with `{ranked[0]}`."
    fewest, most = n_tokens[ranked[0]], n_tokens[ranked[-1]]
    if fewest == most:
        return f"On {text}, all {len(ranked)} tokenizers need {count(fewest)} tokens."
    return (
        f"On {text}, `{ranked[0]}` needs the fewest tokens: {count(fewest)}, which is {percent(fewest / most)} of what "
        f"`{ranked[-1]}` needs ({count(most)})."
    )


def demo_verdict(ratio: float, missed: str | None, base_loss: float, tuned_loss: float) -> str:
    """Return what the demo's model learned.

    Args:
        ratio: Validation loss divided by the entropy of token frequencies.
        missed: Why the ratio is above the aim; None if it is not.
        base_loss: Loss on unseen questions before tuning.
        tuned_loss: The same after tuning.

    >>> print(demo_verdict(0.6, None, 3.0, 2.0))
    The loss on unseen text is 60 % of what token frequencies give; tuning lowered that on unseen questions by 33 %.
    """
    if not math.isfinite(ratio):
        return "The model did not learn: its loss on unseen text is not a finite number."
    if ratio >= 1:
        return f"The model learned nothing useful; counting token frequencies predicts better. The reason: {missed}."
    if missed:
        return f"The model did not learn enough: {missed}."
    learned = f"The loss on unseen text is {percent(ratio)} of what token frequencies give"
    change = 1 - tuned_loss / base_loss
    if not change > 0:
        return f"{learned}. Tuning with LoRA did not lower the loss on unseen questions."
    return f"{learned}; tuning lowered that on unseen questions by {percent(change)}."


_GAP = "\N{NO-BREAK SPACE}"


def _percent(share: float) -> str:
    """Return a share as a percentage that is 100 or 0 only if it is exact."""
    rounded = min(99, max(1, round(100 * share))) if 0 < share < 1 else round(100 * share)
    return f"{rounded}{_GAP}%"


def _diverged(losses: Sequence[float]) -> str:
    """Return that a loss became NaN or infinite, at which of the logged values; "" if none did."""
    broken = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if broken is None:
        return ""
    if not any(map(math.isfinite, losses)):
        return "Training failed: no logged loss is a finite number. Use a lower learning rate."
    return (
        f"Training diverged: the loss became NaN or infinite after {count(broken)} logged values. "
        "Use a lower learning rate."
    )


def _training_only(losses: Sequence[float], unit: str) -> str:
    if not losses:
        return "No loss was logged."
    unknown = "there is no validation loss, so it is unknown how the model does on other text"
    if len(losses) == 1:
        return f"One training loss was logged, {decimal(losses[0], 3)} {unit}; {unknown}."
    verb = "fell" if losses[-1] < losses[0] * (1 - _SAME) else "did not fall: it went"
    return f"The training loss {verb} from {decimal(losses[0], 3)} to {decimal(losses[-1], 3)} {unit}; {unknown}."
