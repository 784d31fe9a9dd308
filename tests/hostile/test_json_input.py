"""JSON from outside: too deep, too large, no JSON, of another shape, not a file; one sentence with the source each."""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytemill import json_reader
from bytemill.cli import main
from bytemill.data import read_manifest
from bytemill.data.rows import read_rows
from bytemill.errors import BytemillError, ConfigError, DataError, FormatError
from bytemill.evaluate.answers import read_answers
from bytemill.evaluate.hellaswag import read_hellaswag
from bytemill.evaluate.journal import Journal
from bytemill.experiment.sweep.run import ended_run
from bytemill.json_reader import MAX_DEPTH, parse_json, parse_object, read_json, read_lines, read_object
from bytemill.train.config import load_config
from bytemill.train.run.metrics import read_json_lines
from hostile_server import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEEP = "[" * 200_000
DEEP_ROW = '{"step": ' + "[" * 50_000 + "]" * 50_000 + "}"


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_the_depth_is_limited_on_both_sides() -> None:
    assert parse_json(nested(MAX_DEPTH), "x") is not None
    with pytest.raises(FormatError, match=r"^x: its JSON is nested more than 100 levels deep$"):
        parse_json(nested(MAX_DEPTH + 1), "x")
    wide = json.dumps([[[]]] * 10_000)
    assert parse_json(wide, "x") == [[[]]] * 10_000


@pytest.mark.parametrize("text", [f'"{DEEP}"', f'"\\"{DEEP}"', f'["\\\\", "{DEEP}"]', f'{{"{DEEP}": 1}}'])
def test_brackets_in_strings_are_not_depth(text: str) -> None:
    assert parse_json(text, "x") == json.loads(text)


@given(st.recursive(st.none() | st.text('[]{}"\\a'), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_depth_is_counted_as_json_nests(value: Any) -> None:
    def depth(one: Any) -> int:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    for limit in range(4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_reader, "MAX_DEPTH", limit)
            if depth(value) > limit:
                with pytest.raises(FormatError, match="nested more than"):
                    parse_json(json.dumps(value), "x")
            else:
                assert parse_json(json.dumps(value), "x") == value


def test_deep_json_is_an_error_in_a_thread_with_a_small_stack() -> None:
    found: list[str] = []

    def read() -> None:
        try:
            parse_json(DEEP, "x")
        except FormatError as error:
            found.append(str(error))

    size = threading.stack_size(256 << 10)
    try:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert found == ["x: its JSON is nested more than 100 levels deep"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "not JSON in UTF-8: Expecting value"),
        (b"{", "not JSON in UTF-8: Expecting property name"),
        (b'"\xff"', "not JSON in UTF-8: byte 0xff at 1"),
        (b"\xff\xfe{\x00}\x00", "not JSON in UTF-8: byte 0xff at 0"),
        (b"9" * 5000, "line 1 of its JSON has an integer of more than 4,300 digits"),
        (b"[]", "holds a JSON list, expected an object"),
        (b"null", "holds a JSON null, expected an object"),
        (b"true", "holds a JSON boolean, expected an object"),
        (b"1.5", "holds a JSON number, expected an object"),
    ],
)
def test_what_is_no_object_is_one_sentence(text: bytes, sentence: str) -> None:
    with pytest.raises(FormatError, match=rf"^x: {sentence}[^\n]*$"):
        parse_object(text, "x")
    with pytest.raises(DataError):
        parse_object(text, "x", error=DataError)


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_object(b"\xef\xbb\xbf{}", "x") == parse_object("\ufeff{}", "x") == {}


def test_the_size_is_limited_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"[1,2]")
    assert read_json(path, max_bytes=5) == [1, 2]
    with pytest.raises(FormatError, match=r"x\.json: larger than 4 bytes, the maximum for such a file$"):
        read_json(path, max_bytes=4)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    for read in (read_object, lambda path: list(read_lines(path))):
        with Stopwatch(), pytest.raises(FormatError, match="larger than"):
            read(path)


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody writes
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with Stopwatch(), pytest.raises(FormatError, match="a folder, pipe or device, expected a regular file"):
            read_object(path)


