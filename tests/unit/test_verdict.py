"""Every sentence that claims a result is chosen by its numbers, also by numbers that contradict the usual sentence."""

import math

import pytest

from bytemill.experiment.demo.results import AIM
from bytemill.report.verdict import (
    classifier_verdict,
    demo_verdict,
    growth_verdict,
    judge_verdict,
    ladder_verdict,
    language_model_verdict,
    matrix_verdict,
    preference_verdict,
    ranking_verdict,
    sweep_verdict,
    tokenizers_verdict,
)

NAN = math.nan
GAP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("losses", "validations", "words"),
    [
        ([6.0, 4.0], [(0, 6.2), (10, 4.1)], "fell from 6.200 to 4.100"),
        ([4.0, 3.0], [(0, 4.0), (10, 4.2)], "made the model worse: the validation loss rose from 4.000 to 4.200"),
        ([4.0, 3.9], [(0, 4.0), (10, 4.001)], "changed nothing"),
        ([4.0, 1.0], [(0, 4.0), (10, 2.0), (20, 3.0)], "lowest at step 10: 2.000 nats per token. It rose to 3.000"),
        ([4.0, NAN], [(0, 4.0)], "diverged: the loss became NaN or infinite after 1 logged values"),
        ([NAN, math.inf], [], "no logged loss is a finite number"),
        ([2.0, 1.0], [(0, 3.0), (5, NAN)], "diverged"),
        ([3.0, 2.0], [], "fell from 3.000 to 2.000 nats per token; there is no validation loss"),
        ([3.0, 3.5], [], "did not fall"),
        ([3.0], [], "One training loss was logged, 3.000"),
        ([], [], "No loss was logged."),
        ([], [(0, 5.0)], "no earlier one to compare with"),
    ],
)
def test_language_models(losses: list[float], validations: list[tuple[float, float]], words: str) -> None:
    assert words in language_model_verdict(losses, validations)


@pytest.mark.parametrize(
    ("confusion", "words"),
    [
        ([[95, 5], [7, 93]], f"94{GAP}% of 200 test texts are classified correctly"),
        ([[100, 0], [100, 0]], f"always answers `ham`, so it is right for 50{GAP}% of 200"),
        ([[0, 100], [0, 30]], f"always answers `spam`, so it is right for 23{GAP}% of 130"),
        ([[40, 60], [60, 40]], "no better than one answer for all"),
        ([[53, 47], [46, 54]], "which so few texts cannot tell apart"),
        ([[1999, 1], [0, 2000]], f"99{GAP}% of 4,000"),
        ([[0, 0], [0, 0]], "No test text was classified."),
    ],
)
def test_classifiers(confusion: list[list[int]], words: str) -> None:
    assert words in classifier_verdict(["ham", "spam"], confusion)


@pytest.mark.parametrize(
    ("losses", "wins", "words"),
    [
        ([0.6931, 0.41], 0.81, f"higher reward in 81{GAP}%"),
        ([0.6931, 0.6930, 0.6935], 0.9, "never left ln 2"),
        ([0.6931, 0.5], 0.5, "does not prefer the chosen answers clearly"),
        ([0.6931, 0.5], 0.3, "does not prefer"),
        ([0.6931, 0.8], None, "did not fall"),
        ([NAN, NAN], 0.9, "no logged loss is a finite number"),
        ([], None, "No loss was logged."),
    ],
)
def test_preferences(losses: list[float], wins: float | None, words: str) -> None:
    assert words in preference_verdict(losses, wins)


def test_preferences_of_few_pairs_are_not_clear() -> None:
    assert "does not prefer" in preference_verdict([0.6931, 0.4], 0.6, 20)
    assert "does not prefer" not in preference_verdict([0.6931, 0.4], 0.6, 2_000)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"r=4": [2.5], "r=8": [2.1]}, "`r=8` is best: 2.1000 validation loss, 0.4000 below the next. No settings"),
        ({"r=4": [2.5, 2.1], "r=8": [2.2, 2.3]}, "There is no clear best: `r=8`"),
        ({"r=4": [2.5, 2.51], "r=8": [2.2, 2.21]}, "`r=8` is best"),
        ({"r=4": [2.5], "r=8": [2.5]}, "`r=4` and `r=8` have the same validation loss"),
        ({"r=4": [NAN], "r=8": [NAN]}, "No run has a validation loss yet."),
        ({"r=4": [NAN], "r=8": [2.0]}, "`r=8` ends with a validation loss of 2.0000; the others have none yet."),
        ({"all runs": [2.0, 2.2]}, "The 2 repeats end with a mean validation loss of 2.1000; they spread by 0.2000."),
        ({}, "No run has a validation loss yet."),
    ],
)
def test_sweeps(groups: dict[str, list[float]], words: str) -> None:
    n_runs = sum(map(len, groups.values()))
    assert words in sweep_verdict(groups, n_runs=n_runs, n_done=n_runs, n_failed=0)


def test_an_unfinished_sweep_says_so() -> None:
    assert "2 of 5 runs are done, 1 failed." in sweep_verdict({"a": [1.0], "b": [2.0]}, n_runs=5, n_done=2, n_failed=1)


