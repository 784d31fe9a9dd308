"""Where a model lies: a run, one of its checkpoints, weights in Hugging Face's form, a repository of the hub.

    runs/first          the newest whole checkpoint of a run; the best of one with early stopping (train.patience)
    runs/first@best     the one of lowest validation loss
    runs/first@40       the one after 40 steps
    runs/first/checkpoints/step_00000040
    folder              config.json and safetensors
    OWNER/NAME          a repository of the hub

What a model needs to be used is found from its place: the tokenizer, the template that it was tuned with, and the ids
that end an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill.data.rows.jinja_templates import ChatTemplate, named_template
from bytemill.errors import CheckpointError, ConfigError, DataError
from bytemill.json_reader import read_object
from bytemill.model.folder import model_folder
from bytemill.tokenizer.companions import Companions, read_companions
from bytemill.tokenizer.source import open_tokenizer, tokenizer_in
from bytemill.train.config import RunConfig, config_from_settings, former_settings
from bytemill.train.run.checkpoint import all_checkpoints, newest_valid, verify_checkpoint

if TYPE_CHECKING:
    from bytemill.data.rows import Template
    from bytemill.tokenizer import Tokenizer

__all__ = ["ASKING_TASKS", "ModelPlace", "find_model"]

ASKING_TASKS = ("instruct", "chat", "preference")
"""Tasks whose rows are asked and answered, so that they need a template."""


@dataclass(frozen=True)
class ModelPlace:
    """A model's folder."""

    given: str
    """As it was asked for."""
    folder: Path
    """Of the weights: a checkpoint, or one in Hugging Face's form."""
    state: dict[str, Any] | None = None
    """What a checkpoint's state.json says; None where it is no checkpoint."""
    passed_over: list[str] = field(default_factory=list)
    """A sentence on each newer checkpoint that is damaged."""

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The config.json of a checkpoint; empty for other folders."""
        return {} if self.state is None else read_object(self.folder / "config.json", error=CheckpointError)

    @cached_property
    def run(self) -> Path | None:
        """The run that the checkpoint belongs to; None for a checkpoint that was moved out, and for other folders."""
        if self.state is None or self.folder.parent.name != "checkpoints":
            return None
        return self.folder.parent.parent

    @cached_property
    def settings(self) -> RunConfig | None:
        """The settings of the run at this checkpoint; None for other folders, and for settings not known any more."""
        if self.state is None:
            return None
        try:
            saved = self.state["settings"]
            return config_from_settings(saved, former_settings(saved), run=self.run or self.folder)
        except ConfigError:
            return None

    @cached_property
    def companions(self) -> Companions:
        """What the files next to the tokenizer say."""
        return read_companions(self.run or self.folder)

    def tokenizer(self) -> Tokenizer:
        """Return the model's own tokenizer: the one in its folder, else the one that its run was trained with.

        Raises:
            ConfigError: There is none any more, or it has changed.
        """
        found = tokenizer_in(self.run or self.folder) or self._tokenizer_of_settings()
        if found is None:
            raise ConfigError(f"{self.given}: there is no tokenizer.json with this model; give its tokenizer with -t")
        self.refuse_other_tokenizer(found)
        return found

    def tokenizer_if_any(self) -> Tokenizer | None:
        """As `tokenizer`, and None where there is none."""
        try:
            return self.tokenizer()
        except ConfigError:
            return None

    def template(self) -> Template | None:
        """Return the template that the model was tuned with, or brings; None where it knows of none."""
        if self.state is None or (self.settings is not None and self.settings.data.template == "own"):
            return self._own_template()
        if self.settings is None or (self._is_earlier and self.settings.task not in ASKING_TASKS):
            return None
        return self.settings.data.template  # type: ignore[return-value]

    @property
    def _is_earlier(self) -> bool:
        """Whether the run is of a version whose settings name a template whatever the task."""
        return self.state is not None and "chat_template" in self.state["settings"].get("data", {})

    def stop_ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Return the ids that end an answer: the end of text, and what the model's files name besides."""
        special = tokenizer.special_tokens
        named = [special.get(self.companions.special_names.get("eos_token", "")), special.get("<|im_end|>")]
        ends = [tokenizer.end_of_text_id, *named, *self.companions.end_ids]
        return tuple(dict.fromkeys(one for one in ends if one is not None))

    def refuse_other_tokenizer(self, given: Tokenizer | str | None) -> None:
        """Make sure that the checkpoint was trained with this tokenizer, given by itself or by its fingerprint.

        Raises:
            DataError: It was trained with another.
        """
        if given is None or self.state is None:
            return
        fingerprint = given if isinstance(given, str) else given.fingerprint
        own = self.state["fingerprints"].get("tokenizer", fingerprint)
        if own != fingerprint:
            raise DataError(
                f"{self.folder}: this model was trained with another tokenizer: its own has the fingerprint "
                f"{own[:12]}, the given one has {fingerprint[:12]}"
            )

    def _tokenizer_of_settings(self) -> Tokenizer | None:
        """Runs of earlier versions only name it; one that is gone or has changed is not theirs any more."""
        data = None if self.settings is None else self.settings.data
        for source in [] if data is None else [data.tokenizer, data.path]:
            place = None if source is None else Path(source)
            if place is None or not place.exists():
                continue
            if source == data.tokenizer:  # type: ignore[union-attr]
                return open_tokenizer(place)
            if place.is_dir() and (found := tokenizer_in(place)) is not None:
                return found
        base = None if self.settings is None else self.settings.base
        return None if base is None else find_model(base).tokenizer()

    def _own_template(self) -> Template | None:
        source = self.companions.chat_template
        if source is None:
            return None
        name = named_template(source)
        if name is not None:
            return name  # type: ignore[return-value]
        return ChatTemplate(source, tuple(self.tokenizer().special_tokens), self.companions.special_names)


