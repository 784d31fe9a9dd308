"""Makes one page of each kind from small artificial results, for tests that apply to all pages."""

import json
import math
import random
from pathlib import Path

from bytemill import Tokenizer
from bytemill.evaluate.judge import Scores
from bytemill.evaluate.lengths import answer_lengths
from bytemill.evaluate.prompts import Prompt, PromptTable
from bytemill.experiment.ladder import Ladder, LadderSize, Measurement
from bytemill.experiment.rungs import RUNGS, Way
from bytemill.model import GPT2Config
from bytemill.report.audit import audit_page
from bytemill.report.comparison import comparison_page
from bytemill.report.evaluation import judge_page, prompts_page
from bytemill.report.inspection import inspection_page
from bytemill.report.ladder import ladder_page
from bytemill.report.page import Page
from bytemill.report.run import run_page
from bytemill.tokenizer.audit import audit
from bytemill.tokenizer.compare import compare
from bytemill.tokenizer.pieces import pieces
from bytemill.tokenizer.trace import trace

HOSTILE = "<script>alert('1')</script>&amp;\"\x00\x1b[31m\u202e $x_1$ `</code>` ]]> -->"
TEXT = "the cat sat on the mat, and 北京 too. " * 4


def pages(folder: Path) -> dict[str, Page]:
    """Return pages by the name of the command that writes them; runs are written into `folder`."""
    tokenizer = Tokenizer.train(texts=[TEXT, HOSTILE], vocab_size=290)
    other = Tokenizer.train(texts=[TEXT], vocab_size=270)
    texts = {"text": TEXT, HOSTILE: HOSTILE}
    runs = [write_run(folder / name, n_steps=40, rate=rate) for name, rate in (("a", 1.0), ("b", 0.5))]
    bare = folder / "bare"
    bare.mkdir()
    (bare / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n', encoding="utf-8")
    return {
        "compare": comparison_page(compare({"one": tokenizer, HOSTILE: other}, texts, ["mat", HOSTILE])),
        "audit": audit_page(HOSTILE, tokenizer, audit(tokenizer)),
        "inspect": inspection_page([pieces(tokenizer, TEXT + HOSTILE, special=True)], trace(tokenizer, "the mat\n")),
        "bare run": run_page(bare),
        "two runs": run_page(runs),
        "ladder": ladder_page(_ladder()),
        "prompts": prompts_page(PromptTable([Prompt(HOSTILE, HOSTILE, "yes")], {"base": [HOSTILE], "tuned": [TEXT]})),
        "judge": judge_page("quality", HOSTILE, {"a": _ANSWERS}, {"a": Scores([7.0], 0, 0, answer_lengths([TEXT]))}),
    }


_ANSWERS = [{"prompt": HOSTILE, "model_response": TEXT}]


def _ladder() -> Ladder:
    """Return a ladder with three measured and three skipped rungs."""
    first, *others = RUNGS
    measured = [Measurement(first, first.name, Way(), 20.0, 1e5, 1.0, 1.0, 9.4, 812.0)]
    measured += [Measurement(rung, rung.name, Way("bf16"), 10.0, 2e5, 2.0, 2.0, None, 500.0) for rung in others[:2]]
    measured += [Measurement(rung, rung.name, left_out=f"failed on this machine: {HOSTILE}") for rung in others[2:]]
    return Ladder(LadderSize(GPT2Config(), 4, 1_024), "a machine; 30 November 2026", tuple(measured))


def write_run(folder: Path, *, n_steps: int, rate: float) -> Path:
    """Write a run's folder as `fit` does, with everything that a report may show; return the folder."""
    folder.mkdir(parents=True)
    noise = random.Random(0)
    lines = []
    for step in range(1, n_steps + 1):
        loss = 3 + 7 * math.exp(-rate * step / n_steps * 5) + noise.gauss(0, 0.05)
        row = {"step": step, "loss": loss, "lr": 1e-3 * rate, "grad_norm": 1 + noise.random(), "tokens": step * 512}
        row |= {
            "ms": 20.0,
            "tokens_per_s": 25_000 + noise.gauss(0, 500),
            "mfu": 0.31,
            "memory_mib": 700.0,
            "margin": 0.1,
        }
        if step % max(1, n_steps // 4) == 0:
            row |= {"val_loss": loss + 0.1, "hellaswag": 0.25 + 0.02 * rate, "hellaswag_error": 0.01}
        lines.append(json.dumps(row) + "\n")
    (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "config.toml").write_text(f'task = "pretrain"\n[train]\nlearning_rate = {1e-3 * rate}\nseed = 0\n')
    environment = {
        "python": "3.12",
        "packages": {"torch": "2.9"},
        "machine": {"cpu": HOSTILE, "memory_bytes": 8 * 10**9},
    }
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    change = {"step": 3, "setting": "train.learning_rate", "old": 1.0, "new": 0.5}
    (folder / "changes.jsonl").write_text(json.dumps(change) + "\n", encoding="utf-8")
    samples = [{"step": step, "prompt": "def", "text": f"def f{step}(): {HOSTILE}"} for step in (0, 20, 40)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples), encoding="utf-8")
    return folder
