"""Writes small files of rows of every kind that tuning reads, made up by rule, for trying the commands of docs/.

Forty rows a file: enough for each command to run, far too few for a model to learn anything.

    python examples/small_rows.py
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CAPITALS = {
    "Austria": "Vienna",
    "Chile": "Santiago",
    "Cuba": "Havana",
    "Denmark": "Copenhagen",
    "Egypt": "Cairo",
    "Finland": "Helsinki",
    "France": "Paris",
    "Ghana": "Accra",
    "Greece": "Athens",
    "Hungary": "Budapest",
    "Iceland": "Reykjavik",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Peru": "Lima",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Spain": "Madrid",
    "Sweden": "Stockholm",
}


def instructions() -> list[dict[str, str]]:
    """Rows of Alpaca's form."""
    questions = [("Name the capital.", country, f"{capital}.") for country, capital in CAPITALS.items()]
    questions += [(f"Which country has {capital} as its capital?", "", f"{at}.") for at, capital in CAPITALS.items()]
    return [{"instruction": text, "input": more, "output": answer} for text, more, answer in questions]


def preferences() -> list[dict[str, str]]:
    """The same instructions with a friendly and a rude answer."""
    return [
        {
            "instruction": row["instruction"],
            "input": row["input"],
            "chosen": f"Gladly: {row['output']}",
            "rejected": f"Everybody knows that. {row['output']}",
        }
        for row in instructions()
    ]


def conversations() -> list[dict[str, Any]]:
    """Two questions and answers a row, as ShareGPT writes them."""
    rows = []
    for row in instructions():
        turns = (f"{row['instruction']} {row['input']}".strip(), row["output"], "Are you sure?", "Yes, I am.")
        spoken = zip(("human", "gpt") * 2, turns, strict=True)
        rows.append({"conversations": [{"from": who, "value": text} for who, text in spoken]})
    return rows


def texts() -> list[dict[str, str]]:
    """Rows with nothing but a text."""
    return [{"text": f"{capital} is the capital of {country}. {capital} is a city."} for country, capital in _pairs()]


def messages() -> list[tuple[str, str]]:
    """Labels and texts, as in SMSSpamCollection."""
    ham = [("ham", f"I am in {capital} now, see you in {country}") for country, capital in CAPITALS.items()]
    spam = [("spam", f"WIN a trip to {capital}! Call 08000 for {country}") for country, capital in CAPITALS.items()]
    return ham + spam


def endings() -> list[dict[str, Any]]:
    """Items of HellaSwag's form: four endings, one of them right."""
    wrong = ("is a fish.", "sings at night.", "was eaten.")
    rows = []
    for number, (country, capital) in enumerate(_pairs()):
        label = number % 4
        offered = [*wrong[:label], f"lies in {country}.", *wrong[label:]]
        rows.append({"ctx": f"The city of {capital}", "endings": offered, "label": label})
    return rows


def write(folder: Path) -> list[Path]:
    """Write all files.

    Args:
        folder: Where they go.

    Returns:
        Their paths.
    """
    lists = {"instructions.json": instructions(), "preferences.json": preferences(), "chats.json": conversations()}
    for name, rows in lists.items():
        (folder / name).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for name, lines in {"texts.jsonl": texts(), "endings.jsonl": endings()}.items():
        (folder / name).write_text(_json_lines(lines), encoding="utf-8")
    table = "".join(f"{label}\t{text}\n" for label, text in messages())
    (folder / "messages.txt").write_text(table, encoding="utf-8")
    return [folder / name for name in (*lists, "texts.jsonl", "endings.jsonl", "messages.txt")]


def _pairs() -> list[tuple[str, str]]:
    """Each country twice, so that every file has as many rows."""
    return [*CAPITALS.items()] * 2


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    print(*write(Path()), sep="\n")