READERS: dict[str, Callable[[Path], object]] = {
    "metrics.jsonl": read_json_lines,
    "answers.json": read_answers,
    "rows.json": lambda path: read_rows(path, ()),
    "rows.jsonl": lambda path: read_rows(path, ()),
    "items.jsonl": read_hellaswag,
    "journal.jsonl": lambda path: Journal(path, {}).__exit__(),
    "manifest.json": lambda path: read_manifest(path.parent),
    "sweep.json": lambda path: ended_run(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_json_says_which_file_is_too_deep(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(DEEP_ROW + "\n")
    with pytest.raises(BytemillError, match=rf"{name}[^\n]*: its JSON is nested more than 100 levels deep$"):
        READERS[name](path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", ["7", '"a"', "null", "[7]", "[[]]", "{}", "\x1b[31m", "\ud800"])
def test_every_reader_of_json_survives_another_shape(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text + "\n", errors="surrogatepass")
    says_which = pytest.raises(BytemillError, match=rf"^[^\n]*{name}[^\n]*$")
    is_one = text == "{}" and name in ("journal.jsonl", "rows.jsonl")  # a header, a row
    with nullcontext() if is_one else says_which:
        READERS[name](path)


MANIFEST = {
    "n_vocab": 256,
    "end_of_text": None,
    "tokenizer_sha256": "",
    "root_sha256": "",
    "plan": None,
    "shards": [{"split": "train", "tokens": 1, "documents": 1}],
    "inputs": [{"name": "a", "bytes": 1, "sha256": ""}],
}


@pytest.mark.parametrize(
    "change",
    [
        {"n_vocab": "256"},
        {"n_vocab": True},
        {"end_of_text": "x"},
        {"tokenizer_sha256": 7},
        {"plan": 7},
        {"shards": {}},
        {"shards": [7]},
        {"shards": [{"split": "train"}]},
        {"shards": [{"split": "train", "tokens": "1", "documents": 1}]},
        {"inputs": [{"name": 7, "bytes": 1, "sha256": ""}]},
    ],
)
def test_a_manifest_of_another_shape_names_the_field(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    assert read_manifest(tmp_path).tokens("train") == 1
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST | change))
    (field,) = change
    with pytest.raises(FormatError, match=rf"manifest\.json: not a manifest of token shards: .*{field}"):
        read_manifest(tmp_path)


def run(*arguments: object) -> int:
    argv, sys.argv = sys.argv, ["bytemill", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = argv
    return int(stopped.value.code or 0)


@pytest.mark.parametrize("name", ["config.json", "adapter_config.json"])
def test_a_deep_model_folder_is_one_sentence(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text('{"model_type": ' + DEEP)
    if name == "adapter_config.json":
        from bytemill.model import GPT2, GPT2Config
        from bytemill.model.lora import load_adapter

        tiny = GPT2(GPT2Config(vocab_size=8, n_positions=8, n_embd=8, n_layer=1, n_head=1))
        with pytest.raises(FormatError, match=rf"{name}: its JSON is nested more than 100 levels deep"):
            load_adapter(tiny, tmp_path)
        return
    assert run("model", "info", tmp_path) == 1
    assert capsys.readouterr().err.endswith(f"{name}: its JSON is nested more than 100 levels deep\n")


@pytest.mark.parametrize("name", ["metrics.jsonl", "changes.jsonl", "samples.jsonl"])
def test_a_deep_file_of_a_run_is_one_sentence_in_a_report(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (tmp_path / name).write_text(DEEP_ROW + "\n")
    assert run("report", tmp_path, "-o", tmp_path / "page.html") == 1
    assert capsys.readouterr().err.endswith(f"{name}, line 1: its JSON is nested more than 100 levels deep\n")


def test_a_deep_environment_is_left_out_of_a_report(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (tmp_path / "environment.json").write_text(DEEP)
    (tmp_path / "config.toml").write_text("a = " + DEEP)
    assert run("report", tmp_path, "-o", tmp_path / "page.html") == 0


def test_deep_settings_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text("a = " + DEEP)
    with pytest.raises(ConfigError, match=r"c\.toml: lists or tables are nested too deeply|not valid TOML"):
        load_config(tmp_path / "c.toml")
    for setting in (f"data.path={DEEP}", "a." * 50_000 + "b=1"):
        assert run("train", "--dry-run", "--set", setting) in (1, 2)
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({}, "has no step or no files"),
        ({"step": "1", "files": {}}, "has no step or no files"),
        ({"step": 1, "files": []}, "has no step or no files"),
        ({"step": 1, "files": {"model.safetensors": 7}}, "has no size and SHA-256 for model.safetensors"),
        ({"step": 1, "files": {}}, "has no size and SHA-256 for model.safetensors"),
    ],
)
def test_a_state_of_another_shape_with_its_checksum_is_refused(
    tmp_path: Path, state: dict[str, Any], sentence: str
) -> None:
    from bytemill.errors import CheckpointError
    from bytemill.train.run import checkpoint

    (tmp_path / "model.safetensors").write_bytes(b"")
    spelled = checkpoint._spell({"format_version": checkpoint.FORMAT_VERSION, **state})
    (tmp_path / "state.json").write_text(spelled)
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.verify_checkpoint(tmp_path)
    (tmp_path / "state.json").write_text(DEEP)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.verify_checkpoint(tmp_path)


FORMATS = ["", "7", "bytemill-gpt2", "bytemill-transformers"]


@pytest.mark.parametrize("fields", [{}, *({"format": name} for name in FORMATS)])
def test_a_config_of_another_shape_is_one_sentence(fields: dict[str, Any]) -> None:
    from torch import nn

    from bytemill.tasks.base_model import model_from_json, wrap_as_saved

    with pytest.raises(FormatError, match=r"config\.json of the checkpoint is not one of bytemill's"):
        model_from_json(fields)
    with pytest.raises(FormatError, match="lora is not an object"):
        wrap_as_saved(nn.Linear(1, 1), {"lora": [7]})


@pytest.mark.parametrize("text", ["{}", '{"exit_code": "x", "seconds": 1}', '{"exit_code": [], "seconds": null}'])
def test_an_end_of_a_run_of_another_shape_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(FormatError, match=r"sweep\.json: expected exit_code and seconds as numbers"):
        ended_run(tmp_path)
    (tmp_path / "sweep.json").write_text('{"exit_code": 0, "seconds": 1.5, "later": 1}')
    assert ended_run(tmp_path) is not None
