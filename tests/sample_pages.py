"""Makes one page of each kind from small artificial results, for tests that apply to all pages."""

import json
import math
import random
from pathlib import Path

import numpy as np

from bytemill import Tokenizer
from bytemill.data.rows import EncodedRows
from bytemill.evaluate.classification import ClassificationReport, ClassificationScore, ScoredText
from bytemill.evaluate.judge import Scores
from bytemill.evaluate.lengths import answer_lengths
from bytemill.evaluate.matrix import DataSet, LossMatrix
from bytemill.evaluate.prompts import Prompt, PromptTable
from bytemill.experiment.ladder import Ladder, LadderSize, Measurement
from bytemill.experiment.rungs import RUNGS, Way
from bytemill.experiment.sweep.results import SweepResult
from bytemill.experiment.sweep.run import Ended
from bytemill.model import GPT2Config
from bytemill.report.audit import audit_page
from bytemill.report.comparison import comparison_page
from bytemill.report.evaluation import classes_page, judge_page, matrix_page, prompts_page
from bytemill.report.inspection import inspection_page
from bytemill.report.ladder import ladder_page
from bytemill.report.page import Page, joined
from bytemill.report.run import run_page
from bytemill.report.sweep import sweep_page
from bytemill.tokenizer.audit import audit
from bytemill.tokenizer.compare import compare
from bytemill.tokenizer.pieces import pieces
from bytemill.tokenizer.trace import trace

HOSTILE = "<script>alert('1')</script>&amp;\"\x00\x1b[31m\u202e $x_1$ `</code>` ]]> -->"
KINDS = (
    "compare",
    "audit",
    "inspect",
    "bare run",
    "two runs",
    "ladder",
    "prompts",
    "judge",
    "classifier",
    "preference",
    "classes",
    "matrix",
    "sweep",
    "document",
)
"""The names of the pages."""
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
    made = {
        "compare": comparison_page(compare({"one": tokenizer, HOSTILE: other}, texts, ["mat", HOSTILE])),
        "audit": audit_page(HOSTILE, tokenizer, audit(tokenizer)),
        "inspect": inspection_page([pieces(tokenizer, TEXT + HOSTILE, special=True)], trace(tokenizer, "the mat\n")),
        "bare run": run_page(bare),
        "two runs": run_page(runs),
        "ladder": ladder_page(_ladder()),
        "prompts": prompts_page(PromptTable([Prompt(HOSTILE, HOSTILE, "yes")], {"base": [HOSTILE], "tuned": [TEXT]})),
        "judge": judge_page("quality", HOSTILE, {"a": _ANSWERS}, {"a": Scores([7.0], 0, 0, answer_lengths([TEXT]))}),
        "classifier": run_page(write_classifier(folder / "spam")),
        "preference": run_page(write_preference(folder / "preferred")),
        "classes": classes_page(_classes(), model="spam", data=HOSTILE),
        "matrix": matrix_page(_matrix()),
        "sweep": sweep_page(sweep()),
    }
    return made | {"document": joined("Homework", tuple(made.values()))}


_ANSWERS = [{"prompt": HOSTILE, "model_response": TEXT}]


def _classes() -> ClassificationReport:
    worst = ScoredText(3, HOSTILE, "spam", "ham", 0.98, 3.9)
    score = ClassificationScore(("ham", "spam"), np.array([[95, 5], [12, 88]]))
    return ClassificationReport(score, 0.2, (worst,), "200 of 200 rows used")


def _matrix() -> LossMatrix:
    sets = [DataSet(name, EncodedRows([], 0, 0, {})) for name in ("imdb", HOSTILE)]
    return LossMatrix(sets, {"base": [3.8, 4.6], "tuned": [3.6, 4.7], HOSTILE: [math.nan, 2.1]})


def sweep() -> list[SweepResult]:
    """Return the results of a grid of two settings, each run twice with other seeds."""
    noise = random.Random(0)
    found = []
    for rank in (1, 4, 16):
        for rate in (1e-3, 1e-4):
            for seed in (0, 1):
                base = 2 + 3 * rate * 100 / rank + noise.random() / 20
                metrics = [{"step": n, "loss": base + 3 / (1 + n), "memory_mib": 700.0} for n in range(1, 21)]
                metrics += [{"step": n, "val_loss": base + 0.1 + 3 / (1 + n)} for n in (0, 10, 20)]
                varied = {"lora.r": rank, "train.learning_rate": rate, "train.seed": seed, "lora.bias": "none"}
                samples = [{"step": 20, "prompt": "def", "text": f"def {HOSTILE}"}]
                name = f"r={rank}_learning_rate={rate:g}_seed={seed}_target_modules=query_key_value+dense"
                found.append(SweepResult(name, varied, Ended(0, 12.0), 4_000 * rank, metrics, samples))
    return found


def write_classifier(folder: Path, *, confusion: tuple[tuple[int, int], ...] = ((95, 5), (12, 88))) -> Path:
    """Write the folder of a classifier's run as `finetune classify` does."""
    rows = []
    for step in range(1, 41):
        rows.append({"step": step, "loss": 0.7 / (1 + step / 9), "accuracy": 0.5 + step / 100, "lr": 5e-5})
        if step % 10 == 0:
            figures = {"val_loss": 0.72 / (1 + step / 10), "val_accuracy": 0.5 + step / 90, "val_macro_f1": 0.6}
            rows[-1] |= figures | {"val_f1_ham": 0.7, "val_ham_as_spam": 3.0, "val_ham_as_ham": 90.0}
    _write_lines(folder / "metrics.jsonl", rows)
    (folder / "config.toml").write_text('task = "classify"\nbase = "gpt2"\n[data]\npath = "SMSSpamCollection"\n')
    n_rows = sum(map(sum, confusion))
    test = {
        "test_accuracy": sum(row[i] for i, row in enumerate(confusion)) / n_rows,
        "test_macro_f1": 0.91,
        "train_accuracy_before": 0.48,
        "train_accuracy": 0.97,
        "labels": ["ham", "spam"],
        "confusion": confusion,
        "worst": [
            {"row": 3, "text": f"{HOSTILE} {TEXT}", "label": "spam", "given": "ham", "probability": 0.98, "loss": 3.9}
        ],
    }
    (folder / "test.json").write_text(json.dumps(test), encoding="utf-8")
    environment = {
        "date": "2026-12-01T09:30:00+00:00",
        "command": ["bytemill", "finetune", "classify", "--model", "gpt2"],
        "parameters": {"all": 124_441_346, "trainable": 7_089_410},
        "machine": {"cpu": "a processor", "cores": 8, "device": "cpu"},
    }
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    _write_lines(folder / "sessions.jsonl", [{"step": 40, "began": "2026-12-01T09:30:00+00:00", "seconds": 95.5}])
    return folder


def write_preference(folder: Path, *, loss: float | None = None) -> Path:
    """Write the folder of a preference run; with `loss`, one whose loss keeps this value."""
    rows = []
    for step in range(1, 31):
        margin = 0.0 if loss else step / 30
        row = {"step": step, "loss": loss or 0.6931 - margin / 2, "margin": margin, "lr": 5e-6}
        row |= {"reward_chosen": margin / 4, "reward_rejected": -margin * 3 / 4, "accuracy": 0.5 + margin / 3}
        if step % 10 == 0:
            row |= {"val_loss": loss or 0.7 - margin / 2, "val_margin": margin, "val_accuracy": 0.5 + margin / 4}
        rows.append(row)
    _write_lines(folder / "metrics.jsonl", rows)
    (folder / "config.toml").write_text('task = "preference"\n')
    return folder


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


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
