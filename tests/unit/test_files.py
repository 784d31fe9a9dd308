"""What kills leave: temporary files, which are cleared away where they are ours, and lines cut short."""

import json
import os
import signal
from pathlib import Path

import pytest

from bytemill.files import LineFile, new_file, remove_leftovers, write_text
from bytemill.train.run.metrics import JsonLines, read_json_lines

LEFTOVER = ".metrics.jsonl.0123456789abcdef.tmp"


def leave_behind(path: Path) -> None:
    """Have a process killed while it writes `path`."""
    child = os.fork()
    if child == 0:
        with new_file(path) as file:
            file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("name", ["metrics.jsonl", "a", "n" * 50, "n" * 51, "é" * 60])
def test_what_a_killed_writer_left_is_cleared_away(tmp_path, name):
    write_text(tmp_path / name, "whole")
    leave_behind(tmp_path / name)
    leave_behind(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3
    remove_leftovers(tmp_path, [name])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "whole"


@pytest.mark.parametrize(
    "name",
    [
        ".report.html.0123456789abcdef.tmp",  # somebody else may be writing it now
        ".metrics.jsonl.0123456789abcde.tmp",
        ".metrics.jsonl.0123456789abcdef0.tmp",
        ".metrics.jsonl.0123456789ABCDEF.tmp",
        ".metrics.jsonl.0123456789abcdef.tmp2",
        ".metrics.jsonl.tmp",
        "metrics.jsonl.0123456789abcdef.tmp",
        "metrics.jsonl",
    ],
)
def test_what_others_left_stays(tmp_path, name):
    (tmp_path / name).write_text("theirs")
    remove_leftovers(tmp_path, ["metrics.jsonl"])
    assert (tmp_path / name).read_text() == "theirs"


def test_a_folder_or_a_link_with_a_leftovers_name_stays(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / LEFTOVER).mkdir()
    (tmp_path / "precious").write_text("theirs")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / LEFTOVER).symlink_to(tmp_path / "precious")
    for folder in ("one", "two", "not_there"):
        remove_leftovers(tmp_path / folder, ["metrics.jsonl"])
    assert (tmp_path / "one" / LEFTOVER).is_dir()
    assert (tmp_path / "two" / LEFTOVER).read_text() == "theirs"


def test_lines_go_on_after_a_kill_at_any_byte(tmp_path):
    """Each cut of a file that grows: whole lines stay, a cut one goes, and the next line begins a line of its own."""
    path = tmp_path / "samples.jsonl"
    lines = [{"step": step, "text": text} for step, text in enumerate(["é\n漢🙂", "", "x" * 50])]
    whole = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    last = {"step": 3, "text": "after"}
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        n_whole = whole[:cut].count(b"\n")
        assert read_json_lines(path) == lines[:n_whole]
        again = JsonLines(path, before_step=3)
        again.append(last)
        again.close()
        assert read_json_lines(path) == [*lines[:n_whole], last]
        assert path.read_bytes().count(b"\n") == n_whole + 1


def test_a_line_that_the_system_takes_in_pieces_is_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda opened, content: write(opened, content[:3]))
    lines = LineFile(tmp_path / "lines.txt", "kept\n")
    lines.append("a longer line, é\n")
    lines.close()
    assert (tmp_path / "lines.txt").read_text() == "kept\na longer line, é\n"
