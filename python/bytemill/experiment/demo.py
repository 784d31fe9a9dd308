"""The demo: from this machine's own text to a fine-tuned GPT-2, in minutes and offline.

    standard library -> tokenizer -> shards -> GPT-2 -> samples -> LoRA on questions -> answers

Every phase is what its command does at any size; here the sizes are small and the text is the running
Python's standard library. How many steps fit into the time is measured first, so that a slower machine
trains less instead of longer.
"""

from __future__ import annotations

import copy
import platform
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare
from bytemill.data.rows import encode_rows, instruction_prompt, read_rows
from bytemill.data.stdlib import CorpusSummary, write_corpus
from bytemill.errors import ArgumentError
from bytemill.evaluate.loss import held_out_loss
from bytemill.experiment.demo_measures import (
    machine,
    metrics_of,
    steps_within,
    unigram_bits_per_byte,
    vocabulary_growth,
)
from bytemill.experiment.demo_results import (
    AnswerSample,
    DemoResults,
    PretrainResults,
    ShardResults,
    TextSample,
    TokenizerResults,
    TuneResults,
)
from bytemill.model import GPT2, GPT2Config
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, save_adapter
from bytemill.tasks.base_model import model_config_json
from bytemill.tasks.instruct import instruct_task, row_batches_once
from bytemill.tasks.next_token import draw_samples
from bytemill.tasks.pretrain import one_pass, pretrain_task
from bytemill.train.config import DataConfig, RunConfig, SampleConfig, TrainConfig
from bytemill.train.device import autocast
from bytemill.train.loop import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bytemill.train.task import Task

__all__ = ["FAST", "FULL", "DemoSize", "run_demo"]

_MARKER = "demo.json"
_PARTS = ("corpus", "shards", "pretrain", "tune", "model", "adapter")
_PROMPTS = ("The function returns", "import ", "class ", "This module provides")
_LORA = LoraConfig(r=16, lora_alpha=32, target_modules=["c_attn", "c_proj", "c_fc"])


@dataclass(frozen=True)
class DemoSize:
    """How much of everything; what fits into the promised time on two cores."""

    corpus_bytes: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    seq_len: int
    batch_size: int
    pretrain_seconds: float
    """Time for the pretraining's steps; their number follows from the machine's speed."""
    max_pretrain_steps: int
    tune_seconds: float
    """Time for the tuning's steps."""
    max_tune_steps: int
    n_test_rows: int
    """Held-out instruction rows on which both models are measured."""
    n_answers: int
    """Of those, how many are answered in full for the report."""


FULL = DemoSize(
    corpus_bytes=8_000_000,
    vocab_size=4_096,
    n_layer=4,
    n_head=4,
    n_embd=256,
    seq_len=256,
    batch_size=16,
    pretrain_seconds=140,
    max_pretrain_steps=2_000,
    tune_seconds=40,
    max_tune_steps=1_000,
    n_test_rows=256,
    n_answers=5,
)
FAST = DemoSize(
    corpus_bytes=1_000_000,
    vocab_size=1_024,
    n_layer=2,
    n_head=2,
    n_embd=128,
    seq_len=256,
    batch_size=8,
    pretrain_seconds=10,
    max_pretrain_steps=200,
    tune_seconds=5,
    max_tune_steps=100,
    n_test_rows=64,
    n_answers=3,
)


def run_demo(folder: str | Path, size: DemoSize, say: Callable[[str], None]) -> DemoResults:
    """Run the whole pipeline into `folder`.

    Args:
        folder: Where everything is written; what an earlier demo left there is replaced.
        size: `FULL` (minutes) or `FAST` (under one).
        say: Told in each step what is being done and how long it will take.

    Raises:
        ArgumentError: `folder` holds something else.
        DataError: This Python has too little of its library's text.
    """
    folder = Path(folder)
    _clear(folder)
    return _Demo(folder, size, say).run()


