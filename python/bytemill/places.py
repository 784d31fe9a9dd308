"""Paths without personal data: runs and pages store these instead of home folders and user names.

A path below the home folder is written as `~/…`. Another path that contains the user's name is written as `{run}/…`,
relative to the run's folder. Both are resolved when settings are read. In text for people only, other mentions of the
user's folders become `~` or `user`.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
from pathlib import Path

__all__ = ["portable_path", "relative_path", "resolved_path", "without_user"]

RUN = "{run}"
_NO_SECRETS = ("", "root")


def portable_path(path: str, run: Path) -> str:
    """Return a path as stored in the folder `run`; a path without the user's name or home stays unchanged.

    >>> portable_path("shards", Path("runs/a")), portable_path("/data/shards", Path("runs/a"))
    ('shards', '/data/shards')
    >>> portable_path(str(Path.home() / "shards"), Path("runs/a"))
    '~/shards'
    """
    whole = Path(path).expanduser()
    if not (whole.is_absolute() or _names_user(path)):
        return path
    for home in _homes():
        if whole.absolute().is_relative_to(home):
            return (Path("~") / whole.absolute().relative_to(home)).as_posix()
    if _names_user(path) and whole.exists():  # a path that does not exist is a hub's name
        return f"{RUN}/{Path(os.path.relpath(whole, run)).as_posix()}"
    return path


def resolved_path(path: str, run: Path | None = None) -> str:
    """Return a path that `portable_path` wrote as a usable path; any other path is unchanged.

    A relative path that does not exist here is searched for in the folders above the run. So a run can be used from
    another working folder, and after its whole project was moved.

    >>> resolved_path("{run}/../shards", Path("runs/a")), resolved_path("shards")
    ('runs/a/../shards', 'shards')
    """
    if path.startswith(f"{RUN}/") and run is not None:
        return str(run / path.removeprefix(f"{RUN}/"))
    if path.startswith("~/"):
        return str(Path(path).expanduser())
    if run is None or Path(path).is_absolute() or Path(path).exists():
        return path
    above = (folder / path for folder in run.resolve().parents)
    return next((str(place) for place in above if place.exists()), path)


def relative_path(argument: str) -> str:
    """Return an argument of a command with its absolute path, also after `NAME=`, seen from the current folder.

    A path that shares no folder with the current one, or that is below the home folder, stays unchanged.

    >>> relative_path(f"base={Path.cwd()}/runs/a"), relative_path("-o"), relative_path("runs/a")
    ('base=runs/a', '-o', 'runs/a')
    """
    name, equals, value = argument.rpartition("=")
    path, here = Path(value), Path.cwd()
    if not path.is_absolute() or (path.root == here.root and len(path.parts) < 2):
        return argument
    if any(path.is_relative_to(home) and not path.is_relative_to(here) for home in _homes()):
        return argument
    shared = os.path.commonpath([path, here]) if path.drive == here.drive else ""
    if len(Path(shared).parts) < 2:
        return argument
    return f"{name}{equals}{os.path.relpath(path, here)}"


def without_user(text: str) -> str:
    """Replace the home folder by `~`, and the user's name between slashes by `user`.

    >>> without_user(f"bytemill train -o {Path.home()}/runs/a")
    'bytemill train -o ~/runs/a'
    """
    for home in _homes():
        text = re.sub(r"(?<![\w.~-])" + re.escape(str(home)) + r"(?![\w.-])", "~", text)
    for name in _user_names():
        text = re.sub(rf"(?<=[/\\]){re.escape(name)}(?![\w.-])", "user", text)
    return text


def _homes() -> list[Path]:
    """Return the home folder, and its real path; the file system's root is not a home folder."""
    try:
        home = Path.home()
    except RuntimeError:  # no home folder is known
        return []
    return [place for place in dict.fromkeys([home, home.resolve()]) if place.is_absolute() and place.name]


def _user_names() -> set[str]:
    names = {home.name for home in _homes()}
    with contextlib.suppress(KeyError, OSError):  # a user id without a name
        names.add(getpass.getuser())
    return names - set(_NO_SECRETS)


def _names_user(path: str) -> bool:
    return not _user_names().isdisjoint(Path(path).parts)