@pytest.mark.parametrize(
    ("values", "lower", "words"),
    [
        ({"a": 2.5, "b": 2.1}, True, "`b` ends with the lowest loss: 2.1000, 0.4000 below `a`."),
        ({"a": 0.9, "b": 0.5}, False, "`a` ends with the highest loss: 0.9000, 0.4000 above `b`."),
        ({"a": 2.1, "b": 2.1001}, True, "practically the same loss"),
        ({"a": NAN, "b": 2.0}, True, "Only `b` has a loss: 2.0000. 1 of 2 runs have none."),
        ({"a": NAN}, True, "No run has a loss that is a finite number."),
    ],
)
def test_rankings(values: dict[str, float], lower: bool, words: str) -> None:
    assert words in ranking_verdict(values, "loss", lower_is_better=lower)


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ({"base": [3.8, 4.6], "tuned": [4.8, 2.1]}, "Lowest loss: `base` on imdb; `tuned` on alpaca."),
        ({"base": [3.8, 4.6], "tuned": [3.0, 2.1]}, "`tuned` has the lowest loss on all 2 data sets."),
        ({"base": [NAN, 4.6], "tuned": [3.0, NAN]}, "Lowest loss: `tuned` on imdb; `base` on alpaca."),
        ({"base": [NAN, NAN], "tuned": [NAN, NAN]}, "No loss is a finite number."),
        ({"base": [3.8, 4.6]}, "nothing to compare"),
        ({}, "No loss was measured."),
    ],
)
def test_matrices(losses: dict[str, list[float]], words: str) -> None:
    assert words in matrix_verdict(["imdb", "alpaca"], losses)


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ({"a": 12.0, "b": 55.0}, "`b` the highest mean quality: 55.0 of 100 points, 43.0 more than `a`."),
        ({"a": 0.0, "b": 0.0}, "gave 0 points to every answer"),
        ({"a": None, "b": None}, "There are no scores"),
        ({"a": None, "b": 5.0}, "`b` a mean quality of 5.0 of 100 points. `a` has no scores."),
        ({"a": 50.0, "b": 50.01}, "the same mean quality"),
    ],
)
def test_judges(means: dict[str, float | None], words: str) -> None:
    found = judge_verdict("quality", "llama3", means, {name: int(mean is not None) for name, mean in means.items()})
    assert words in found
    assert ("highest" in found) == ("highest" in words)


@pytest.mark.parametrize(
    ("speeds", "words"),
    [
        ([100.0, 240.0], "`two` is the fastest rung: 2.40 times as fast as one."),
        ([100.0, 90.0], "No rung is faster than one"),
        ([100.0], "Only one could be measured"),
        ([], "No rung could be measured"),
    ],
)
def test_ladders(speeds: list[float], words: str) -> None:
    assert words in ladder_verdict(["one", "two"][: len(speeds)], speeds)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(256, 1.0), (512, 1.6), (1024, 2.0)], "Each doubling of the vocabulary adds less: 0.60"),
        ([(256, 1.0), (512, 1.0), (1024, 1.0)], "hardly helps on this text"),
        ([(256, 2.0), (512, 1.5), (1024, 1.0)], "hardly helps on this text"),
        ([(256, 1.0), (512, 1.2), (1024, 1.6)], "does not fall up to 1,024 ids"),
        ([(256, 1.0), (512, 1.5), (1024, 2.2), (2048, 2.3)], "but not at every size"),
        ([(256, 1.0), (512, 1.5)], "grow from 1.00 to 1.50"),
        ([(256, 1.0)], "only one size"),
        ([], "only one size"),
    ],
)
def test_growth(points: list[tuple[int, float]], words: str) -> None:
    found = growth_verdict(points)
    assert words in found
    assert ("adds less" in found) == ("adds less" in words)


@pytest.mark.parametrize(
    ("n_tokens", "words"),
    [
        ({"gpt2": 248, "ours": 158}, "`ours` needs the fewest tokens: 158"),
        ({"gpt2": 158, "ours": 158}, "all 2 tokenizers need 158 tokens"),
        ({"gpt2": 0, "ours": 0}, "all 2 tokenizers need 0 tokens"),
        ({"ours": 158}, "book is 158 tokens with `ours`."),
    ],
)
def test_tokenizers(n_tokens: dict[str, int], words: str) -> None:
    assert words in tokenizers_verdict("book", n_tokens)


@pytest.mark.parametrize(
    ("ratio", "missed", "tuned", "words"),
    [
        (0.6, None, 2.0, f"is 60{GAP}% of what token frequencies give; tuning lowered that on unseen questions by 33"),
        (1.1, "it saw few tokens", 2.0, "counting token frequencies predicts better. The reason: it saw few tokens."),
        (0.9, f"above {AIM}", 2.0, "did not learn enough"),
        (0.6, None, 3.5, "Tuning with LoRA did not lower"),
        (0.6, None, NAN, "Tuning with LoRA did not lower"),
        (NAN, None, 2.0, "not a finite number"),
    ],
)
def test_demos(ratio: float, missed: str | None, tuned: float, words: str) -> None:
    assert words in demo_verdict(ratio, missed, 3.0, tuned)
