"""Translates a page: its headings, captions, labels and verdicts; texts of models, commands and numbers stay."""

import re
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from bytemill.report.page import Page, joined
from bytemill.report.zh import MONTHS, SENTENCES, TEXTS

__all__ = ["in_chinese"]

_OWN_WORDS = {
    "title", "verdict", "caption", "label", "note", "what", "good", "summary", "text", "x_label", "y_label", "kicker",
    "label_title",
}  # fmt: skip
"""Fields with words of this program."""
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z`\d])")
_PLACE = re.compile(r"\{t(\d)\}|\\(\d)")
_DATE = re.compile(rf"(\d+) ({'|'.join(MONTHS)}) (\d+)")


def in_chinese(page: Page) -> Page:
    """Return the page in Chinese; text without a translation stays English."""
    if page.chapters:  # the table of their verdicts is made again, from the Chinese ones
        page = joined(page.title, tuple(map(_translated, page.chapters)))
    translated: Page = _translated(page)
    return replace(translated, language="zh")


def _translated(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        kind = getattr(value, "kind", "")
        return replace(value, **{one.name: _field(kind, one.name, getattr(value, one.name)) for one in fields(value)})
    return tuple(map(_translated, value)) if isinstance(value, tuple) else value


def _field(kind: str, name: str, value: Any) -> Any:
    if kind == "code" or name in ("kind", "language", "footer"):
        return value
    if name == "header":
        return tuple(map(_text, value))
    if name == "columns" and kind == "comparison":
        return tuple((_text(label), text) for label, text in value)
    if name == "provenance":
        return " · ".join(_DATE.sub(_date, _text(part)) for part in value.split(" · "))
    if isinstance(value, str):
        return _text(value) if name in _OWN_WORDS else value
    return _translated(value)


def _text(text: str) -> str:
    """Return a text in Chinese, sentence by sentence.

    >>> _text("The validation loss fell from 6.2 to 4.1 nats per token."), _text("Curves"), _text("my run")
    ('验证损失从 6.2 降到 4.1 奈特/词元。', '曲线', 'my run')
    """
    if text in TEXTS:
        return TEXTS[text]
    sentences = [_sentence(one) for one in _SENTENCE_END.split(text)]
    return "".join(sentences) if all(one.endswith("。") for one in sentences) else " ".join(sentences)


def _sentence(sentence: str) -> str:
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(sentence):
            return _PLACE.sub(lambda place, found=found: _filled(place, found), chinese)  # type: ignore[misc]
    if sentence.endswith(".") and sentence[:-1] in TEXTS:
        return f"{TEXTS[sentence[:-1]]}。"
    return TEXTS.get(sentence, sentence)


def _filled(place: re.Match[str], found: re.Match[str]) -> str:
    """Return what is at a place of a Chinese sentence: a group of the English one, translated where it says so."""
    translated, as_it_is = place.groups()
    return found[int(as_it_is)] if as_it_is else _sentence(found[int(translated)])


def _date(found: re.Match[str]) -> str:
    return f"{found[3]}年{MONTHS.index(found[2]) + 1}月{found[1]}日"


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the patterns; a number and its unit have a no-break space between them, so only a space ends a word."""
    return [(re.compile(pattern.replace(r"\S+", "[^ ]+"), re.DOTALL), chinese) for pattern, chinese in SENTENCES]
