"""Every kind of page is valid HTML, told in words, readable in light and dark, and small."""

import itertools
import re
from pathlib import Path

import html5lib
import pytest

from bytemill.report.run import run_page
from page_reader import Reader
from sample_pages import KINDS, pages, write_run

STYLE = (Path(__file__).parents[2] / "python/bytemill/report/page.css").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {name: page.html() for name, page in pages(tmp_path_factory.mktemp("runs")).items()}


@pytest.fixture(params=KINDS)
def html(request: pytest.FixtureRequest, written: dict[str, str]) -> str:
    return written[request.param]


def test_a_strict_parser_finds_no_error(html: str) -> None:
    html5lib.HTMLParser(strict=True).parse(html)


def test_headings_come_in_order(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(html).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_tables_have_captions_and_scopes_and_plots_are_told(html: str) -> None:
    reader = Reader(html)
    assert reader.children.count(("table", "caption")) == len(reader.named("table")) > 0
    assert all(header.get("scope") in ("col", "row") for header in reader.named("th"))
    assert all(plot["role"] == "img" and len(plot["aria-label"] or "") > 30 for plot in reader.named("svg"))
    lists = re.findall(r"<ol.*?>", html[html.index("</nav>") :])
    assert all("aria-label" in one for one in lists)


def test_there_is_a_way_past_the_contents_and_every_reference_meets_an_id(html: str) -> None:
    tags = Reader(html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links[0] == "#content"
    assert {str(link)[1:] for link in links} <= set(ids)


def test_nothing_is_loaded_and_no_text_is_obeyed(html: str) -> None:
    assert html.count("<script") == 2  # the record and the copy buttons
    assert not re.search(r"https?:", html)
    assert not re.search(r"url\((?!#)|@import|@font-face", html)


def test_six_long_runs_are_a_small_page(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"run{i}", n_steps=3_000, rate=i + 1.0) for i in range(6)]
    assert len(run_page(runs).html().encode()) < 3_000_000


def themes() -> dict[str, dict[str, str]]:
    """The style sheet's colours: light, dark by the system and by the switch, and print."""
    blocks = re.findall(r":root[^{}]* \{([^{}]*--paper.*?)\}", STYLE, re.DOTALL)
    colours = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]
    return dict(zip(("light", "dark", "dark by the switch", "print"), colours, strict=True))


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of two colours."""
    lights = sorted(luminance(colour) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_the_switch_gives_the_colours_of_dark_systems() -> None:
    assert themes()["dark"] == themes()["dark by the switch"]


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_text_is_readable_on_every_ground(theme: str) -> None:
    colours = themes()[theme]
    grounds = {"ink": ("paper", "panel", "wash", "token-1", "token-2", "token-3", "token-4")}
    grounds |= {"muted": ("paper", "panel"), "accent": ("paper",)}
    for text, below in grounds.items():
        for ground in below:
            assert contrast(colours[text], colours[ground]) >= 4.5, f"{text} on {ground}"


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_lines_stand_out_from_the_paper(theme: str) -> None:
    colours = themes()[theme]
    for line in ("accent", *(f"series-{i}" for i in range(2, 7))):
        assert contrast(colours[line], colours["paper"]) >= 3, line


def test_every_colour_that_the_style_uses_is_defined_in_each_theme() -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", STYLE)) - {"sans", "mono", "swatch"}
    for name, colours in themes().items():
        assert used <= set(colours), name
