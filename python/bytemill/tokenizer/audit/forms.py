"""Questions about structured text: digits and sums, Python's indentation, YAML and JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from bytemill.tokenizer.audit.answer import Answer
from bytemill.tokenizer.audit.samples import CODE
from bytemill.tokenizer.pieces import pieces, spelled

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["digits", "indentation", "yaml_and_json"]

RECORDS = [
    {"name": "Ada", "born": 1815, "works": ["notes", "letters"], "living": False},
    {"name": "Grace", "born": 1906, "works": ["compilers"], "living": False},
    {"name": "Barbara", "born": 1939, "works": ["abstraction", "types"], "living": True},
]


def digits(tokenizer: Tokenizer) -> Answer:
    """Show how the numbers 0 to 9,999 are split, by their length."""
    rows = [_numbers(tokenizer, n_digits) for n_digits in (1, 2, 3, 4)]
    whole, n_ways, ways = sum(row[2] for row in rows), rows[3][5], rows[3][6]
    sums = [
        "|".join(spelled(piece.token) for piece in pieces(tokenizer, text))
        for text in ("127+677=804", "1275+6773=8048")
    ]
    consequence = (
        "Then digits of the same place value are at different positions in their tokens. The model must learn to add "
        f"column by column, as children do, for each way of splitting: `{sums[0]}`, but `{sums[1]}`."
        if n_ways > 1
        else f"Digits of the same place value are always at the same position in their tokens: `{sums[0]}`, "
        f"`{sums[1]}`."
    )
    return Answer(
        "Why is arithmetic hard?",
        f"Of the numbers 0 to 9,999, {whole:,} are one token; those of four digits are split in "
        f"{n_ways} {'ways' if n_ways > 1 else 'way'}: {ways}. {consequence} Vocabularies made for arithmetic split "
        "off every digit, or groups of three.",
        "Numbers by their digits: how many are one token, two, more, and the ways they are cut (digits a token)",
        ("digits", "numbers", "one token", "two tokens", "more", "ways", "most common ways"),
        tuple(rows),
        token_columns=(6,),
    )


def indentation(tokenizer: Tokenizer) -> Answer:
    """Count the tokens of spaces before a line of code."""
    indents = {f"{n} spaces": " " * n for n in (2, 4, 8, 12, 16)} | {"1 tab": "\t", "2 tabs": "\t\t"}
    rows = tuple(_indent(tokenizer, name, indent) for name, indent in indents.items())
    unindented = "\n".join(line.lstrip() for line in CODE.split("\n"))
    total, bare = tokenizer.count(CODE), tokenizer.count(unindented)
    with_tabs = tokenizer.count(CODE.replace("    ", "\t"))
    return Answer(
        "What does Python's indentation cost?",
        f"A function of {len(CODE.splitlines())} lines takes {total} tokens, and {bare} without its indentation: "
        f"{(total - bare) / total:.0%} of the tokens only encode the depth of a line; with tabs it takes {with_tabs}. "
        "A vocabulary without runs of spaces, such as GPT-2's, needs one token for each space, which wastes the "
        "model's context. Vocabularies trained on code have tokens for the usual depths.",
        "The tokens between a colon and the word return on the next line",
        ("indentation", "tokens", "pieces"),
        rows,
        token_columns=(2,),
    )


def yaml_and_json(tokenizer: Tokenizer) -> Answer:
    """Count the tokens of the same records in several formats."""
    forms = {
        "JSON, indented": json.dumps(RECORDS, indent=2),
        "JSON, on one line": json.dumps(RECORDS),
        "JSON, without spaces": json.dumps(RECORDS, separators=(",", ":")),
        "YAML": _yaml(),
        "CSV": _csv(),
    }
    counts = {name: tokenizer.count(text) for name, text in forms.items()}
    rows = tuple(
        (name, len(text.encode()), counts[name], round(counts[name] / counts["JSON, indented"], 3))
        for name, text in forms.items()
    )
    return Answer(
        "Is YAML cheaper than JSON?",
        f"Three records take {counts['JSON, indented']} tokens as indented JSON, {counts['YAML']} as YAML and "
        f"{counts['JSON, without spaces']} as JSON without spaces. Quotes, brackets and commas are tokens like words, "
        "and so is indentation: YAML leaves most of the marks out, JSON can leave the spaces out. The smaller form is "
        "cheaper to read and quicker to write for a model; what decides is the form that is compared, so count it.",
        "Three records in five forms",
        ("form", "bytes", "tokens", "times indented JSON"),
        rows,
        bars=tuple((name, float(count)) for name, count in counts.items()),
        bars_label="tokens",
    )


def _numbers(tokenizer: Tokenizer, n_digits: int) -> tuple[int, int, int, int, int, int, str]:
    first = 0 if n_digits == 1 else 10 ** (n_digits - 1)
    numbers = [str(number) for number in range(first, 10**n_digits)]
    length_of: dict[int, int] = {}
    ways: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    for ids in tokenizer.encode_batch(numbers, threads=1, disallowed_special=()):
        for one in ids:
            if one not in length_of:
                length_of[one] = len(tokenizer.decode_single_token_bytes(one))
        ways["+".join(str(length_of[one]) for one in ids)] += 1
        lengths[min(len(ids), 3)] += 1
    told = ", ".join(f"{way} ({n:,})" for way, n in ways.most_common(3))
    return n_digits, len(numbers), lengths[1], lengths[2], lengths[3], len(ways), told


def _indent(tokenizer: Tokenizer, name: str, indent: str) -> tuple[str, int, str]:
    found = pieces(tokenizer, f":\n{indent}return")
    told = "|".join(spelled(piece.token) for piece in found)
    return name, len(found) - len(pieces(tokenizer, ":")) - len(pieces(tokenizer, "return")), told


def _yaml() -> str:
    lines = []
    for record in RECORDS:
        for place, (name, value) in enumerate(record.items()):
            lead = "  " if place else "- "
            if isinstance(value, list):
                lines += [f"{lead}{name}:", *(f"    - {item}" for item in value)]
            else:
                lines.append(f"{lead}{name}: {json.dumps(value) if isinstance(value, bool) else value}")
    return "\n".join(lines) + "\n"


def _csv() -> str:
    rows = [",".join(RECORDS[0])]
    for record in RECORDS:
        values = (" ".join(value) if isinstance(value, list) else str(value) for value in record.values())
        rows.append(",".join(values))
    return "\n".join(rows) + "\n"
