"""How runs were set up: where their settings differ, what was changed on the way, what they ran on."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from bytemill.report.figures import count, size
from bytemill.report.page import Block, Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["changes_table", "environment_table", "settings_blocks"]

_MISSING = "–"


def settings_blocks(folders: Mapping[str, Path]) -> list[Block]:
    """Of several runs the settings that differ; of one the settings that are not the default."""
    settings = {name: _settings(folder) for name, folder in folders.items()}
    settings = {name: found for name, found in settings.items() if found}
    if not settings:
        return []
    if len(settings) == 1:
        (own,) = settings.values()
        return [_beside_defaults(own)]
    return [_differences(settings)]


def changes_table(folder: Path) -> Table | None:
    """The settings that a resumed run changed, each with its step."""
    path = folder / "changes.jsonl"
    if not path.is_file():
        return None
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            change = json.loads(line)
            rows.append((count(change["step"]), str(change["setting"]), _told(change["old"]), _told(change["new"])))
        except (ValueError, KeyError, TypeError):
            continue  # a line that is still being written
    header = ("step", "setting", "before", "after")
    return Table("Settings changed on the way", header, tuple(rows), numeric=(0,), code=(1, 2, 3)) if rows else None


def environment_table(folders: Mapping[str, Path]) -> Table | None:
    """Machine and versions, a column a run."""
    found = {name: _environment(folder) for name, folder in folders.items()}
    found = {name: facts for name, facts in found.items() if facts}
    if not found:
        return None
    keys = dict.fromkeys(key for facts in found.values() for key in facts)
    rows = tuple((key, *(facts.get(key, _MISSING) for facts in found.values())) for key in keys)
    return Table("Machine and versions", ("what", *found), rows)


def _beside_defaults(own: Mapping[str, str]) -> Block:
    from bytemill.train.config import RunConfig

    defaults = {name: _told(value) for name, value in _flat(RunConfig().model_dump(mode="json"))}
    rows = tuple((key, value, defaults.get(key, _MISSING)) for key, value in own.items() if defaults.get(key) != value)
    if not rows:
        return Prose("Every setting has its default.")
    return Table("Settings that are not the default", ("setting", "this run", "default"), rows, code=(0, 1, 2))


def _differences(settings: Mapping[str, Mapping[str, str]]) -> Block:
    keys = dict.fromkeys(key for own in settings.values() for key in own)
    rows = []
    for key in keys:
        values = [own.get(key, _MISSING) for own in settings.values()]
        if len(set(values)) > 1:
            rows.append((key, *values))
    if not rows:
        return Prose("The runs have the same settings.")
    code = tuple(range(len(settings) + 1))
    return Table("Settings that differ", ("setting", *settings), tuple(rows), code=code)


def _settings(folder: Path) -> dict[str, str]:
    """By dotted name; nothing where there is no config.toml that can be read."""
    try:
        parsed = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: _told(value) for name, value in _flat(parsed)}


def _environment(folder: Path) -> dict[str, str]:
    try:
        parsed = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        facts = dict(_flat(parsed))
    except (OSError, ValueError, AttributeError):
        return {}
    named = {key.removeprefix("packages.").removeprefix("machine."): _told(value) for key, value in facts.items()}
    if isinstance(facts.get("machine.memory_bytes"), int):
        named["memory_bytes"] = size(facts["machine.memory_bytes"])
    if isinstance(facts.get("command"), list):
        named["command"] = " ".join(map(str, facts["command"]))
    return {key.replace("_", " "): value for key, value in named.items()}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield prefix + name, value


def _told(value: object) -> str:
    return _MISSING if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
