"""What the page of runs tells beside its curves: settings that differ, changes on the way, machines, samples."""

import json
from pathlib import Path

import pytest

from bytemill.errors import ArgumentError, DataError
from bytemill.report.figures import count
from bytemill.report.run import run_page
from console_blocks import call_bytemill
from page_reader import Reader
from sample_pages import write_run


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs")
    runs = [write_run(folder / name, n_steps=8, rate=rate) for name, rate in (("slow", 0.5), ("fast", 1.0))]
    environment = json.loads((runs[1] / "environment.json").read_text())
    (runs[1] / "environment.json").write_text(json.dumps(environment | {"git_commit": "0123456789abcdef" * 3}))
    return Reader(run_page(runs).html()).text.replace("\N{NO-BREAK SPACE}", " ")


def test_hellaswag_is_told_with_its_error_and_beside_others(text: str) -> None:
    assert "0.2600 ± 0.0100" in text
    assert all(name in text for name in ("guessing", "GPT-2 124M", "GPT-3 124M"))


def test_only_settings_that_differ_are_tabled(text: str) -> None:
    table = text[text.index("Settings that differ") : text.index("All settings of slow")]
    assert "train.learning_rate" in table
    assert "train.seed" not in table


def test_settings_changed_on_the_way_are_told(text: str) -> None:
    assert "Settings changed on resume" in text


def test_what_machines_share_is_told_once(text: str) -> None:
    same, differing = text.split("Machine and versions, the same for all runs")[1].split("Differences")
    assert same.count("8.0 GB") == 1
    assert "0123456789ab…" in differing


def test_quantities_that_the_page_does_not_know_are_drawn_too(text: str) -> None:
    assert "The metric margin of the run." in text


def test_samples_of_one_prompt_stand_side_by_side(text: str) -> None:
    assert text.index("slow, step 40") < text.index("fast, step 40") < text.index("Earlier samples of slow")


def test_one_run_is_set_beside_the_defaults(tmp_path: Path) -> None:
    text = Reader(run_page(write_run(tmp_path / "one", n_steps=8, rate=1.0)).html()).text
    table = text[text.index("Settings that are not the default") : text.index("All settings of one")]
    assert "train.learning_rate" in table
    assert "0.0006" in table
    assert "train.seed" not in table


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ('{"step": 1e400, "loss": 1}', "step"),
        ('{"step": NaN, "loss": 1}', "step"),
        ('{"step": 18446744073709551616}', "step"),
        ('{"step": 1, "loss": -18446744073709551616}', "loss"),
        ('{"step": 1, "\\u001b": 1' + "0" * 400 + "}", r"\x1b"),
    ],
)
def test_a_number_that_no_plot_holds_is_refused_by_its_line(tmp_path: Path, row: str, name: str) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1}\n' + row + "\n")
    with pytest.raises(DataError) as failed:
        run_page(tmp_path)
    assert str(failed.value) == f"{tmp_path}/metrics.jsonl, line 2: {name} is not a number that fits in 64 bits"


def test_the_largest_numbers_are_drawn(tmp_path: Path) -> None:
    largest = 2**64 - 1
    rows = [{"step": 1, "loss": 1}, {"step": largest, "loss": largest}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert count(largest) in Reader(run_page(tmp_path).html()).text


def test_the_command_names_runs_as_eval_names_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a/run", "b/run"):
        write_run(tmp_path / folder, n_steps=4, rate=1.0)
    page = tmp_path / "page.html"
    runs = [f"AdamW={tmp_path}/a/run", f"{tmp_path}/b/run"]
    assert call_bytemill(["report", *runs, "-o", str(page)]) == 0
    text = Reader(page.read_text(encoding="utf-8")).text
    assert "AdamW, step 4" in text
    assert "All settings of AdamW" in text
    assert "All settings of run" in text
    assert call_bytemill(["report", runs[0]]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{tmp_path}/a/run/report.html"
    assert call_bytemill(["report", runs[1], runs[1]]) == 2
    assert "have the same name; give one as NAME=PLACE" in capsys.readouterr().err


def lines_of(n_steps: int) -> str:
    first = {"step": 0, "val_loss": 5.0, "val_loss/other": 6.0, "val_perplexity/other": 403.4}
    rows = [
        {"step": n, "loss": 5.0 - n / 10, "grad_max": 0.5, "tokens": n * 64, "epoch": n / 4}
        for n in range(1, n_steps + 1)
    ]
    return "".join(json.dumps(row) + "\n" for row in [first, *rows])


@pytest.mark.parametrize(
    ("x", "label", "end"),
    [
        ("steps", "training step", "to 4.000 at step 10"),
        ("tokens", "tokens read", "to 4.000 at token 640"),
        ("epochs", "epochs", "to 4.000 at epoch 2.50"),
    ],
)
def test_curves_run_over_steps_tokens_or_epochs(tmp_path: Path, x: str, label: str, end: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(lines_of(10))
    html = run_page(tmp_path, x=x).html()
    assert f">{label}</text>" in html
    assert end in html.replace("\N{NO-BREAK SPACE}", " ")
    assert "Largest gradient entry" in html


def test_a_further_validation_set_has_its_curve(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(lines_of(3))
    text = Reader(run_page(tmp_path).html()).text
    assert "Validation loss: other" in text
    assert "Val perplexity" not in text


def test_an_axis_that_a_run_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0, "tokens": 5}\n')
    with pytest.raises(DataError, match=r"has no epoch, which --x epochs needs; use --x steps"):
        run_page(tmp_path, x="epochs")
    with pytest.raises(ArgumentError, match="x is 'hours', expected one of steps, tokens, epochs"):
        run_page(tmp_path, x="hours")