def find_model(given: str | Path) -> ModelPlace:
    """Return where the model is; the newest whole checkpoint of a run, with a note on newer ones that are damaged.

    Raises:
        CheckpointError: The checkpoint is damaged or missing, or the run has none that is whole.
        FormatError: There is neither such a folder nor such a repository.
    """
    given = str(given)
    path = Path(given)
    run, at, which = given.rpartition("@")
    if at and not path.exists() and (Path(run) / "checkpoints").is_dir():
        return _named(given, Path(run), which)
    if (path / "state.json").exists():
        return ModelPlace(given, path, _verified(path))
    if (path / "checkpoints").is_dir():
        newest, faults = newest_valid(path, verify=_verified)
        if newest is None and not faults:
            raise CheckpointError(f"{path}: this run has no checkpoint yet; resume it, or wait for its first")
        if newest is None:
            raise CheckpointError(f"{path}: no checkpoint of this run is intact: {'; '.join(faults)}")
        if newest.state["settings"].get("train", {}).get("patience"):
            return _best_of(given, path) or ModelPlace(given, newest.path, newest.state, faults)
        return ModelPlace(given, newest.path, newest.state, faults)
    if (path / "config.toml").exists() and not (path / "config.json").exists():
        raise CheckpointError(f"{path}: this run has no checkpoint yet; resume it, or wait for its first")
    return ModelPlace(given, model_folder(given))


def _verified(path: Path) -> dict[str, Any]:
    """The state of a checkpoint after every byte was read; files that have not changed are not read again."""
    return _verified_as(path.resolve(), tuple(_stamp(file) for file in sorted(path.iterdir())))


@lru_cache(maxsize=4)
def _verified_as(path: Path, _: tuple[tuple[str, int, int, int], ...]) -> dict[str, Any]:
    return verify_checkpoint(path)


def _stamp(file: Path) -> tuple[str, int, int, int]:
    found = file.stat()
    return file.name, found.st_ino, found.st_size, found.st_mtime_ns


def _best_of(given: str, run: Path) -> ModelPlace | None:
    """The checkpoint of lowest validation loss; None where none has one."""
    losses = {path: loss for _, (path, loss) in all_checkpoints(run) if loss is not None}
    if not losses:
        return None
    path = min(losses, key=lambda path: losses[path])
    return ModelPlace(given, path, _verified(path))


def _named(given: str, run: Path, which: str) -> ModelPlace:
    """The checkpoint of a run that is called newest, best, or by its steps."""
    found = dict(all_checkpoints(run))
    if which == "best":
        best = _best_of(given, run)
        if best is None:
            raise CheckpointError(f"{given}: no checkpoint of this run has a validation loss; name one by its step")
        return best
    if which == "newest":
        newest, faults = newest_valid(run, verify=_verified)
        if newest is None:
            raise CheckpointError(f"{run}: no checkpoint of this run is intact: {'; '.join(faults) or 'it has none'}")
        return ModelPlace(given, newest.path, newest.state, faults)
    if not which.isdigit() or int(which) not in found:
        steps = ", ".join(map(str, found)) or "none"
        raise CheckpointError(f"{given}: expected {run}@best, @newest or @STEP with one of its checkpoints ({steps})")
    path, _ = found[int(which)]
    return ModelPlace(given, path, _verified(path))
