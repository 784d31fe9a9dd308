"""Tables of runs' settings: differing settings, settings changed on resume, machine and versions."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError, FormatError
from bytemill.json_reader import parse_object, read_lines, read_object
from bytemill.outside_text import without_secrets
from bytemill.report.blocks import Block, Prose, Table
from bytemill.report.figures import count, size
from bytemill.train.config import config_from_settings, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bytemill.train.config import RunConfig

__all__ = ["changes_table", "environment_blocks", "settings_blocks", "shown_command"]

_MISSING = "–"
_HASH_DIGITS = 40
_ENVIRONMENT_NAMES = {
    "machine.memory_bytes": "memory",
    "fingerprints.data": "fingerprint of the data",
    "fingerprints.tokenizer": "fingerprint of the tokenizer",
}


def settings_blocks(folders: Mapping[str, Path]) -> list[Block]:
    """Return a table of the settings that differ between runs, or for one run, those that are not the default."""
    settings = {name: _settings(folder) for name, folder in folders.items()}
    settings = {name: found for name, found in settings.items() if found}
    if not settings:
        return []
    if len(settings) == 1:
        (own,) = settings.values()
        return [_not_default(own)]
    return [_differences(settings)]


def changes_table(folder: Path) -> Table | None:
    """Return a table of settings changed when the run was resumed, each with its step; None without any."""
    path = folder / "changes.jsonl"
    if not path.is_file():
        return None
    rows = []
    for number, line in read_lines(path):
        change = parse_object(line, f"{path}, line {number}")
        step, setting = change.get("step"), change.get("setting")
        if not isinstance(step, int) or not isinstance(setting, str):
            raise FormatError(f"{path}, line {number}: expected an object with step and setting")
        rows.append((count(step), setting, _shown(change.get("old")), _shown(change.get("new"))))
    header = ("step", "setting", "before", "after")
    return Table("Settings changed on resume", header, tuple(rows), numeric=(0,), code=(1, 2, 3)) if rows else None


def environment_blocks(folders: Mapping[str, Path]) -> list[Block]:
    """Return machine and versions: a table of values that all runs share, and one of those that differ."""
    found = {name: _environment(folder) for name, folder in folders.items()}
    found = {name: facts for name, facts in found.items() if facts}
    keys = dict.fromkeys(key for facts in found.values() for key in facts)
    values = {key: tuple(facts.get(key, _MISSING) for facts in found.values()) for key in keys}
    same = tuple((key, one[0]) for key, one in values.items() if len(set(one)) == 1)
    differing = tuple((key, *one) for key, one in values.items() if len(set(one)) > 1)
    title = "Machine and versions" + (", the same for all runs" if len(found) > 1 else "")
    blocks: list[Block] = [Table(title, ("what", "which"), same, plain=True)] if same else []
    if differing:
        code = tuple(range(1, len(found) + 1))
        blocks.append(Table("Differences", ("what", *found), differing, code=code))
    return blocks


def shown_command(environment: Mapping[str, Any]) -> list[str]:
    """Return the command in an environment.json, without the program's folder and without secrets."""
    command = environment.get("command")
    if not isinstance(command, list) or not command:
        return []
    program, *arguments = map(str, command)
    return [PurePath(program).name, *map(without_secrets, arguments)]


def _not_default(own: Mapping[str, str]) -> Block:
    defaults = {name: _shown(value) for name, value in _flat(_defaults_of(own).model_dump(mode="json"))}
    rows = tuple((key, value, defaults.get(key, _MISSING)) for key, value in own.items() if defaults.get(key) != value)
    if not rows:
        return Prose("All settings have their defaults.")
    return Table("Settings that are not the default", ("setting", "this run", "default"), rows, code=(0, 1, 2))


def _defaults_of(own: Mapping[str, str]) -> RunConfig:
    """Return the defaults of the run's task, for LoRA or for all weights as in the run."""
    rank = own.get("lora.r", "")
    given = {"task": own.get("task", "pretrain"), "lora": {"r": int(rank)} if rank.isdecimal() else {}}
    try:
        return config_from_settings(given)
    except ConfigError:  # from another version
        return config_from_settings({})


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
    """Return the settings by dotted name; empty if there is no readable config.toml."""
    try:
        parsed = read_toml(folder / "config.toml")
    except ConfigError:
        return {}
    return {name: _shown(value) for name, value in _flat(parsed)}


def _environment(folder: Path) -> dict[str, str]:
    try:
        facts = dict(_flat(read_object(folder / "environment.json")))
    except (OSError, FormatError):
        return {}
    named = {_ENVIRONMENT_NAMES.get(key, key.rpartition(".")[2]): _shown(value) for key, value in facts.items()}
    if isinstance(facts.get("machine.memory_bytes"), int):
        named["memory"] = size(facts["machine.memory_bytes"])
    if command := shown_command(facts):
        named["command"] = " ".join(command)
    return {key.replace("_", " "): _shortened(value) for key, value in named.items()}


def _shortened(value: str) -> str:
    """Truncate a hash to twelve digits, which are enough to identify it."""
    is_hash = len(value) >= _HASH_DIGITS and all(one in "0123456789abcdef" for one in value)
    return f"{value[:12]}…" if is_hash else value


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield prefix + name, value


def _shown(value: object) -> str:
    return _MISSING if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
