"""Sizes in bytes on the command line, such as 200M."""

import typer

__all__ = ["bytes_of"]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def bytes_of(size: str) -> int:
    """Return the number of bytes of a size with the unit k, M, G or none.

    Raises:
        typer.BadParameter: It is not a size of at least one byte.

    >>> bytes_of("2G"), bytes_of("200000000")
    (2147483648, 200000000)
    """
    number, unit = (size[:-1], size[-1].lower()) if size[-1:].isalpha() else (size, "")
    if unit not in _UNITS or not (number.isascii() and number.isdecimal()) or not int(number):
        raise typer.BadParameter(f"{size!r} is not a size, such as 200M or 2G")
    return int(number) * _UNITS[unit]
