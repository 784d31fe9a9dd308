"""Pages stand alone, are well-formed and reach everybody, whatever text is put into them."""

import base64
import dataclasses
import hashlib
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytemill.errors import DataError
from bytemill.escape import escape
from bytemill.experiment.demo.results import (
    AnswerSample,
    PretrainResults,
    RanOn,
    ShardResults,
    TextSample,
    TokenizerResults,
    TuneResults,
)
from bytemill.report.blocks import Comparison, Plot, Prose, Table
from bytemill.report.charts import Bars, Curves, Dots, HeatMap, Level, Line
from bytemill.report.demo import DemoResults, demo_page, write_demo_page
from bytemill.report.drawing import inline_svg
from bytemill.report.page import Page, Section
from bytemill.report.run import run_page
from bytemill.train.machine.facts import Host
from page_reader import Reader

HOSTILE = "<script>alert('1')</script>&amp;\"\x00\x1b[31m\x85\u202e\ufffd\ufffe\ud800 $x_1$ `</code>` ]]> -->"


def results(text: str = "plain text") -> DemoResults:
    metrics = [
        {"step": i, "loss": 8 / (1 + i / 9), "lr": 1e-4 * i, "grad_norm": 1.0, "tokens_per_s": 4e3} for i in range(50)
    ]
    metrics += [{"step": i, "val_loss": 8.5 / (1 + i / 9)} for i in range(0, 50, 10)]
    return DemoResults(
        command=text,
        date=text,
        text_source=text,
        tokenizer=TokenizerResults(
            512,
            4_000_000,
            900,
            1.5,
            1.9,
            [(256, 1.0), (512, 1.9)],
            {1: 256, 2: 200, 40: 56},
            [b" " * 40, b"\xff<"],
        ),
        shards=ShardResults(2_000_000, 20_000, 890, 10, 2, 4_040_000),
        pretrain=PretrainResults(
            model={"n_layer": 2, "vocab_size": 512},
            n_parameters=900_000,
            metrics=metrics,
            train_tokens_seen=400_000,
            tokens_per_second=4_000,
            cpu_share=1.0,
            needed_tokens=300_000,
            val_loss=3.0,
            val_bits_per_byte=2.0,
            unigram_bits_per_byte=4.0,
        ),
        samples=[TextSample(text, text, text), TextSample("", "", "")],
        tune=TuneResults({"r": 8, "target_modules": ["c_attn", text]}, 9_000, 909_000, 5_000, 500, metrics, 3.0, 2.0),
        answers=[AnswerSample(text, text, text, text, text)],
        phase_seconds={"read": 2.0, f"pretrain {text}": 100.0},
        machine=RanOn(Host(text, text, text, 2, 8_000_000_000), {text: text}),
    )


def verdict(found: DemoResults) -> str:
    return " ".join(demo_page(found).verdict.split())


def test_the_verdict_follows_the_numbers() -> None:
    good = results()
    assert "The loss on unseen text is 50 % of what token frequencies give" in verdict(good)
    assert "tuning lowered that on unseen questions by 33 %" in verdict(good)
    assert "did not" not in verdict(good)
    useless = replace(good, tune=replace(good.tune, tuned_loss=3.1))
    assert "Tuning with LoRA did not lower the loss on unseen questions." in verdict(useless)
    slow = replace(good.pretrain, val_bits_per_byte=3.88, train_tokens_seen=150_000, tokens_per_second=1_000)
    missed = verdict(replace(good, pretrain=slow))
    assert missed.endswith(
        "The model did not learn enough: the loss is 0.97 of what token frequencies alone give, above the aim of 0.8: "
        "it saw 150,000 tokens, at 1,000 tokens/s, and needs about 300,000."
    )
    busy = replace(slow, cpu_share=0.28)
    assert "other programs were using the processor (training got 28% of its time)" in verdict(
        replace(good, pretrain=busy)
    )
    assert replace(slow, val_bits_per_byte=3.2).missed is None
    assert replace(slow, val_bits_per_byte=3.21).missed is not None


def test_the_page_shows_first_what_the_model_writes_and_answers() -> None:
    page = demo_page(results())
    assert [section.title for section in page.sections][:2] == ["More texts", "What it answers"]
    assert page.summary[0].title == "What it writes"
    assert "taught" not in page.html()


@pytest.fixture(scope="module")
def demo_html() -> str:
    return demo_page(results()).html()


