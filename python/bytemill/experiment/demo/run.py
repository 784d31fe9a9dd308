"""The demo: from this machine's own text to a fine-tuned GPT-2, in minutes and offline.

    speed -> standard library -> tokenizer -> shards -> GPT-2 -> samples -> LoRA on questions -> answers

Every phase is what its command does at any size; here the sizes are small and the text is the running Python's
standard library. The speed of this machine chooses the size of the model, and training ends on time: a slower or busy
machine trains a smaller model on less text, instead of longer.
"""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare
from bytemill.data.rows import EncodedRows, encode_rows, instruction_prompt, read_rows
from bytemill.errors import ArgumentError
from bytemill.evaluate.loss import held_out_loss
from bytemill.experiment.demo.measures import machine, metrics_of, unigram_bits_per_byte, vocabulary_growth
from bytemill.experiment.demo.results import (
    AnswerSample,
    DemoResults,
    PretrainResults,
    ShardResults,
    TextSample,
    TokenizerResults,
    TuneResults,
)
from bytemill.experiment.demo.text import CorpusSummary, write_corpus
from bytemill.experiment.demo.timed import choose_size, new_model, train_for
from bytemill.files import write_text
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, save_adapter
from bytemill.outside_text import without_secrets
from bytemill.tasks.base_model import base_identity, model_config_json
from bytemill.tasks.export import export_model
from bytemill.tasks.model_place import find_model
from bytemill.tasks.next_token import draw_samples
from bytemill.tasks.pretrain import one_pass, pretrain_task
from bytemill.tasks.tokenizer_files import tokenizer_files
from bytemill.tasks.tuning import row_batches_once, tuning_task
from bytemill.tasks.usable_model import open_model
from bytemill.train.config import DataConfig, LoraSettings, RunConfig, SampleConfig, TrainConfig
from bytemill.train.machine.device import autocast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bytemill.experiment.demo.sizes import DemoSize
    from bytemill.model import GPT2
    from bytemill.train.task import Task

__all__ = ["run_demo"]

_MARKER = "demo.json"
_PARTS = ("corpus", "shards", "pretrain", "tune", "model", "adapter")
_PROMPTS = ("This module provides", "Return the", "If the file", "def __init__(self")
_VALIDATION_TOKENS = 30_000
_TUNING_ROWS = 8
_LORA = LoraConfig(r=16, lora_alpha=32, target_modules=["c_attn", "c_proj", "c_fc"])


@dataclass(frozen=True)
class _Questions:
    """The instruction rows: what the adapter learns from, and what both models are measured on."""

    train: EncodedRows
    test: EncodedRows
    asked: Sequence[Mapping[str, Any]]
    """Of the test's rows, those that are answered in full."""


@dataclass(frozen=True)
class _Marks:
    """How a model did on the held-out questions."""

    loss: float
    answers: Sequence[str]


