"""Preparing on a local Ray: a worker is killed on the way, and every byte is as it was without Ray."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bytemill import Tokenizer
from bytemill.data import merge
from bytemill.data.parts import prepare_on_ray, prepare_part, prepare_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

ray = pytest.importorskip("ray", reason="ray is not installed")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    python = str(Path(__file__).parents[2] / "python")
    environment = {"PYTHONPATH": os.pathsep.join([python, os.environ.get("PYTHONPATH", "")])}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    yield
    ray.shutdown()


def dies_once(source: Path, folder: Path, tokenizer: Tokenizer, options: dict[str, Any]) -> str:
    """The task of one file, whose first worker is killed in the middle of it."""
    died = source.with_suffix(".died")
    if source.stem == "1" and not died.exists():
        died.touch()
        prepare_part(source, folder, tokenizer, options)
        (folder / "manifest.json").unlink()  # as if it had been killed before the last rename
        os.kill(os.getpid(), signal.SIGKILL)
    return prepare_part(source, folder, tokenizer, options)


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_changes_no_byte(cluster: None, tmp_path: Path) -> None:
    for number in range(4):
        rows = [json.dumps({"text": f"row {i} of {number}"}) for i in range(300)]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(rows))
    sources = sorted(tmp_path.glob("*.jsonl"))
    tokenizer = Tokenizer.train(files=sources, vocab_size=290)
    options = {"shard_tokens": 1_000, "val": 0.1}
    made = prepare_on_ray(sources, tmp_path / "ray", tokenizer=tokenizer, task=dies_once, **options)
    assert (tmp_path / "1.died").exists()
    parts = prepare_parts(sources, tmp_path / "plain", tokenizer=tokenizer, shard_of=(1, 1), **options)
    plain = merge(parts, tmp_path / "plain" / "merged")
    assert made.root_sha256 == plain.root_sha256
    for path in (tmp_path / "ray" / "merged").iterdir():
        assert path.read_bytes() == (tmp_path / "plain" / "merged" / path.name).read_bytes()
