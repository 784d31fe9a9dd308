"""`bytemill report` joins runs, sweeps and pages into one page, as HTML or Markdown, and writes plots as files."""

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest

from bytemill.errors import DataError
from bytemill.experiment.sweep.plan import PlannedRun, write_plan
from bytemill.report.blocks import Code, Details, Plot, Prose, Table
from bytemill.report.charts import Bars, Curves, Line
from bytemill.report.document import document
from bytemill.report.figure_files import write_figures
from bytemill.report.markdown import page_markdown
from bytemill.report.page import Page, Section, plots_of, write_page
from bytemill.report.read_page import read_page
from bytemill.report.record import record_of
from bytemill.report.run import run_page
from bytemill.report.translation import in_chinese
from bytemill.train.config import RunConfig, dump_toml
from console_blocks import call_bytemill
from page_reader import Reader
from sample_pages import HOSTILE, KINDS, pages, write_classifier, write_preference, write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    return pages(tmp_path_factory.mktemp("pages"))


def small_page(title: str, *, provenance: str = "") -> Page:
    chart = Curves((Line("a", [0, 1, 2], [3.0, math.nan, 1.0]),), "step", "loss", f"A fall in {title}.", whole_x=True)
    bars = Bars(("one", HOSTILE), (1.0, 2.0), "two bars")
    blocks = (Prose("`code` & <b>"), Plot("Loss", chart, "It falls."), Details("More", (Plot("Bars", bars, "Two."),)))
    machine = Section("Environment", (Code("a secret machine"),), is_about_machine=True)
    return Page(title, "It fell.", (Section("Part", blocks), machine), provenance=provenance)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "document"])
def test_each_page_can_be_read_back(made: dict[str, Page], kind: str, tmp_path: Path) -> None:
    again = read_page(write_page(made[kind], tmp_path / "page.html"))
    assert record_of(again) == record_of(made[kind])


def test_a_page_that_was_read_back_is_drawn_as_before(made: dict[str, Page], tmp_path: Path) -> None:
    path = write_page(made["classifier"], tmp_path / "page.html")
    assert read_page(path).html() == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('id="record"', 'id="other"'), "expected a page of bytemill, the folder of a run"),
        (lambda text: text.replace('"bytemill_page":1', '"bytemill_page":9'), "of another version of bytemill"),
        (lambda text: text.replace('"verdict":"It fell."', '"verdict":7'), "damaged at verdict: Input should be"),
        (lambda text: text.replace('"kind":"prose"', '"kind":"odd"'), r"damaged at sections\.0\.blocks"),
        (lambda text: text.replace('"page":{', '"page":[{'), "not JSON in UTF-8"),
        (lambda text: text.replace('"x":[0,1,2]', '"x":[0,1]'), "has 2 values of x but 3 of y"),
    ],
)
def test_a_damaged_page_is_refused_in_one_sentence(tmp_path: Path, damage, message: str) -> None:
    path = write_page(small_page("one"), tmp_path / "page.html")
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=message) as failed:
        document({"page": str(path)})
    assert "\n" not in str(failed.value)


def test_what_is_no_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    for place, reason in (
        (tmp_path / "notes.txt", "expected a page of bytemill"),
        (tmp_path / "missing.html", "does not exist"),
        (tmp_path, "contains neither metrics.jsonl nor plan.json"),
    ):
        assert call_bytemill(["report", str(place), "-o", str(tmp_path / "out.html")]) != 0
        assert reason in capsys.readouterr().err
    assert call_bytemill(["report", str(tmp_path), "-o", str(tmp_path / "out.pdf")]) == 2
    assert "expected a name that ends in .html or .md" in capsys.readouterr().err


def test_results_of_all_kinds_become_one_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", n_steps=8, rate=1.0)
    write_run(tmp_path / "b", n_steps=8, rate=0.5)
    write_classifier(tmp_path / "spam")
    write_page(small_page("An audit"), tmp_path / "audit.html")
    planned = [PlannedRun("r=1", RunConfig(), {"lora.r": 1}), PlannedRun("r=2", RunConfig(), {"lora.r": 2})]
    write_plan(planned, tmp_path / "sweep")
    (tmp_path / "sweep" / "configs").mkdir()
    for run in planned:
        (tmp_path / "sweep" / "configs" / f"{run.name}.toml").write_text(dump_toml(run.config))
    places = {name: str(tmp_path / name) for name in ("audit.html", "a", "b", "spam", "sweep")}
    page = document(places, title="Homework")
    assert [chapter.title for chapter in page.chapters] == [
        "An audit",
        "Comparison of 2 runs, pretraining: a, b",
        "Classifier: spam",
        "Sweep of lora.r: 2 runs",
    ]
    reader = Reader(page.html())
    ids = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert "#chapter-4" in links
    assert {str(link)[1:] for link in links} <= ids
    assert "lowest" not in page.chapters[2].verdict


