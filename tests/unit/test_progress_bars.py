"""Bars with an end: validation reports how far it is, and `Tokenizer.train` knows the size of its text."""

import gzip

import pytest
from rich.console import Console

from bytemill.cli.tables import cells_of, put_tables
from bytemill.progress import PhaseProgress, counted, report, watched
from bytemill.tasks.pretrain import one_pass, pretrain_task
from bytemill.tokenizer.tokenizer import _known_bytes
from bytemill.train.loop import fit
from bytemill.train.run.folder import Run
from stand_ins import TinyModel, TinyStream, tiny_config


def test_the_first_validation_reports_its_end_before_it_begins(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(Run, "measuring", lambda _, *report: found.append(report))
    monkeypatch.setattr(Run, "log", lambda _, step, *rest: found.append(f"step {step}"))
    task = pretrain_task(TinyModel(), TinyStream(), validation=TinyStream(batch_size=3, n_samples=7))
    fit(task, tiny_config(max_steps=1, eval_every=1), tmp_path / "run", progress=False)
    assert found[:5] == [
        ("validation", 0, 7),
        ("validation", 3, 7),
        ("validation", 6, 7),
        ("validation", 7, 7),
        "step 0",
    ]


def test_a_limited_validation_ends_where_it_stops():
    found = []
    with watched(lambda *one: found.append(one)):
        list(one_pass(TinyStream(batch_size=3, n_samples=70), n_batches=2))
    assert found[-1] == ("validation", 6, 6)
    report("validation", 1, 2)  # nobody listens any more
    assert found[-1] == ("validation", 6, 6)


def test_listeners_are_nested_and_left():
    outer, inner = [], []
    with watched(lambda *one: outer.append(one)):
        with watched(lambda *one: inner.append(one)):
            list(counted("a", "x", 1))
        report("y", 1, 1)
    assert (inner, outer) == ([("x", 0, 1), ("x", 1, 1)], [("y", 1, 1)])


def test_the_size_of_text_files_is_the_end_of_the_bar(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a" * 10)
    (tmp_path / "b.jsonl").write_bytes(b"b" * 5)
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"c"))
    names = [str(tmp_path / name) for name in ("a.txt", "b.jsonl", "c.txt.gz")]
    assert _known_bytes(names[:2]) == 15
    assert _known_bytes(names) == _known_bytes([str(tmp_path)]) == _known_bytes([]) == 0


def test_a_bar_has_its_end_before_the_first_update(monkeypatch):
    monkeypatch.setattr(Console, "is_terminal", True)
    totals = {"counting": 100}
    with PhaseProgress({"counting": "bytes", "merging": "merges"}, shown=True, totals=totals) as bars:
        assert [(task.description, task.completed, task.total) for task in bars._bars.tasks] == [("counting", 0, 100)]
        bars.update("counting", 40, 0)
        bars.update("merging", 1, 9)
        found = {task.description: (task.completed, task.total) for task in bars._bars.tasks}
    assert found == {"counting": (100, 100), "merging": (1, 9)}


def test_markdown_stays_in_a_pipe_and_becomes_lines_on_a_terminal(capsys, monkeypatch):
    markdown = "Title\n| model | loss |\n| --- | ---: |\n| a \\| b<br>[bold] | 1.5 |\n| \x1b[31mred | 22.25 |\n\nEnd\n"
    put_tables(markdown)
    assert capsys.readouterr().out == markdown
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    put_tables(markdown)
    shown = capsys.readouterr().out
    assert "Title" in shown
    assert "End" in shown
    assert "---" not in shown
    assert "│ a | b " in shown
    assert "[bold]" in shown
    assert "│   1.5 │" in shown
    assert "\\x1b[31mred" in shown


@pytest.mark.parametrize(("line", "cells"), [("| a | |", ["a", ""]), (r"| x\|y | z |", ["x|y", "z"])])
def test_cells(line, cells):
    assert cells_of(line) == cells
