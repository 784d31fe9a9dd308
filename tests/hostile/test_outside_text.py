"""Text from outside: escapes are shown, secrets are not, on terminals, in errors and in what is stored."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytemill.cli import main
from bytemill.cli.console import TerminalText, put
from bytemill.errors import ArgumentError
from bytemill.outside_text import checked_key, for_people, one_line, printable, public_url, without_secrets
from hostile_server import HostileServer, replies

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "S3cr3tValue"


@given(st.text())
def test_nothing_printable_moves_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if (ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]
    shown.encode()  # no half of a surrogate pair
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


def test_what_changes_the_direction_of_text_is_shown() -> None:
    assert printable("a\u202eb\u2066c\u2028d\x9be\rf") == r"a\u202eb\u2066c\u2028d\x9be\rf"
    assert printable("שלום 👩‍👩‍👧 \t\n") == "שלום 👩‍👩‍👧 \t\n"


def test_one_line_is_cut_at_its_length() -> None:
    assert one_line("a" * 200) == "a" * 200
    assert one_line("a" * 201) == "a" * 200 + "…"
    assert one_line(" a\n\n b\t") == "a b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://me:{SECRET}@h/p?key={SECRET}&n=1#{SECRET}", "http://h/p?key=…&n=…"),
        (f"https://{SECRET}@h:8443", "https://h:8443"),
        (f"https://h/?{SECRET}", "https://h/?…"),
        (f"http://me:{SECRET}/@h/p", "http://h/p"),
        (f"http://me:{SECRET}@@[::1]:80/", "http://[::1]:80/"),
        (f"me:{SECRET}@h?k={SECRET}", "h"),
        ("https://h/@name/p", "https://h/@name/p"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, shown: str) -> None:
    assert public_url(url) == shown
    for place in ("{}", "'{}'", "({}).", "see {}, please", "--url={}"):
        if "://" in url:
            assert SECRET not in without_secrets(place.format(url))
    if "://" in url:
        assert without_secrets(f"'{url}'") == f"'{shown}'"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"Illegal header value b'Basic {SECRET}'",
        f"Illegal header value b'Bearer {SECRET}'",
        f'{{"api_key": "{SECRET}"}}',
        f"--set x.api_key={SECRET}",
        f"password = {SECRET}",
        f"HF_TOKEN={SECRET}",
    ],
)
def test_named_secrets_are_left_out(text: str) -> None:
    assert SECRET not in without_secrets(text)


def test_tokens_of_known_forms_and_the_environment_s_secrets_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_secrets(f"hf_{'aB3' * 11} sk-proj-{'aB3' * 8} ghp_{'aB3' * 12}") == "… … …"
    monkeypatch.setenv("WANDB_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("SHORT_KEY", "abc")
    assert for_people(f"sent {SECRET} and abc") == "sent … and abc"


PLAIN = [
    "data.tokenizer=t.json",
    "the key 'a' is missing",
    "tokens: 5",
    "a basic question",
    "hf_internal_testing_model",
]


@pytest.mark.parametrize(
    "text", [*PLAIN, "sk-learn-and-other-names-of-models", "https://example.org/a@b/c", "end_token=2"]
)
def test_plain_words_stay(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("key", ["", " \n", "a b", "a\nb", "ä", "\x7f"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    with pytest.raises(ArgumentError, match=r"^KEY (is empty|contains a blank)"):
        checked_key(key, name="KEY")


def test_stdout_on_a_terminal_keeps_colours_alone() -> None:
    written = io.StringIO()
    terminal = TerminalText(written)
    text = "\x1b[1;31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \x1b c\r\n\t"
    assert terminal.write(text) == len(text)
    assert written.getvalue() == "\x1b[1;31mred\x1b[0m \\x1b]0;title\\x07 \\x1b[2J \\x1b c\\r\n\t"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_model_s_text_is_escaped_on_a_terminal_and_raw_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\x1b[31mred\x1b]52;c;x\x07\n\tdone\u202e"
    for stream, shown in ((Terminal(), r"\x1b[31mred\x1b]52;c;x\x07" + "\n\tdone" + r"\u202e"), (io.StringIO(), text)):
        monkeypatch.setattr(sys, "stdout", stream)
        put(text, end="")
        assert stream.getvalue() == shown


def on_a_terminal(*arguments: str) -> str:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bytemill", *arguments]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "200"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # how Linux ends a terminal
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    process.wait(60)
    return shown.decode()


def test_errors_and_tables_on_a_terminal_show_escapes(tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\x1b[31mred.json"
    assert "\x1b" not in on_a_terminal("data", "verify", str(tmp_path / name))
    row = {"instruction": "a", "output": "b", "model_response": "c"}
    for one in (name, "plain.json"):
        (tmp_path / one).write_text(json.dumps([row]))
    with HostileServer(replies(json.dumps({"message": {"content": "7"}}).encode())) as server:
        shown = on_a_terminal(
            "eval", "judge", str(tmp_path / name), str(tmp_path / "plain.json"), "--judge", "m", "--url", server.url
        )
    table = shown[shown.index("┏") :]
    assert "\x1b" not in table
    assert r"\x1b]0;owned\x07\x1b[31mred.json" in table
    assert "\x1b]0;owned" not in shown


def run(*arguments: object) -> int:
    argv, sys.argv = sys.argv, ["bytemill", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = argv
    return int(stopped.value.code or 0)


def test_a_judge_s_secrets_are_neither_printed_nor_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"instruction": "a", "output": "b", "model_response": "c"}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    monkeypatch.setenv("JUDGE", f"{SECRET}\n")
    with HostileServer() as server:
        server.on("/api/chat", replies(f"wrong key {SECRET}".encode(), 401), replies(b'{"message": {"content": "7"}}'))
        address = server.url.replace("//", f"//me:{SECRET}@") + f"?key={SECRET}"
        options = ["--judge", "m", "--page", tmp_path / "page.html"]
        assert run("eval", "judge", tmp_path / "a.json", *options, "--url", address) == 1
        assert run("eval", "judge", tmp_path / "a.json", *options, "--url", address) == 0
        server.on("/api/chat", replies(f"wrong key {SECRET}".encode(), 401))
        other = ["--url", server.url, "--key-variable", "JUDGE", "--rubric", "safety"]
        assert run("eval", "judge", tmp_path / "a.json", *options, *other) == 1
        assert server.headers_of("Authorization")[2] == f"Bearer {SECRET}"
    shown = capsys.readouterr()
    stored = "".join(path.read_text() for path in tmp_path.iterdir())
    assert SECRET not in shown.out + shown.err + stored
    assert '"url": "http://127.0.0.1:' in stored


@pytest.mark.parametrize("key", ["a\nb", "schlüssel"])
def test_a_key_variable_that_cannot_be_sent_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    (tmp_path / "a.json").write_text("[]")
    monkeypatch.setenv("JUDGE", key)
    assert run("eval", "judge", tmp_path / "a.json", "--judge", "m", "--key-variable", "JUDGE") == 2
    said = capsys.readouterr().err
    assert "the environment variable JUDGE contains a blank, a control" in said
    assert key not in said


def test_a_stored_command_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from bytemill.train.machine.environment import describe_environment

    url = f"http://me:{SECRET}@h/?key={SECRET}"
    monkeypatch.setattr(sys, "argv", ["bytemill", "train", "--url", url, f"--url={url}", f"--set=a.api_key={SECRET}"])
    assert SECRET not in json.dumps(describe_environment(torch.device("cpu")))
