"""The Chinese pages have the same commands, code and figures as the English ones; the glossary has its forty terms."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAIRS = [("README.md", "README.zh-CN.md"), ("docs/homework.md", "docs/homework.zh-CN.md")]
CODE = re.compile(r"^```\w*[^\n]*\n.*?^```$", re.DOTALL | re.MULTILINE)
NUMBERS = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e-\d+)?(?![\w.]*\d)")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_code_and_commands_are_equal(english: str, chinese: str) -> None:
    assert CODE.findall(page(chinese)) == CODE.findall(page(english))
    in_english, in_chinese = (re.findall(r"`([^`\n]+)`", CODE.sub("", page(name))) for name in (english, chinese))
    commands = [code for code in in_english if code.startswith(("bytemill ", "pip ", "make ", "python "))]
    assert commands
    assert [code for code in in_chinese if code in set(commands)] == commands


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_figures_are_equal(english: str, chinese: str) -> None:
    """Each section has the same figures, in any order; a Chinese sentence may put them elsewhere."""
    of_english, of_chinese = (
        [
            sorted(NUMBERS.findall(CODE.sub("", section)))
            for section in re.split(r"^## ", page(name), flags=re.MULTILINE)
        ]
        for name in (english, chinese)
    )
    assert of_chinese == of_english


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_links_lead_to_the_same_pages(english: str, chinese: str) -> None:
    links = re.compile(r"\]\(([^)#]+)")
    own = {"README.md", "README.zh-CN.md", "homework.md", "homework.zh-CN.md"}
    of_english, of_chinese = (
        {target.replace(".zh-CN", "") for target in links.findall(page(name)) if target not in own}
        for name in (english, chinese)
    )
    assert of_chinese == of_english


def test_every_term_of_the_glossary_has_both_languages() -> None:
    rows = [row for row in page("docs/glossary.md").splitlines() if row.startswith("| ")][1:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    assert len(cells) == 40
    assert all(len(row) == 4 and all(row) for row in cells)
    assert all(re.search(r"[一-鿿]|softmax", row[1]) and re.search(r"[一-鿿]", row[3]) for row in cells)
