"""Texts of repeats, and words that fill an encoder's tables, to test for wrong matches in these tables."""

import random
from collections.abc import Iterator

__all__ = ["noise", "repeated_texts", "texts_around_144_letters"]

_LETTERS = (
    "acgt",
    "hatsn",
    "etaoinshrdlu",
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789",
    "4",
    "-=*#_.",
    "\x00\x01\x02\x05",
)
_SCRIPTS = "北京大学模型", "абвгд", "é👩🏽", "aé北 "
_POWERS = [1 << power for power in range(4, 11)]


def noise(n_words: int, seed: int = 0) -> str:
    """Return random words of 5 to 16 consonants; nearly all are new to a tokenizer, and most have over four ids."""
    generator = random.Random(seed)
    return " ".join(
        "".join(generator.choices("bcdfghjklmnpqrstvwxz", k=generator.randint(5, 16))) for _ in range(n_words)
    )


def repeated_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Yield texts with a short head on a line, and a longer piece with the same beginning on the next line.

    Units have 1 to 16 letters. Lengths are up to 300 letters, around powers of two up to 1,024, or longer than the
    head by a power of two. The same heads occur repeatedly, so that they are found in the tables.
    """
    generator = random.Random(seed)
    units = []
    for _ in range(200):
        letters = generator.choice(generator.choice((_LETTERS, _LETTERS, _SCRIPTS)))
        units.append("".join(generator.choices(letters, k=generator.randint(1, 16))))
    for _ in range(count):
        unit, power = generator.choice(units), generator.choice(_POWERS)
        head = generator.choice((generator.randint(1, 17), 16))
        length = generator.choice((generator.randint(1, 300), power + generator.randint(-2, 2), head + power))
        if generator.random() < 0.1:  # the piece continues differently than it began
            yield f"{_repeat(unit, head)}\n{_repeat(unit, head)}{generator.choice('a4-' + chr(0)) * power}"
        else:
            yield f"{_repeat(unit, head)}\n{_repeat(unit, length)}"


def texts_around_144_letters() -> Iterator[str]:
    """Yield pieces of 120 to 160 letters, each after a line with its first 16 letters."""
    for unit in ("ha", "acgt", "gattaca", "4", "-", "hatscanghantsnac"):
        for length in range(120, 161):
            yield f"{_repeat(unit, 16)}\n{_repeat(unit, length)}\n"


def _repeat(unit: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length]
