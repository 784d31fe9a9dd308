"""Finds a model: of a run, of a checkpoint, in a Hugging Face folder, or in a repository on the hub.

    runs/first          the newest valid checkpoint of a run; with early stopping (train.patience) the best one
    runs/first@best     the checkpoint with the lowest validation loss
    runs/first@40       the checkpoint after 40 steps
    runs/first/checkpoints/step_00000040
    folder              config.json and safetensors
    OWNER/NAME          a repository on the hub

The place of a model also determines what is needed to use it: the tokenizer, the template that it was tuned with, and
the ids that end an answer.
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
"""Tasks whose rows have prompts and answers, so that they need a template."""


@dataclass(frozen=True)
class ModelPlace:
    """The folder of a model."""

    given: str
    """The name or path that the user gave."""
    folder: Path
    """Folder of the weights: a checkpoint, or a Hugging Face folder."""
    state: dict[str, Any] | None = None
    """Content of a checkpoint's state.json; None if the folder is not a checkpoint."""
    passed_over: list[str] = field(default_factory=list)
    """One sentence per newer checkpoint that is damaged."""

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The config.json of a checkpoint; empty for other folders."""
        return {} if self.state is None else read_object(self.folder / "config.json", error=CheckpointError)

    @property
    def n_positions(self) -> int | None:
        """The context of the model in tokens, as its config.json says; None if it does not."""
        file = self.folder / "config.json"
        fields = self.fields or (read_object(file) if file.is_file() else {})
        found = fields.get("n_positions", fields.get("max_position_embeddings"))
        return found if isinstance(found, int) else None

    @cached_property
    def run(self) -> Path | None:
        """The folder of the checkpoint's run; None for a checkpoint outside a run, and for other folders."""
        if self.state is None or self.folder.parent.name != "checkpoints":
            return None
        return self.folder.parent.parent

    @cached_property
    def settings(self) -> RunConfig | None:
        """The settings of the run at this checkpoint; None for other folders, and if the settings are invalid now."""
        if self.state is None:
            return None
        try:
            saved = self.state["settings"]
            return config_from_settings(saved, former_settings(saved), run=self.run or self.folder)
        except ConfigError:
            return None

    @cached_property
    def companions(self) -> Companions:
        """The content of the files next to the tokenizer."""
        return read_companions(self.run or self.folder)

    def tokenizer(self) -> Tokenizer:
        """Return the model's own tokenizer: the one in its folder, else the one that its run was trained with.

        Raises:
            ConfigError: There is no tokenizer.
            DataError: The tokenizer has changed.
        """
        found = tokenizer_in(self.run or self.folder) or self._tokenizer_of_settings()
        if found is None:
            raise ConfigError(f"{self.given}: there is no tokenizer.json with this model; give its tokenizer with -t")
        self.refuse_other_tokenizer(found)
        return found

    def tokenizer_if_any(self) -> Tokenizer | None:
        """Return the model's own tokenizer; None if there is none."""
        try:
            return self.tokenizer()
        except ConfigError:
            return None

    def template(self) -> Template | None:
        """Return the template that the model was tuned with, or its own chat template; None if there is neither."""
        if self.state is None or (self.settings is not None and self.settings.data.template == "own"):
            return self._own_template()
        if self.settings is None or (self._is_earlier and self.settings.task not in ASKING_TASKS):
            return None
        return self.settings.data.template  # type: ignore[return-value]

    @property
    def _is_earlier(self) -> bool:
        """Whether the run is of an earlier version, whose settings name a template in every task."""
        return self.state is not None and "chat_template" in self.state["settings"].get("data", {})

    def stop_ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Return the ids that end an answer: the end-of-text id, and those named in the model's files."""
        special = tokenizer.special_tokens
        named = [special.get(self.companions.special_names.get("eos_token", "")), special.get("<|im_end|>")]
        ends = [tokenizer.end_of_text_id, *named, *self.companions.end_ids]
        return tuple(dict.fromkeys(one for one in ends if one is not None))

    def refuse_other_tokenizer(self, given: Tokenizer | str | None) -> None:
        """Check that the checkpoint was trained with this tokenizer.

        Args:
            given: The tokenizer or its fingerprint; None accepts any.

        Raises:
            DataError: The checkpoint was trained with another tokenizer.
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
        """Return the tokenizer that the settings name, for runs of earlier versions, which do not contain it."""
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
    """Find a model. For a run, return its newest valid checkpoint and the faults of newer, damaged ones.

    Raises:
        CheckpointError: The checkpoint is damaged or missing, or the run has no valid one.
        FormatError: There is no folder and no repository of this name.
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
    """Verify a checkpoint and return its state; unchanged files are not read again."""
    return _verified_as(path.resolve(), tuple(_stamp(file) for file in sorted(path.iterdir())))


@lru_cache(maxsize=4)
def _verified_as(path: Path, _: tuple[tuple[str, int, int, int], ...]) -> dict[str, Any]:
    return verify_checkpoint(path)


def _stamp(file: Path) -> tuple[str, int, int, int]:
    found = file.stat()
    return file.name, found.st_ino, found.st_size, found.st_mtime_ns


def _best_of(given: str, run: Path) -> ModelPlace | None:
    """Return the checkpoint with the lowest validation loss; None if no checkpoint has one."""
    losses = {path: loss for _, (path, loss) in all_checkpoints(run) if loss is not None}
    if not losses:
        return None
    path = min(losses, key=lambda path: losses[path])
    return ModelPlace(given, path, _verified(path))


def _named(given: str, run: Path, which: str) -> ModelPlace:
    """Return the checkpoint of a run by its name: newest, best, or a number of steps."""
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