def run_demo(folder: str | Path, size: DemoSize, say: Callable[[str], None]) -> DemoResults:
    """Run the whole pipeline into `folder`.

    Args:
        folder: Where everything is written; what an earlier demo left there is replaced.
        size: `sizes.FULL` (minutes) or `FAST` (about one).
        say: Receives a line at the start of each phase: what it does and how long it takes; and samples on the way.

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
        self.end = time.perf_counter() + size.promised_seconds

    def run(self) -> DemoResults:
        with self._phase("Measure this machine", "how fast it trains models of each size", 5):
            self.model_size, self.speed = choose_size(self.size.models, self.size.pretrain_seconds, self.say)
        corpus = self._corpus()
        tokenizer, tokenizer_results = self._tokenizer(corpus)
        shards = self._shards(corpus, tokenizer)
        model = new_model(self.model_size, tokenizer.n_vocab)
        before = self._draw(model, tokenizer)
        pretrain = self._pretrain(model, tokenizer)
        after = self._draw(model, tokenizer)
        tune, answers = self._tune(model, tokenizer, corpus)
        return DemoResults(
            command=without_secrets(" ".join(["bytemill", *sys.argv[1:]])),
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
            return write_corpus(self.folder / "corpus", self.model_size.corpus_bytes)

    def _tokenizer(self, corpus: CorpusSummary) -> tuple[Tokenizer, TokenizerResults]:
        doing = f"learning {self.model_size.vocab_size:,} tokens from {corpus.bytes / 1e6:.1f} MB"
        with self._phase("Train a tokenizer", doing, 3):
            began = time.perf_counter()
            tokenizer = Tokenizer.train(files=[corpus.documents_path], vocab_size=self.model_size.vocab_size)
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

    def _pretrain(self, model: GPT2, tokenizer: Tokenizer) -> PretrainResults:
        size, shards = self.model_size, self.folder / "shards"
        validation = TokenLoader(shards, batch_size=size.batch_size, seq_len=size.seq_len, split="val", shuffle=False)
        task = pretrain_task(
            model,
            TokenLoader(shards, batch_size=size.batch_size, seq_len=size.seq_len),
            validation=validation,
            validation_batches=_VALIDATION_TOKENS // (size.batch_size * size.seq_len),
            tokenizer=tokenizer,
            model_config=model_config_json(model),
            files=tokenizer_files(tokenizer, n_positions=size.seq_len),
        )
        seconds = self._share_of_time_left(0.62, at_most=self.size.pretrain_seconds)
        per_step = size.batch_size * size.seq_len
        doing = f"{model.n_parameters():,} parameters, steps of {per_step:,} tokens"
        with self._phase("Pretrain GPT-2", doing, seconds):
            pace = train_for(
                seconds,
                self._aloud(task, model, tokenizer),
                RunConfig(task="pretrain", train=_settings(size.learning_rate, seconds, per_step / self.speed)),
                self.folder / "pretrain",
                tokens_per_step=per_step,
                max_steps=self.size.max_pretrain_tokens // per_step,
            )
            measured = task.validate()
        export_model(open_model(self.folder / "pretrain"), self.folder / "model")
        return PretrainResults(
            model=model.config.model_dump(),
            n_parameters=model.n_parameters(),
            metrics=metrics_of(self.folder / "pretrain"),
            train_tokens_seen=pace.tokens,
            tokens_per_second=pace.tokens_per_second,
            cpu_share=pace.cpu_share,
            needed_tokens=size.needed_tokens,
            val_loss=measured["val_loss"],
            val_bits_per_byte=measured["val_bits_per_byte"],
            unigram_bits_per_byte=unigram_bits_per_byte(one_pass(validation), tokenizer),
        )

    def _aloud(self, task: Task, model: GPT2, tokenizer: Tokenizer) -> Task:
        """The same task, which shows at each validation what the model writes now."""
        began, measured = time.perf_counter(), dict[str, float]()

        def validate() -> dict[str, float]:
            measured.update(task.validate())
            return dict(measured)

        def samples() -> list[dict[str, str]]:
            (sample,) = draw_samples(model, tokenizer, _PROMPTS[:1], SampleConfig(max_new_tokens=24))
            text = " ".join((sample["prompt"] + sample["text"]).split())
            self.say(f"  {time.perf_counter() - began:3.0f} s, validation loss {measured['val_loss']:.2f}: {text}")
            return [sample]

        return replace(task, validate=validate, samples=samples)

    def _draw(self, model: GPT2, tokenizer: Tokenizer) -> list[dict[str, str]]:
        with self._phase("Sample", "letting the model continue a few beginnings", 5):
            return draw_samples(model.eval(), tokenizer, _PROMPTS, SampleConfig(max_new_tokens=64))

    def _tune(self, model: GPT2, tokenizer: Tokenizer, corpus: CorpusSummary) -> tuple[TuneResults, list[AnswerSample]]:
        questions = self._questions(corpus, tokenizer)
        with self._phase("Ask the base model", "measuring it on held-out questions", 10):
            base = self._examine(model, tokenizer, questions)
        apply_lora(model, _LORA)
        self._train_adapter(model, tokenizer, questions)
        with self._phase("Ask the tuned model", "the same held-out questions", 10):
            tuned = self._examine(model, tokenizer, questions)
        results = TuneResults(
            lora=_LORA.model_dump(),
            trainable_parameters=sum(p.numel() for p in lora_parameters(model)),
            total_parameters=sum(p.numel() for p in model.parameters()),
            train_rows=len(questions.train.rows),
            test_rows=len(questions.test.rows),
            metrics=metrics_of(self.folder / "tune"),
            base_loss=base.loss,
            tuned_loss=tuned.loss,
        )
        return results, [
            AnswerSample(row["instruction"], row.get("input") or "", row["output"], before, after)
            for row, before, after in zip(questions.asked, base.answers, tuned.answers, strict=True)
        ]

    def _questions(self, corpus: CorpusSummary, tokenizer: Tokenizer) -> _Questions:
        test = read_rows(corpus.test_path)[: self.size.n_test_rows]
        most = self.model_size.seq_len
        train_rows, test_rows = (
            encode_rows(rows, tokenizer, max_tokens=most) for rows in (read_rows(corpus.train_path), test)
        )
        return _Questions(train_rows, test_rows, test[: self.size.n_answers])

    def _train_adapter(self, model: GPT2, tokenizer: Tokenizer, questions: _Questions) -> None:
        size = self.model_size
        base = base_identity(find_model(self.folder / "pretrain"))

        task = tuning_task(
            model,
            questions.train,
            tokenizer,
            validation_rows=questions.test,
            data=self._row_settings(),
            parameters=list(lora_parameters(model)),
            model_config=model_config_json(model, _LORA),
            base=base,
            files=tokenizer_files(tokenizer, "alpaca", n_positions=size.seq_len),
        )
        seconds = self._share_of_time_left(0.5, at_most=self.size.tune_seconds)
        per_step = _TUNING_ROWS * size.seq_len
        config = RunConfig(
            task="instruct",
            base=base["path"],
            data=self._row_settings(),
            train=_settings(2e-3, seconds, per_step / self.speed, optimizer="adamw"),
            lora=LoraSettings(**_LORA.model_dump()),
        )
        with self._phase("Tune with LoRA", f"steps of {_TUNING_ROWS} questions, prompts masked", seconds):
            train_for(
                seconds,
                task,
                config,
                self.folder / "tune",
                tokens_per_step=per_step,
                max_steps=self.size.max_tune_steps,
            )
        save_adapter(model, self.folder / "adapter")

    def _share_of_time_left(self, share: float, *, at_most: float) -> float:
        """Seconds for a phase: less than planned where earlier ones took longer, at least a tenth."""
        return max(0.1 * at_most, min(at_most, share * (self.end - time.perf_counter())))

    def _row_settings(self) -> DataConfig:
        return DataConfig(batch_size=_TUNING_ROWS, seq_len=self.model_size.seq_len, template="alpaca")

    def _examine(self, model: GPT2, tokenizer: Tokenizer, questions: _Questions) -> _Marks:
        """The loss on all held-out answers, and the model's own answers to a few."""
        batches = row_batches_once(questions.test, self._row_settings(), pad_id=tokenizer.eot_token)
        with autocast(next(model.parameters()).device, "auto"):
            loss = held_out_loss(model, batches).mean
        prompts = [instruction_prompt(row["instruction"], row.get("input") or "") for row in questions.asked]
        settings = SampleConfig(max_new_tokens=48, temperature=0)
        drawn = draw_samples(model.eval(), tokenizer, prompts, settings)
        return _Marks(loss, [answer["text"].strip() for answer in drawn])

    @contextmanager
    def _phase(self, name: str, doing: str, seconds: float) -> Iterator[None]:
        self.say(f"{name}: {doing} (about {seconds:.0f} s)")
        began = time.perf_counter()
        yield
        self.phase_seconds[name] = self.phase_seconds.get(name, 0.0) + time.perf_counter() - began


def _settings(
    learning_rate: float, seconds: float, seconds_per_step: float, *, optimizer: Literal["adamw", "muon"] = "muon"
) -> TrainConfig:
    """Warm-up over a twentieth of the steps that `seconds` are good for, and six validations and samples on the way."""
    n_steps = max(1, int(seconds / seconds_per_step))
    return TrainConfig(
        optimizer=optimizer,
        learning_rate=learning_rate,
        min_learning_rate=learning_rate / 10,
        warmup_steps=max(1, n_steps // 20),
        eval_every=max(1, n_steps // 6),
        sample_every=max(1, n_steps // 6),
    )


def _clear(folder: Path) -> None:
    """Make `folder` ready for a new demo: take away what an earlier one left, and nothing else.

    Raises:
        ArgumentError: It holds something that no demo wrote.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise ArgumentError(f"{folder} is not empty and contains no earlier demo; choose another folder with --output")
    for part in _PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _MARKER, '{"written_by": "bytemill demo"}\n')