def test_a_private_document_leaves_machines_out(tmp_path: Path) -> None:
    path = write_page(small_page("one", provenance="a secret machine"), tmp_path / "page.html")
    assert "secret machine" in document({"page": str(path)}).html()
    assert "secret machine" not in document({"page": str(path)}, is_private=True).html()


def test_figures_are_written_as_svg_png_and_csv(tmp_path: Path) -> None:
    page = small_page("one")
    written = write_figures(page, tmp_path / "figures")
    assert written.names == ("01-loss", "02-bars")
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == [f"{name}.{ending}" for name in ("01-loss", "02-bars") for ending in ("csv", "png", "svg")]
    assert (tmp_path / "figures" / "01-loss.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "figures" / "01-loss.svg").read_text()
    assert "<svg" in svg
    assert "#0102" not in svg  # no placeholder colour is left
    rows = list(csv.reader((tmp_path / "figures" / "01-loss.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [["curve", "step", "loss"], ["a", "0", "3.0"], ["a", "1", ""], ["a", "2", "1.0"]]


def test_a_file_has_its_legend(tmp_path: Path) -> None:
    lines = (Line("_one", [0, 1], [1.0, 2.0]), Line(HOSTILE, [0, 1], [2.0, 1.0]))
    page = Page("t", "v", (Section("s", (Plot("P", Curves(lines, "x", "y", "z"), "w"),)),))
    write_figures(page, tmp_path)
    svg = (tmp_path / "01-p.svg").read_text()
    assert ">_one</text>" in svg
    assert "<script>" not in svg


def test_all_points_of_a_long_curve_are_in_its_csv(tmp_path: Path) -> None:
    line = Line("a", list(range(2_000)), [1.0] * 2_000)
    page = replace(small_page("one"), sections=(Section("s", (Plot("P", Curves((line,), "x", "y", "z"), "w"),)),))
    write_figures(page, tmp_path)
    assert len((tmp_path / "01-p.csv").read_text().splitlines()) == 2_001


def test_characters_without_a_font_are_reported(tmp_path: Path) -> None:
    bars = Bars(("\U0001e900",), (1.0,), "one bar")  # a letter of a script that no usual font has
    page = replace(small_page("one"), sections=(Section("s", (Plot("P", bars, "w"),)),))
    assert write_figures(page, tmp_path).without_font == ("01-p.png",)


def test_markdown_has_its_figures_in_a_folder_next_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_page(small_page("one"), tmp_path / "page.html")
    assert call_bytemill(["report", str(tmp_path / "page.html"), "-o", str(tmp_path / "out" / "x.md")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / "x.md")]
    text = (tmp_path / "out" / "x.md").read_text(encoding="utf-8")
    images = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert images == ["x-figures/01-loss.png", "x-figures/02-bars.png"]
    assert all((tmp_path / "out" / image).is_file() for image in images)
    assert text.startswith("# one\n\nIt fell.\n\n## Part\n\n`code` &amp; &lt;b>\n")


def test_hostile_text_stays_text_in_markdown(made: dict[str, Page]) -> None:
    for page in made.values():
        outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$|`+[^\n]*?`+", "", page_markdown(page, lambda _: "x.png"))
        rows = "\n".join(line for line in outside.splitlines() if not line.startswith("|"))
        assert "<script>" not in rows


def test_runs_of_other_tasks_share_no_axis(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", n_steps=8, rate=1.0), write_preference(tmp_path / "b")]
    page = run_page([*folders, write_classifier(tmp_path / "c")])
    assert [chapter.title for chapter in page.chapters] == ["Pretraining: a", "Preference tuning: b", "Classifier: c"]
    units = [{plot.chart.y_label for plot in plots_of(chapter) if plot.title == "Loss"} for chapter in page.chapters]
    assert units == [{"loss, nats per token"}, {"loss, nats per pair"}, {"loss, nats per row"}]


def test_a_classifier_page_shows_its_test(tmp_path: Path) -> None:
    page = run_page(write_classifier(tmp_path / "spam"))
    text = Reader(page.html()).text.replace("\N{NO-BREAK SPACE}", " ")
    assert page.verdict.startswith("92\N{NO-BREAK SPACE}% of 200 test texts are classified correctly")
    for words in (
        "Confusion matrix",
        "95  (95 %)",
        "12  (12 %)",
        "Texts with the highest loss",
        "48 % → 97 %",
        "0.9179",
    ):
        assert words in text
    assert "as_spam" not in text
    assert text.index("1 December 2026 · bytemill finetune classify --model gpt2 · from gpt2 · 124 million") > 0
    always = run_page(write_classifier(tmp_path / "one", confusion=((100, 0), (60, 0))))
    assert "always answers `ham`" in always.verdict


def test_a_preference_run_that_learned_nothing_says_so(tmp_path: Path) -> None:
    assert "never left ln 2" in run_page(write_preference(tmp_path / "flat", loss=0.69315)).verdict
    assert "higher reward in 75" in run_page(write_preference(tmp_path / "good")).verdict


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"step": 0, "val_loss": 5.0}, {"step": 1, "loss": None}], "no logged loss is a finite number"),
        ([{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}], "Training diverged"),
        ([], "No loss was logged."),
        ([{"step": 1}], "No loss was logged."),
        ([{"step": 1, "loss": 3.0, "val_loss": 3.1}], "no earlier one to compare with"),
    ],
)
def test_odd_runs_get_a_page_that_says_so(tmp_path: Path, rows: list[dict], words: str) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = run_page(tmp_path)
    assert words in page.verdict
    Reader(page.html())


