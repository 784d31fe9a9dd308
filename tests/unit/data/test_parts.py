"""A corpus prepared file by file gives the same folder, whatever the number of tasks; and the commands around it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.data import merge, prepare, read_manifest, verify
from bytemill.data.parts import prepare_parts
from bytemill.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "corpus"
    (folder / "b").mkdir(parents=True)
    for number, name in enumerate(["a.jsonl", "b/x.jsonl", "b/y.jsonl", "c.jsonl", ".hidden"]):
        rows = [json.dumps({"text": f"row {i} of file {number}: {i * i}"}) for i in range(200)]
        (folder / name).write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def vocabulary(corpus: Path) -> Path:
    Tokenizer.train(files=sorted(corpus.glob("*.jsonl")), vocab_size=300).save(corpus.parent / "t.json")
    return corpus.parent / "t.json"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def run(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bytemill", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code


def test_any_number_of_tasks_gives_the_same_bytes(corpus: Path, vocabulary: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(vocabulary)
    results = []
    for n_tasks in (1, 3):
        out = tmp_path / str(n_tasks)
        for task in range(n_tasks, 0, -1):
            prepare_parts([corpus], out, tokenizer=tokenizer, shard_of=(task, n_tasks), shard_tokens=1_000, val=0.1)
        parts = sorted(out.glob("part_*"))
        assert len(parts) == 4
        merge(parts, out / "merged")
        verify(out / "merged")
        results.append(contents(out / "merged"))
    assert results[0] == results[1]
    manifest = read_manifest(tmp_path / "1" / "merged")
    assert manifest.documents("train") + manifest.documents("val") == 800
    with pytest.raises(ArgumentError, match=r"shard_of is 4/3"):
        prepare_parts([corpus], tmp_path / "x", tokenizer=tokenizer, shard_of=(4, 3))


def test_a_link_that_leads_nowhere_is_told_and_not_passed_over(vocabulary: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("some text " * 30)
    (tmp_path / "corpus" / "b.txt").symlink_to("nowhere")
    for number, work in enumerate([prepare, partial(prepare_parts, shard_of=(1, 1))]):
        with pytest.raises(FileNotFoundError, match=r"b\.txt"):
            work([tmp_path / "corpus"], tmp_path / str(number), tokenizer=Tokenizer.load(vocabulary))


def test_a_damaged_part_is_not_merged(corpus: Path, vocabulary: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "part", tokenizer=Tokenizer.load(vocabulary))
    shard = tmp_path / "part" / "train_000000.bin"
    damaged = bytearray(shard.read_bytes())
    damaged[2_000] ^= 1
    shard.write_bytes(damaged)
    with pytest.raises(FormatError, match=r"train_000000\.bin"):
        merge([tmp_path / "part"], tmp_path / "merged")
    assert not (tmp_path / "merged" / "manifest.json").exists()


def test_commands_for_parts_merge_stats_and_inspect(
    corpus: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out, merged = tmp_path / "out", tmp_path / "merged"
    for task in ("1/2", "2/2"):
        run("prepare", corpus, "-t", vocabulary, "-o", out, "--shard-of", task, "--val", 0.1, monkeypatch=monkeypatch)
    assert len(capfd.readouterr().out.split()) == 4
    run("merge", *sorted(out.iterdir()), "-o", merged, monkeypatch=monkeypatch)
    assert capfd.readouterr().out.strip() == str(merged)
    run("stats", merged, "-t", vocabulary, "--json", "--plot", tmp_path / "l.png", monkeypatch=monkeypatch)
    found = json.loads(capfd.readouterr().out)
    assert found["train"]["documents"] == 720
    assert sum(source["share"] for source in found["sources"]) == pytest.approx(1)
    assert sum(row["count"] for row in found["train"]["frequent"]) <= found["train"]["tokens"]
    assert "<|endoftext|>" in [row["text"] for row in found["train"]["frequent"]]
    assert (tmp_path / "l.png").stat().st_size > 1_000
    run("stats", merged, monkeypatch=monkeypatch)
    assert "most frequent tokens" in capfd.readouterr().out
    run("inspect", merged, "-t", vocabulary, "-n", 2, "--first", 3, "--tokens", 5, monkeypatch=monkeypatch)
    shown = capfd.readouterr().out
    assert "document 3 of train" in shown
    assert "document 4 of train" in shown
    assert shown.count("<|endoftext|>") == 2
    assert "more" in shown


def test_stdin_is_a_text_or_rows(
    corpus: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, n_documents in ([], 1), (["--jsonl"], 200):
        out = tmp_path / str(n_documents)
        with (corpus / "a.jsonl").open() as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            run("prepare", "-", "-t", vocabulary, "-o", out, "--val", 0, *arguments, monkeypatch=monkeypatch)
        assert read_manifest(out).documents("train") == n_documents
    assert {path.name for path in tmp_path.iterdir()} == {"1", "200"}, "nothing temporary is left"


def test_a_closed_stdin_is_an_error(
    vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    monkeypatch.setattr("sys.argv", ["bytemill", "data", "prepare", "-", "-t", str(vocabulary), "-o", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "bytemill: stdin is closed, expected input\n"
    assert list(tmp_path.iterdir()) == []


def test_a_hugging_face_data_set_by_name(
    corpus: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_bytes((corpus / "a.jsonl").read_bytes())
    code = "import sys; from bytemill.cli import main; main()"
    source, out = f"hf:{tmp_path / 'set'}", tmp_path / "out"
    arguments = ["data", "prepare", source, "-t", str(vocabulary), "-o", str(out), "--val", "0"]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    prepare(corpus / "a.jsonl", tmp_path / "plain", tokenizer=Tokenizer.load(vocabulary), val=0.0)
    assert (out / "train_000000.bin").read_bytes() == (tmp_path / "plain" / "train_000000.bin").read_bytes()


def test_a_tokenizer_that_is_not_the_shards_is_refused(corpus: Path, vocabulary: Path, tmp_path: Path) -> None:
    from bytemill.data.statistics import folder_statistics

    prepare(corpus, tmp_path / "shards", tokenizer=Tokenizer.load(vocabulary))
    other = Tokenizer.train(texts=["another text"], vocab_size=260)
    with pytest.raises(ValueError, match="another tokenizer"):
        folder_statistics(tmp_path / "shards", other)


def test_ids_of_the_reader_are_those_of_the_file(corpus: Path, vocabulary: Path, tmp_path: Path) -> None:
    from bytemill import _core

    prepare(corpus, tmp_path / "shards", tokenizer=Tokenizer.load(vocabulary), val=0.0)
    reader = _core.SplitReader(str(tmp_path / "shards"), "train")
    expected = np.memmap(tmp_path / "shards" / "train_000000.bin", dtype=np.uint16, mode="r", offset=1_024)
    assert reader.read(0, len(reader)).tolist() == expected.tolist()
    starts = reader.document_starts()
    assert (expected[starts.astype(np.int64)] == read_manifest(tmp_path / "shards").end_of_text).all()