@pytest.fixture(scope="module")
def hostile_html() -> str:
    return demo_page(results(HOSTILE)).html()


@pytest.fixture(params=["demo_html", "hostile_html"])
def html(request: pytest.FixtureRequest) -> str:
    value: str = request.getfixturevalue(request.param)
    return value


def test_the_page_is_self_contained(html: str) -> None:
    assert not re.search(r"""(?:src|href|srcset|data|action|poster)\s*=\s*["']?\s*(?:https?:|//)""", html)
    assert not re.search(r"url\((?!#)|@import|@font-face", html)
    assert "http:" not in html
    assert "https:" not in html
    allowed = {"#", "data:,"}
    links = [attributes.get("href") or "" for _, attributes in Reader(html).tags if "href" in attributes]
    assert links
    assert all(link in allowed or link.startswith("#") for link in links)


def test_the_page_runs_one_script_and_forbids_others(html: str) -> None:
    reader = Reader(html)
    record, script = reader.scripts
    assert [one.get("type") for one in reader.named("script")] == ["application/json", None]
    assert json.loads(record)["bytemill_page"] == 1
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    policy = next(meta["content"] for meta in reader.named("meta") if "http-equiv" in meta)
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")


def test_ids_are_unique_and_every_reference_meets_one(html: str) -> None:
    tags = Reader(html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {attributes["href"] for _, attributes in tags if (attributes.get("href") or "").startswith("#")}
    wanted |= {f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", html)}
    assert {str(reference)[1:] for reference in wanted} <= set(ids)


def test_headings_come_in_order(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(html).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_table_has_a_caption_and_scopes(html: str) -> None:
    reader = Reader(html)
    n_tables = len(reader.named("table"))
    assert n_tables >= 8
    assert reader.children.count(("table", "caption")) == n_tables
    assert all(header.get("scope") in ("col", "row") for header in reader.named("th"))


def test_every_plot_is_told_in_words_and_takes_the_colours_of_the_page(html: str) -> None:
    plots = Reader(html).named("svg")
    assert len(plots) >= 16  # five plots, each wide and narrow, and six small ones
    assert all(plot["role"] == "img" and len(plot["aria-label"] or "") > 30 for plot in plots)
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--accent)" in drawn
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) == set()


def test_hostile_text_is_shown_and_not_obeyed(hostile_html: str) -> None:
    assert hostile_html.count("<script") == 2  # the record and the copy buttons
    text = Reader(hostile_html).text
    assert "<script>alert('1')</script>&amp;\"␀␛[31m\\x85\\u202e\ufffd\\ufffe\\ud800 $x_1$" in text
    hostile_html.encode("utf-8")  # no lone surrogate is left


def test_the_page_is_small_and_written_whole(tmp_path: Path) -> None:
    path = write_demo_page(results(HOSTILE), tmp_path / "report.html")
    assert path.stat().st_size < 3_000_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_equal_results_give_equal_pages(demo_html: str) -> None:
    assert demo_page(results()).html() == demo_html


def test_the_page_tells_the_figures(demo_html: str) -> None:
    text = Reader(demo_html).text.replace("\N{NO-BREAK SPACE}", " ")
    for words in (
        "1 min 42 s",
        "4.0 MB",
        "2.000 bits per byte",
        "4.000 bits per byte",
        "0.500;",
        "3.00 → 2.00",
        "−33 %",
        "␣ ×40",
    ):
        assert words in text


def test_the_loss_plot_compares_with_knowing_nothing_and_with_frequencies() -> None:
    pretrain = results().pretrain
    assert pretrain.uniform_nats_per_token == pytest.approx(math.log(512))
    # 3 nats per token are 2 bits per byte, so 4 bits per byte are 6 nats.
    assert pretrain.unigram_nats_per_token == pytest.approx(6.0)


def test_a_run_that_logged_nothing_and_diverged_still_gives_a_page() -> None:
    base = results()
    for metrics in ([], [{"step": 1, "loss": math.nan}, {"step": 2, "loss": math.inf}]):
        pretrain = dataclasses.replace(base.pretrain, metrics=metrics, val_loss=math.nan, val_bits_per_byte=math.nan)
        html = demo_page(dataclasses.replace(base, pretrain=pretrain)).html()
        assert "no values were logged" in html
        Reader(html)


@given(st.text(st.characters(codec=None)))
def test_any_text_survives_as_text(text: str) -> None:
    html = f'<p title="{escape(text)}">{escape(text)}</p>'
    html.encode("utf-8")
    reader = Reader(html)
    assert [tag for tag, _ in reader.tags] == ["p"]
    ordinary = "".join(character for character in text if character.isprintable())
    assert "".join(character for character in reader.text if character in ordinary) or not ordinary
    if text.isprintable():
        assert reader.text == text == reader.named("p")[0]["title"]


def test_prose_has_paragraphs_and_code() -> None:
    assert Prose("one `a < b`\n\n two\n").html() == "<p>one <code>a &lt; b</code></p>\n<p>two</p>\n"


def test_a_row_of_the_wrong_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="'Ages': a row of 3 cells under 2 headers"):
        Table("Ages", ("name", "age"), (("Ada", "36", "?"),)).html()


