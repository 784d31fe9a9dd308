"""Writes and reads the folder of a run.

    config.toml        all settings, resolved: running it again repeats the run
    environment.json   versions, machine, git commit, counts of parameters, fingerprints of data and tokenizer
    tokenizer.json     the tokenizer, if the task has one; next to it tokenizer_config.json (its special tokens) and,
                       after tuning on instructions or conversations, chat_template.jinja
    changes.jsonl      settings changed on a resume: step, setting, old value, new value
    metrics.jsonl      one JSON object per logged step
    samples.jsonl      text sampled during training
    sessions.jsonl     one line per session that has ended: its last logged step, when it began, its seconds
    tensorboard/       the metrics for TensorBoard
    profile/           a trace of some steps, with train.profile_steps
    checkpoints/       see bytemill.train.run.checkpoint
    lock               locked while a process trains in this folder

If there are several processes, only the first writes.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from bytemill.errors import CheckpointError, ConfigError, DivergedError
from bytemill.files import refuse_input_as_output, remove_leftovers, write_text
from bytemill.json_reader import read_object
from bytemill.model.config import with_added_fields
from bytemill.places import portable_path
from bytemill.train.config import (
    RunConfig,
    changed_settings,
    config_from_settings,
    dump_toml,
    former_settings,
    portable_config,
)
from bytemill.train.machine.environment import describe_environment
from bytemill.train.machine.profiler import PROFILE_FILES
from bytemill.train.run.background import Background
from bytemill.train.run.checkpoint import Checkpoint, newest_valid, save_checkpoint, tidy_checkpoints
from bytemill.train.run.folder_lock import alone_in
from bytemill.train.run.metrics import JsonLines, WeightsAndBiases, as_json_data, read_json_lines
from bytemill.train.run.progress import ProgressLine
from bytemill.train.run.resumable import refuse_other_optimizer, refuse_run_in, without_dropout
from bytemill.train.run.tensorboard import TensorBoard
from bytemill.train.run.tensors import first_not_finite, load_optimizer, load_weights, saved_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bytemill.train.clock import Clock
    from bytemill.train.learner import Learner

__all__ = ["Run"]

_LINES = ("changes.jsonl", "metrics.jsonl", "samples.jsonl", "sessions.jsonl")
_WHATEVER_THE_ROWS = ("path", "val", "test", "tokenizer", "hellaswag", "batch_size", "eval_batches")
"""Settings of the data section that do not change training rows, or whose saved form differs."""
_FOR_USE = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_FILES = (*_LINES, *_FOR_USE, "config.toml", "environment.json", "test.json", "wandb_id")


class Run:
    """The folder of one run, opened for writing.

    Args:
        folder: The folder; created if missing.
        config: The current settings; on a resume they may differ from the saved ones.
        learner: Model and optimizer; if there are several processes, only the first writes and prints.
        clock: Measures how long saving takes.
        progress: Whether to show progress on stderr.
    """

    def __init__(
        self, folder: Path, config: RunConfig, learner: Learner, clock: Clock, *, progress: bool = True
    ) -> None:
        self.folder, self.config, self.task, self._learner = folder, config, learner.task, learner
        self._clock = clock
        self.writes = writes = learner.world.is_first
        self.tokens_seen = 0
        self._validations: list[tuple[int, float]] = []  # step and loss, oldest first, including those before a resume
        self._validated: tuple[int, float | None] = (-1, None)  # the last logged step and its validation loss
        self._saved_step: int | None = None
        self._began, self._began_at = datetime.datetime.now().astimezone(), time.monotonic()
        self._saving = Background()
        self._progress = ProgressLine(config.train.max_steps, shown=progress and writes)
        self._open = contextlib.ExitStack()
        self._open.callback(self._progress.close)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def begin(self, *, resume: bool) -> tuple[int, dict[str, Any] | None]:
        """Restore the newest valid checkpoint, or start a new run, and open the logs.

        Returns:
            Number of steps done, and the metrics of the last step if its validation is still due.

        Raises:
            ArgumentError: The folder is the base or the data.
            ConfigError: The folder contains a run and `resume` is False, or another process trains in it.
            CheckpointError: There is nothing to resume, or the run is of another model or other data.
        """
        checkpoint = self._find(resume=resume)
        self._learner.world.wait()  # no process may write before all have looked
        step, pending = 0, None
        if checkpoint is None:
            pending = {}
        else:
            step, pending = checkpoint.step, checkpoint.state["pending"]
            self._restore(checkpoint)
        if self.writes:
            self._open.enter_context(alone_in(self.folder, others="another process"))
            self._open.callback(self._saving.wait)
            remove_leftovers(self.folder, _FILES)
            remove_leftovers(self.folder / "profile", PROFILE_FILES)
            keep = self.config.train.keep_checkpoints
            tidy_checkpoints(self.folder / "checkpoints", newest=step, keep=keep)
            self._open_logs(step if pending is not None else step + 1)
            self._record_settings(checkpoint)
            self._open.callback(self._record_session)
        return step, pending

    def log(self, step: int, record: Mapping[str, Any], samples: Sequence[Mapping[str, str]]) -> None:
        """Write the metrics and samples of a step."""
        self._saving.check()
        validation_loss = as_json_data(record).get("val_loss")
        self._validated = step, validation_loss
        if validation_loss is not None:
            self._validations.append((step, validation_loss))
        if not self.writes:
            return
        self.log_samples(step, samples)
        for log in self._logs if record else ():
            log.append({"step": step, **record})
        self._progress.show(step, record)

    def measuring(self, phase: str, done: int, total: int) -> None:
        """Show how far a validation is."""
        self._progress.measuring(phase, done, total)

    def log_samples(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Write samples without metrics."""
        for sample in samples if self.writes else ():
            self._samples.append({"step": step, **sample})

    def say(self, text: str) -> None:
        """Print one line for the user."""
        self._progress.say(text)

    def validations_since_best(self) -> int:
        """Return the number of validations since the one with the lowest loss, including those before a resume."""
        losses = [loss for _, loss in self._validations]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def is_best(self, step: int) -> bool:
        """Return whether `step` is the first step with the lowest validation loss since training began."""
        best = self._best()
        return best is not None and best[0] == step

    def say_which_is_best(self, last_step: int) -> None:
        """Print which checkpoint has the lowest validation loss, unless it is the last one."""
        best, last = self._best(), dict(self._validations).get(last_step)
        if not self.writes or best is None or best[0] == last_step:
            return
        self._saving.wait()
        step, loss = best
        ended = "" if last is None else f", and {last:.4f} at the end"
        folder = self.folder / "checkpoints" / f"step_{step:08d}"
        kept = folder if folder.is_dir() else "no checkpoint was written at that step; train.keep_best=true writes one"
        self.say(f"lowest validation loss: {loss:.4f} at step {step}{ended}: {kept}")

    def _best(self) -> tuple[int, float] | None:
        """Return step and loss of the lowest validation loss after the first step."""
        return min((one for one in self._validations if one[0]), key=lambda one: one[1], default=None)

    def save(self, step: int, pending: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint in the background, unless this step is already saved.

        All processes must call this. The weights are copied first, so the next step can begin immediately. An error
        of the background work is raised at the next log or save, or at the end.

        Args:
            step: Number of steps done.
            pending: Metrics of the last step if its validation is still due.

        Raises:
            DivergedError: A weight is NaN or infinite; earlier checkpoints are unchanged.
        """
        if step == self._saved_step:
            return
        learner, self._saved_step = self._learner, step
        self._saving.wait()  # before the copy, so that there is only one copy in memory
        tensors = saved_tensors(self.task.model, learner.optimizer, keep=self.writes, only=learner.saved_names)
        if not self.writes:
            return
        if broken := first_not_finite(tensors.model):
            raise DivergedError(
                f"step {step}: {broken} is NaN or infinite after this step, and was not saved; "
                "use a lower train.learning_rate"
            )
        self._metrics.sync()
        self._samples.sync()
        state = {
            "batches": self.task.batches.state_dict(),
            "fingerprints": dict(self.task.fingerprints),
            "loss_scale": learner.loss_scale.state_dict(),
            "pending": None if pending is None else as_json_data(pending),
            "settings": portable_config(self.config, self.folder).model_dump(mode="json"),
            "tokens_seen": self.tokens_seen,
            "validation_loss": self._validated[1] if self._validated[0] == step else None,
        }

        def write() -> None:
            with self._clock.timing("save"):
                save_checkpoint(
                    self.folder / "checkpoints",
                    step=step,
                    tensors=tensors,
                    model_config=self._model_config(),
                    state=state,
                    keep=self.config.train.keep_checkpoints,
                )

        self._saving.start(write)

    def _model_config(self) -> dict[str, Any]:
        """Return the settings that rebuild the model, with its base if the checkpoint does not contain it."""
        base = self.task.base
        if base is None:
            return dict(self.task.model_config)
        return {**self.task.model_config, "base": {**base, "path": portable_path(base["path"], self.folder)}}

    def _find(self, *, resume: bool) -> Checkpoint | None:
        """Return the checkpoint to continue from; None to start at the first step."""
        data = self.config.data
        if not resume:
            refuse_input_as_output(self.folder, [self.config.base, data.path, data.val, data.test])
            refuse_run_in(self.folder)
        elif not (self.folder / "config.toml").exists():
            raise CheckpointError(f"{self.folder}: contains no run to resume")
        checkpoint, skipped = newest_valid(self.folder) if resume else (None, [])
        if skipped and checkpoint is None:
            raise CheckpointError("no checkpoint of this run is intact: " + "; ".join(skipped))
        if resume and checkpoint is None:
            self.say("this run has no checkpoint yet: starting from the first step")
        for reason in skipped:
            self.say(f"skipped a checkpoint: {reason}")
        return checkpoint

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._refuse_mismatch(checkpoint)
        load_weights(checkpoint.path, self.task.model, partial=self.task.base is not None)
        load_optimizer(checkpoint.path, self.task.model, self._learner.optimizer)
        self._learner.loss_scale.load_state_dict(checkpoint.state.get("loss_scale", {}))
        self.task.batches.load_state_dict(checkpoint.state["batches"])
        self.tokens_seen = checkpoint.state["tokens_seen"]
        self._saved_step = checkpoint.step if checkpoint.state["pending"] is None else None
        self.say(f"resumed after step {checkpoint.step} from {checkpoint.path}")

    def _refuse_mismatch(self, checkpoint: Checkpoint) -> None:
        seeds = checkpoint.state["settings"].get("data", {}).get("seed"), self.config.data.seed
        if seeds[0] is not None and seeds[0] != seeds[1]:
            raise ConfigError(
                f"data.seed was {seeds[0]} when {self.folder} began and is {seeds[1]} now: it sets the order of the "
                f"data, so a resumed run must keep it; set it to {seeds[0]}, or start a new run"
            )
        saved_model = with_added_fields(read_object(checkpoint.path / "config.json", error=CheckpointError))
        own_model = json.loads(json.dumps(self._model_config()))
        saved_base, own_base = saved_model.pop("base", None), own_model.pop("base", None)
        if saved_base is not None and own_base is not None and saved_base["sha256"] != own_base["sha256"]:
            raise CheckpointError(
                f"{checkpoint.path}: contains an adapter of {saved_base['path']}, but base is {own_base['path']} now, "
                "which has other weights"
            )
        refuse_other_optimizer(checkpoint, self.config, self.folder)
        pairs = [("model", without_dropout(saved_model), without_dropout(own_model))]
        pairs.append(("data set", checkpoint.state["fingerprints"], dict(self.task.fingerprints)))
        for kind, saved, own in pairs:
            for name in sorted(saved.keys() | own.keys()):
                if saved.get(name) != own.get(name):
                    self._refuse_changed_rows(checkpoint, name)
                    raise CheckpointError(
                        f"{checkpoint.path}: from another {kind}: {name} was {saved.get(name)!r}, "
                        f"and is {own.get(name)!r} now"
                    )

    def _refuse_changed_rows(self, checkpoint: Checkpoint, name: str) -> None:
        """If a changed setting may be why the rows differ, raise an error that names it."""
        if name != "rows":
            return
        saved, own = checkpoint.state["settings"].get("data", {}), self.config.model_dump(mode="json")["data"]
        changes = [
            f"data.{setting} was {saved[setting]!r} and is {own[setting]!r} now"
            for setting in own
            if setting in saved and saved[setting] != own[setting] and setting not in _WHATEVER_THE_ROWS
        ]
        if changes:
            raise ConfigError(
                f"{self.folder} was trained on other rows: {', '.join(changes)}; keep these, or start a new run"
            )

    def _record_settings(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            try:
                saved = checkpoint.state["settings"]
                old = config_from_settings(saved, former_settings(saved), run=self.folder)
            except ConfigError as error:
                raise CheckpointError(
                    f"{checkpoint.path / 'state.json'}: written by another version of bytemill: {error}"
                ) from None
            changes = JsonLines(self.folder / "changes.jsonl", before_step=checkpoint.step)
            portable = (portable_config(config, self.folder) for config in (old, self.config))
            for name, before, after in changed_settings(*portable):
                changes.append({"step": checkpoint.step, "setting": name, "old": before, "new": after})
            changes.close()
        environment = describe_environment(self._learner.device) | {
            "fingerprints": dict(self.task.fingerprints),
            "parameters": {
                "all": sum(parameter.numel() for parameter in self.task.model.parameters()),
                "trainable": sum(parameter.numel() for parameter in self.task.trainable()),
            },
        }
        for name, text in self.task.files.items():
            write_text(self.folder / name, text)
        write_text(self.folder / "environment.json", json.dumps(environment, indent=2) + "\n")
        write_text(self.folder / "config.toml", dump_toml(portable_config(self.config, self.folder)))

    def _record_session(self) -> None:
        """Write how long this session took; a session that is killed leaves no line."""
        seconds = time.monotonic() - self._began_at  # the date may be set back in the meantime
        sessions = JsonLines(self.folder / "sessions.jsonl", before_step=sys.maxsize)
        began = self._began.isoformat(timespec="seconds")
        sessions.append({"step": max(self._validated[0], 0), "began": began, "seconds": round(seconds, 2)})
        sessions.close()

    def _open_logs(self, before_step: int) -> None:
        self._metrics = JsonLines(self.folder / "metrics.jsonl", before_step=before_step)
        self._open.callback(self._metrics.close)
        self._samples = JsonLines(self.folder / "samples.jsonl", before_step=before_step)
        self._open.callback(self._samples.close)
        lines = read_json_lines(self.folder / "metrics.jsonl")
        self._validations = [(line["step"], line["val_loss"]) for line in lines if line.get("val_loss") is not None]
        self._logs: list[JsonLines | TensorBoard | WeightsAndBiases] = [self._metrics]
        if self.config.train.tensorboard:
            self._logs.append(TensorBoard(self.folder / "tensorboard", before_step=before_step))
            self._open.callback(self._logs[-1].close)
        if self.config.train.wandb:
            settings = self.config.model_dump(mode="json")
            self._logs.append(WeightsAndBiases(self.folder, self.config.train.wandb, settings))
            self._open.callback(self._logs[-1].close)