def test_steps_have_whole_ticks(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    html = run_page(tmp_path).html()
    ticks = re.findall(r'<g id="plot-1-wide-xtick_\d+">.*?<text[^>]*>([^<]*)</text>', html, re.DOTALL)
    assert ticks == ["1", "2"]


def test_a_page_in_chinese(made: dict[str, Page], tmp_path: Path) -> None:
    page = in_chinese(made["classifier"])
    assert page.title == "分类器：spam"
    assert page.verdict.startswith("200 条测试文本中有 92\N{NO-BREAK SPACE}% 分类正确；总是回答 `ham` 可得 50")
    assert page.provenance.startswith("2026年12月1日 · `bytemill finetune classify --model gpt2` · 基于 gpt2")
    assert [section.title for section in page.sections] == ["结果", "曲线", "设置", "环境"]
    html = page.html()
    assert '<html lang="zh">' in html
    assert "What is good?" not in html
    assert read_page(write_page(page, tmp_path / "page.html")).html() == html
    html5lib.HTMLParser(strict=True).parse(html)


def words_of_the_page(page: Page) -> Iterator[str]:
    """Yield titles, verdicts, captions of tables and titles of plots, also those of chapters."""
    yield from (page.title, page.verdict)
    waiting = [*page.summary, *(block for section in page.sections for block in section.blocks)]
    for block in waiting:
        match block:
            case Table(caption=text) | Plot(title=text):
                yield text
            case Details(summary=title, blocks=blocks):
                yield title
                waiting += blocks
    yield from (section.title for section in page.sections)
    for chapter in page.chapters:
        yield from words_of_the_page(chapter)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "document"])
def test_titles_verdicts_sections_and_captions_have_chinese(made: dict[str, Page], kind: str) -> None:
    page = in_chinese(made[kind])
    english = [text for text in words_of_the_page(page) if not re.search("[\u4e00-\u9fff]", text)]
    assert english == {"inspect": ["“the” → 116 258", "“␣mat” → 271"]}.get(kind, [])


def test_the_verdicts_in_the_table_of_a_document_are_chinese(made: dict[str, Page]) -> None:
    page = in_chinese(made["document"])
    (table,) = page.summary
    assert isinstance(table, Table)
    verdicts = {title: verdict for _, title, verdict in table.rows}
    assert verdicts["分类器：spam"].startswith("200 条测试文本中有 92")
    assert list(verdicts) == [chapter.title for chapter in page.chapters]


def test_texts_of_models_are_not_translated() -> None:
    page = Page("Loss", "No loss was logged.", (Section("Curves", (Code("Curves"), Prose("my run"))),))
    found = in_chinese(page)
    assert (found.title, found.verdict) == ("损失", "没有记录损失。")
    assert found.sections == (Section("曲线", (Code("Curves"), Prose("my run"))),)