def test_an_empty_sample_says_so() -> None:
    assert "(nothing)" in Comparison("Prompt", (("before", ""),)).html()


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    long = Line("loss", list(range(100_000)), [1 / (1 + i) for i in range(100_000)])
    assert len(inline_svg(Curves((long,), "step", "loss", "a long curve"), "long", "wide")) < 40_000


def test_tick_labels_keep_all_their_digits() -> None:
    line = Line("rate", [0, 1, 2], [0.0, 0.0005, 0.001])
    drawn = inline_svg(Curves((line,), "step", "rate", "a rate"), "rate", "wide")
    labels = re.findall(r">([\d.]+)</text>", drawn)
    assert "0.0010" in labels


def test_labels_are_text_and_no_formulas() -> None:
    line = Line("a", [0, 1], [0, 1])
    level = Level("$\\frac$ <b>", 0.5)
    assert "$\\frac$ &lt;b&gt;" in inline_svg(Curves((line,), "x", "y", "f", (level,)), "f", "narrow")
    bad = "$\\bad{$"
    assert bad in inline_svg(Bars((bad,), (1.0,), "g"), "g", "wide")
    assert bad in inline_svg(Dots((bad,), ((1.0, 2.0),), bad, "h"), "h", "wide")
    assert bad in inline_svg(HeatMap(bad, (bad,), bad, (bad,), ((1.0,),), "i"), "i", "wide")


def test_lines_of_unequal_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="line 'loss' has 2 values of x but 1 of y"):
        Line("loss", [1, 2], [1])


def write_run(folder: Path, rows: list[dict[str, float]]) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_runs_are_laid_over_each_other(tmp_path: Path) -> None:
    rows = [{"step": i, "loss": 4.0 - i, "val_loss": 4.5 - i} for i in range(3)]
    first, second = write_run(tmp_path / "a" / HOSTILE[1:7], rows), write_run(tmp_path / "b", rows[:2])
    (second / "config.toml").write_text("[train]\nmax_steps = 2 # <b>\n")
    (second / "samples.jsonl").write_text(json.dumps({"step": 1, "prompt": "def", "text": "def f()"}) + "\n")
    html = run_page([first, second]).html()
    reader = Reader(html)
    assert "Comparison of 2 runs, pretraining" in reader.text
    assert "max_steps = 2 # <b>" in reader.text
    assert "<b>def</b> f()" in html
    assert re.search(r"script\s*2\.5000.*2\.0000.*b\s*3\.5000.*3\.0000", reader.text, flags=re.DOTALL)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / parent / "run", [{"step": 1, "loss": 1.0}]) for parent in "ab"]
    text = Reader(run_page(folders).html()).text
    assert all(str(folder) in text for folder in folders)


def test_a_run_being_written_is_shown_up_to_its_last_whole_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [{"step": 1, "loss": 2.0}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert "One training loss was logged, 2.000 nats per token" in run_page(folder).verdict


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"metrics\.jsonl does not exist"),
        ("{}\n", r"metrics\.jsonl, line 1: expected a JSON object with \"step\""),
        ('{"step": 1}\nnot json\n', r"line 2: not JSON in UTF-8"),
        ("[1]\n", r"line 1: "),
        ('{"step": "one"}\n', r"line 1: "),
    ],
)
def test_a_folder_that_is_no_run_is_a_named_error(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        run_page(tmp_path)
    with pytest.raises(DataError, match="no run was given"):
        run_page([])


def test_a_plot_without_numbers_has_no_details() -> None:
    chart = Curves((Line("a", [0, 1], [0, 1]),), "x", "y", "A rise from 0 to 1.")
    page = Page("t", "verdict", (Section("s", (Plot("title", chart, "what"),)),))
    assert not Reader(page.html()).named("details")
