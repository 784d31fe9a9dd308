"""What objects show in a notebook: escaped text, inline styles only, and pages in a frame of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import html5lib
import pytest

from bytemill import Tokenizer
from bytemill.data import prepare
from bytemill.errors import ArgumentError, DataError
from bytemill.notebook.fragments import coloured, facts, framed
from bytemill.report import show
from bytemill.report.page import Page
from bytemill.train.loop import Outcome
from bytemill.train.machine.facts import command_line
from sample_pages import HOSTILE, write_run

TEXT = "the cat sat on the mat. " * 20


def elements(html: str) -> list[Any]:
    """Return the elements of a fragment, as a browser reads it."""
    return list(html5lib.parseFragment(html, namespaceHTMLElements=False).iter())


def shown(html: str) -> str:
    """Return the text of a fragment; check that it has only the elements that we write, without a style sheet."""
    found = elements(html)
    names = {one.tag for one in found if isinstance(one.tag, str)}
    assert names <= {"DOCUMENT_FRAGMENT", "div", "span", "strong", "table", "tbody", "tr", "th", "td", "br"}
    assert all(name in ("style", "scope") for one in found for name in one.attrib)
    return "".join(found[0].itertext())


def test_tokens_are_coloured_with_their_ids() -> None:
    tokens = Tokenizer.train(texts=[TEXT], vocab_size=262).show("the <b>\n")
    assert repr(tokens) == "the| |<|b|>|\\n\n6 tokens, 8 bytes: 1.33 bytes per token"
    html = tokens._repr_html_()
    assert "&lt;" in html
    assert html.count("background-color") == 6
    assert shown(html).endswith("6 tokens, 8 bytes: 1.33 bytes per token")


def test_special_tokens_have_a_colour_of_their_own() -> None:
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=262)
    assert len(tokenizer.show("<|endoftext|>").pieces) > 1
    (piece,) = tokenizer.show("<|endoftext|>", special=True).pieces
    assert piece.is_special
    assert "#f6c4c4" in tokenizer.show("<|endoftext|>", special=True)._repr_html_()


@pytest.mark.parametrize("n_tokens", [0, 1, 2_000, 2_001])
def test_a_long_text_is_cut(n_tokens: int) -> None:
    tokens = Tokenizer.train(texts=["ab"], vocab_size=257, special_tokens=()).show("x" * n_tokens)
    assert tokens._repr_html_().count("background-color") == min(n_tokens, 2_000)
    assert ("the first 2,000 are shown" in repr(tokens)) == (n_tokens > 2_000)


def test_show_wants_a_text() -> None:
    with pytest.raises(ArgumentError, match="text is 3"):
        Tokenizer.train(texts=["ab"], vocab_size=257, special_tokens=()).show(3)  # type: ignore[arg-type]


def test_hostile_text_is_escaped_in_tokens() -> None:
    tokenizer = Tokenizer.train(texts=["<script>" * 5], vocab_size=265, special_tokens=[HOSTILE])
    shows = (tokenizer, tokenizer.show(HOSTILE), tokenizer.show(HOSTILE, special=True))
    for html in (one._repr_html_() for one in shows):
        assert "<script" not in html
        assert "\x1b" not in html
        assert "script" in shown(html)


def test_a_tokenizer_shows_its_size_and_merges() -> None:
    text = shown(Tokenizer.train(texts=[TEXT], vocab_size=262)._repr_html_())
    for part in ("ids262", "merges5", "<|endoftext|> (261)", "The first merges"):
        assert part in text
    assert "The last merges" not in text
    without = Tokenizer.train(texts=[TEXT], vocab_size=256, special_tokens=(), pattern=None)
    assert "patternnone: the text is not split" in shown(without._repr_html_())


def test_shards_show_their_splits(tmp_path: Path) -> None:
    folder = tmp_path / "<b>"
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"{TEXT}{i}"}) + "\n" for i in range(20)))
    tokenizer = Tokenizer.train(files=[rows], vocab_size=262)
    text = shown(prepare(rows, folder, tokenizer=tokenizer, val=0.1)._repr_html_())
    assert "<b>" in text
    assert "of 18 documents in 1 shards" in text
    assert "of 2 documents in 1 shards" in text
    without = shown(prepare(rows, tmp_path / "all", tokenizer=tokenizer, val=0)._repr_html_())
    assert "validation" not in without


def test_the_outcome_of_a_run_says_how_to_see_its_curves() -> None:
    text = shown(Outcome(3, {"loss": 1.5, "val_loss": 2.0, "lr": 0.1}, folder=Path("runs/<b>"))._repr_html_())
    assert text.startswith("Run in runs/<b>steps3loss1.5000validation loss2.0000")
    assert text.endswith("bytemill.report.show('runs/<b>') shows its curves and samples.")
    assert "stopped by train.max_seconds" in shown(Outcome(3, {}, is_complete=False)._repr_html_())


def test_facts_and_tokens_escape() -> None:
    assert HOSTILE not in facts(HOSTILE, {HOSTILE: HOSTILE}, HOSTILE)
    assert "script" in shown(facts(HOSTILE, {HOSTILE: HOSTILE}, HOSTILE))
    assert "script" in shown(coloured([(HOSTILE, 1, False)], HOSTILE))


def test_a_page_is_in_a_frame_of_its_own() -> None:
    page = Page(HOSTILE, f"{HOSTILE} & more", ())
    _, frame = elements(page._repr_html_())
    assert frame.tag == "iframe"
    assert frame.attrib["sandbox"] == "allow-scripts"
    assert frame.attrib["srcdoc"].replace('<base href="about:srcdoc">', "") == page.html()
    assert frame.attrib["title"].startswith("<script>")
    assert frame.attrib == elements(framed(page.html(), page.title))[1].attrib
    assert repr(Page("A", "It works.", ())) == "<page 'A': It works.>"


def test_show_returns_the_page_of_the_command(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / part / "run", n_steps=8, rate=1.0) for part in ("a", "b")]
    page = show(*runs, title=HOSTILE)
    html = page.html()
    assert page.title == HOSTILE
    assert "<svg" in html
    assert all(str(run) in html for run in runs)


def test_show_refuses_what_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no place was given"):
        show()
    with pytest.raises(DataError, match="does not exist"):
        show(tmp_path / "nowhere")


def test_matplotlib_is_imported_without_a_backend_that_does_not_exist() -> None:
    """As in a program that a notebook starts, if the program is from another environment than the notebook."""
    probe = """
import os
from bytemill.report.charts import Bars
from bytemill.report.drawing import inline_svg
assert "<svg" in inline_svg(Bars(("a",), (1.0,), "one", "{:.0f}", "x"), "plot", "wide")
print(os.environ["MPLBACKEND"])
"""
    environment = os.environ | {"MPLBACKEND": "module://no_such_package.backend_inline"}
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("module://no_such_package.backend_inline\n", "")


@pytest.mark.parametrize("program", ["ipykernel_launcher.py", "/usr/lib/colab_kernel_launcher.py", ""])
def test_the_command_of_a_kernel_is_not_that_of_a_run(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program, "-f", "kernel.json"])
    assert command_line() == []
    monkeypatch.setattr(sys, "argv", ["/usr/bin/bytemill", "train"])
    assert command_line() == ["bytemill", "train"]