class _Demo:
    """The phases, in order, with what each hands to the next."""

    def __init__(self, folder: Path, size: DemoSize, say: Callable[[str], None]) -> None:
        self.folder, self.size, self.say = folder, size, say
        self.phase_seconds: dict[str, float] = {}

    def run(self) -> DemoResults:
        corpus = self._corpus()
        tokenizer, tokenizer_results = self._tokenizer(corpus)
        shards = self._shards(corpus, tokenizer)
        model = self._new_model(tokenizer)
        before = self._draw(model, tokenizer)
        pretrain = self._pretrain(model, tokenizer)
        after = self._draw(model, tokenizer)
        tune, answers = self._tune(model, tokenizer, corpus)
        return DemoResults(
            command=" ".join(["bytemill", *sys.argv[1:]]),
            date=f"{date.today():%d %B %Y}".lstrip("0"),
            text_source=f"the standard library of Python {platform.python_version()}",
            tokenizer=tokenizer_results,
            shards=shards,
            pretrain=pretrain,
            samples=[
                TextSample(prompt, untrained["text"], trained["text"])
                for prompt, untrained, trained in zip(_PROMPTS, before, after, strict=True)
            ],
            tune=tune,
            answers=answers,
            phase_seconds=self.phase_seconds,
            machine=machine(),
        )

    def _corpus(self) -> CorpusSummary:
        with self._phase("Collect text", "reading the standard library's documentation and sources", 10):
            return write_corpus(self.folder / "corpus", self.size.corpus_bytes)

    def _tokenizer(self, corpus: CorpusSummary) -> tuple[Tokenizer, TokenizerResults]:
        doing = f"learning {self.size.vocab_size:,} tokens from {corpus.bytes / 1e6:.1f} MB"
        with self._phase("Train a tokenizer", doing, 3):
            began = time.perf_counter()
            tokenizer = Tokenizer.train(files=[corpus.documents_path], vocab_size=self.size.vocab_size)
            seconds = time.perf_counter() - began
            tokenizer.save(self.folder / "tokenizer.json")
        # What the tokenizer never saw, in the words it will meet: the held-out questions and answers.
        held_out = "\n".join(
            f"{row['instruction']}\n{row.get('input', '')}\n{row['output']}" for row in read_rows(corpus.test_path)
        )
        lengths = [len(left) + len(right) for left, right in tokenizer.merges]
        return tokenizer, TokenizerResults(
            vocab_size=tokenizer.n_vocab,
            corpus_bytes=corpus.bytes,
            documents=corpus.documents,
            training_seconds=seconds,
            bytes_per_token=len(held_out.encode()) / tokenizer.count(held_out),
            growth=vocabulary_growth(tokenizer, held_out),
            token_lengths=Counter([1] * 256 + lengths),
            longest_tokens=sorted((left + right for left, right in tokenizer.merges), key=len, reverse=True)[:20],
        )

    def _shards(self, corpus: CorpusSummary, tokenizer: Tokenizer) -> ShardResults:
        with self._phase("Prepare shards", "encoding the text into checked token files", 3):
            manifest = prepare(corpus.documents_path, self.folder / "shards", tokenizer=tokenizer, val=0.02)
        files = [path for path in (self.folder / "shards").iterdir() if path.suffix == ".bin"]
        return ShardResults(
            train_tokens=manifest.tokens("train"),
            val_tokens=manifest.tokens("val"),
            train_documents=manifest.documents("train"),
            val_documents=manifest.documents("val"),
            files=len(files),
            bytes=sum(path.stat().st_size for path in files),
        )

    def _new_model(self, tokenizer: Tokenizer) -> GPT2:
        torch.manual_seed(0)
        size = self.size
        return GPT2(
            GPT2Config(
                vocab_size=tokenizer.n_vocab,
                n_positions=size.seq_len,
                n_layer=size.n_layer,
                n_head=size.n_head,
                n_embd=size.n_embd,
            )
        )

    def _pretrain(self, model: GPT2, tokenizer: Tokenizer) -> PretrainResults:
        size, shards = self.size, self.folder / "shards"
        validation = TokenLoader(shards, batch_size=size.batch_size, seq_len=size.seq_len, split="val", shuffle=False)

        def task(network: GPT2) -> Task:
            return pretrain_task(
                network,
                TokenLoader(shards, batch_size=size.batch_size, seq_len=size.seq_len),
                validation=validation,
                tokenizer=tokenizer,
                model_config=model_config_json(network),
            )

        n_steps = steps_within(size.pretrain_seconds, size.max_pretrain_steps, task(copy.deepcopy(model)))
        config = RunConfig(task="pretrain", train=_schedule(n_steps, learning_rate=2e-3))
        doing = f"{n_steps} steps of {size.batch_size * size.seq_len:,} tokens, {model.n_parameters():,} parameters"
        with self._phase("Pretrain GPT-2", doing, size.pretrain_seconds):
            outcome = fit(task(model), config, self.folder / "pretrain")
        model.save_huggingface(self.folder / "model")
        return PretrainResults(
            model=model.config.model_dump(),
            n_parameters=model.n_parameters(),
            metrics=metrics_of(self.folder / "pretrain"),
            train_tokens_seen=n_steps * size.batch_size * size.seq_len,
            val_loss=outcome.metrics["val_loss"],
            val_bits_per_byte=outcome.metrics["val_bits_per_byte"],
            unigram_bits_per_byte=unigram_bits_per_byte(one_pass(validation), tokenizer),
        )

    def _draw(self, model: GPT2, tokenizer: Tokenizer) -> list[dict[str, str]]:
        with self._phase("Sample", "letting the model continue a few beginnings", 5):
            return draw_samples(model.eval(), tokenizer, _PROMPTS, SampleConfig(max_new_tokens=64))

    def _tune(self, model: GPT2, tokenizer: Tokenizer, corpus: CorpusSummary) -> tuple[TuneResults, list[AnswerSample]]:
        size = self.size
        data = DataConfig(batch_size=size.batch_size, seq_len=size.seq_len)
        test = list(read_rows(corpus.test_path))[: size.n_test_rows]
        train_rows, test_rows = (
            encode_rows(rows, tokenizer, max_tokens=size.seq_len) for rows in (read_rows(corpus.train_path), test)
        )
        questions = test[: size.n_answers]

        def measure() -> float:
            device = next(model.parameters()).device
            with autocast(device, "auto"):
                return held_out_loss(model, row_batches_once(test_rows, data, pad_id=tokenizer.eot_token)).mean

        def task(network: GPT2) -> Task:
            return instruct_task(
                network,
                train_rows,
                tokenizer,
                validation_rows=test_rows,
                data=data,
                parameters=list(lora_parameters(network)),
            )

        with self._phase("Ask the base model", "measuring it on held-out questions", 10):
            base_loss, base_answers = measure(), self._answers(model, tokenizer, questions)
        apply_lora(model, _LORA)
        n_steps = steps_within(size.tune_seconds, size.max_tune_steps, task(copy.deepcopy(model)))
        config = RunConfig(task="instruct", data=data, train=_schedule(n_steps, learning_rate=2e-3))
        doing = f"{n_steps} steps of {size.batch_size} questions, prompts masked"
        with self._phase("Tune with LoRA", doing, size.tune_seconds):
            fit(task(model), config, self.folder / "tune")
        save_adapter(model, self.folder / "adapter")
        with self._phase("Ask the tuned model", "the same held-out questions", 10):
            tuned_loss, tuned_answers = measure(), self._answers(model, tokenizer, questions)
        answers = [
            AnswerSample(row["instruction"], row.get("input") or "", row["output"], base, tuned)
            for row, base, tuned in zip(questions, base_answers, tuned_answers, strict=True)
        ]
        results = TuneResults(
            lora=_LORA.model_dump(),
            trainable_parameters=sum(p.numel() for p in lora_parameters(model)),
            total_parameters=sum(p.numel() for p in model.parameters()),
            train_rows=len(train_rows.rows),
            test_rows=len(test_rows.rows),
            metrics=metrics_of(self.folder / "tune"),
            base_loss=base_loss,
            tuned_loss=tuned_loss,
        )
        return results, answers

    def _answers(self, model: GPT2, tokenizer: Tokenizer, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        prompts = [instruction_prompt(row["instruction"], row.get("input") or "") for row in rows]
        settings = SampleConfig(max_new_tokens=48, temperature=0)
        return [answer["text"].strip() for answer in draw_samples(model.eval(), tokenizer, prompts, settings)]

    @contextmanager
    def _phase(self, name: str, doing: str, seconds: float) -> Iterator[None]:
        self.say(f"{name}: {doing} (about {seconds:.0f} s)")
        began = time.perf_counter()
        yield
        self.phase_seconds[name] = self.phase_seconds.get(name, 0.0) + time.perf_counter() - began


def _schedule(n_steps: int, *, learning_rate: float) -> TrainConfig:
    """Warm-up over a twentieth of the steps, ten validations on the way, one checkpoint at the end."""
    return TrainConfig(
        max_steps=n_steps,
        learning_rate=learning_rate,
        min_learning_rate=learning_rate / 10,
        warmup_steps=max(1, n_steps // 20),
        eval_every=max(1, n_steps // 10),
        checkpoint_every=0,
    )


def _clear(folder: Path) -> None:
    """Make `folder` ready for a new demo: take away what an earlier one left, and nothing else.

    Raises:
        ArgumentError: It holds something that no demo wrote.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise ArgumentError(f"{folder} is not empty and holds no earlier demo; choose another with --output")
    for part in _PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).write_text('{"written_by": "bytemill demo"}\n', encoding="utf-8")
