"""The line of a page that says where it comes from: date, command, model, data, machine and duration."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from bytemill.report.figures import count, duration, short_count
from bytemill.system.processes import seconds_running
from bytemill.train.machine.facts import command_line, host

__all__ = ["provenance", "provenance_here"]


def provenance(
    *,
    date: str = "",
    command: Sequence[str] = (),
    model: str = "",
    n_parameters: int | None = None,
    data: str = "",
    machine: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    is_private: bool = False,
) -> str:
    """Return the line; what is unknown is left out, and with `is_private` also machine and command.

    >>> print(provenance(date="2026-12-01", command=["bytemill", "train"], n_parameters=15600, seconds=8.25))
    1 December 2026 · `bytemill train` · 15,600 parameters · 8.2 s
    """
    parts = [_date(date)]
    parts += ["" if is_private else f"`{' '.join(command)}`" if command else ""]
    parts += [model, "" if n_parameters is None else f"{short_count(n_parameters)} parameters"]
    parts += [f"data: {data}" if data else "", "" if is_private or machine is None else _machine(machine)]
    parts += ["" if seconds is None else duration(seconds)]
    return " · ".join(part for part in parts if part)


def provenance_here() -> str:
    """Return the line for a page that this process writes: today, this command, this machine, the time until now."""
    here = host()
    today = datetime.datetime.now().astimezone().date().isoformat()
    machine = {"cpu": here.cpu, "cores": here.cores}
    return provenance(date=today, command=command_line(), machine=machine, seconds=seconds_running())


def _date(text: str) -> str:
    """Return an ISO date, or the date of an ISO time, for people; "" if it is neither."""
    try:
        found = datetime.datetime.fromisoformat(text).date()
    except ValueError:
        return ""
    return f"{found.day} {found:%B %Y}"


def _machine(machine: Mapping[str, Any]) -> str:
    device, cpu, cores = machine.get("device"), machine.get("cpu"), machine.get("cores")
    if isinstance(device, str) and device not in ("cpu", ""):
        return device
    parts = [cpu] if isinstance(cpu, str) else []
    parts += [f"{count(cores)} core{'' if cores == 1 else 's'}"] if isinstance(cores, int) else []
    return ", ".join(parts)
