"""From a text to a chat in transformers by the README's commands alone, early stopping, LoRA and a judge included."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bytemill.cli import app
from bytemill.train.run.metrics import read_json_lines

TEXT = "the river and the hill. " * 300
QUIET = ["train.precision=fp32", "train.device=cpu", "train.tensorboard=false"]
SHAPE = ["model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.n_positions=512"]


def run(*words: object, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


class Judge(BaseHTTPRequestHandler):
    """Ollama's chat, with 90 points for whatever it is asked."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"message": {"role": "assistant", "content": "90"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def judge() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("rank", [0, 8])
def test_text_to_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: str, rank: int) -> None:
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    words = ("river", "hill", "and", "the river", "the hill")
    rows = [{"instruction": f"Say {word}", "input": "", "output": f"the {word}"} for word in words * 6]
    Path("rows.json").write_text(json.dumps(rows), encoding="utf-8")
    run("tokenizer", "train", "book.txt", "--vocab-size", 300, "-o", "tokenizer.json")
    run("data", "prepare", "book.txt", "-t", "tokenizer.json", "-o", "shards")
    early = ["train.max_steps=60", "train.eval_every=2", "train.patience=1", "train.learning_rate=3", "data.seq_len=32"]
    run("train", "-o", "runs/first", "--set", "data.path=shards", "data.batch_size=4", *SHAPE, *early, *QUIET)
    losses = {
        row["step"]: row["val_loss"] for row in read_json_lines(Path("runs/first/metrics.jsonl")) if "val_loss" in row
    }
    best = min((step for step in losses if step), key=lambda step: losses[step])
    assert max(losses) < 60  # it ended early
    assert json.loads(run("model", "info", "runs/first", "--json"))["step"] == best
    learns = ["data.batch_size=8", "data.seq_len=128", "train.max_steps=120", "train.learning_rate=1e-2"]
    where = ["--model", "runs/first", "--data", "rows.json", "--lora-rank", rank, "-o", "runs/tuned"]
    run("finetune", "instruct", *where, "--set", "data.template=chatml", *learns, *QUIET)
    said = run("chat", "-m", "runs/tuned", "--temperature", 0, "--max-new-tokens", 20, stdin="Say river\nSay hill\n")
    assert len(said.splitlines()) >= 2
    options = ["--split", "test", "--temperature", 0, "--max-new-tokens", 20]
    run("generate", "-m", "runs/tuned", "--rows", "rows.json", *options, "-o", "answers.json")
    scores = json.loads(run("eval", "judge", "answers.json", "--judge", "any", "--url", judge, "--json"))
    assert next(iter(scores.values()))["mean"] == 90
    run("model", "export", "runs/tuned", "mine")
    pipe = transformers.pipeline("text-generation", model="mine")
    theirs = pipe([{"role": "user", "content": "Say hill"}], max_new_tokens=20, do_sample=False)
    answer = theirs[0]["generated_text"][-1]["content"]
    assert (
        answer.strip()
        == run("chat", "-m", "runs/tuned", "--temperature", 0, "--max-new-tokens", 20, stdin="Say hill\n").strip()
    )
    run("report", "runs/first", "tuned=runs/tuned", "-o", "report.html")
    assert Path("report.html").stat().st_size > 10_000
