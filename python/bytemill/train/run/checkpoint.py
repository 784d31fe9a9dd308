"""Writes and verifies checkpoints atomically: into a temporary folder, flushed, then renamed.

A checkpoint is a folder `step_00001000` with four files and no pickle:

    model.safetensors      the model's tensors under its own names; a shared tensor is stored once
    config.json            settings that rebuild the model
    optimizer.safetensors  `<parameter>:<quantity>`, such as `wte.weight:exp_avg`
    state.json             the rest of the run's state; size and SHA-256 of the other files; its own SHA-256

state.json has a canonical form (sorted keys, indent 2): a reader writes it again and compares, so any flipped bit is
detected. Generator states are not saved, because each step seeds its own (`device.seed_step`). Saving reads the written
files once more to hash them, which costs about half a second per gigabyte.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill.errors import CheckpointError
from bytemill.files import remove_leftovers, write_text
from bytemill.json_reader import parse_json, read_regular_file
from bytemill.system.files import flush_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bytemill.train.run.tensors import SavedTensors

__all__ = [
    "Checkpoint",
    "all_checkpoints",
    "newest_valid",
    "save_checkpoint",
    "tidy_checkpoints",
    "verify_checkpoint",
]

FORMAT_VERSION = 1
_PAYLOADS = ("model.safetensors", "config.json", "optimizer.safetensors")
_FOLDER_NAME = re.compile(r"step_(\d{8,})")
_RANDOM_NAME = re.compile(r"step_\d{8,}\.[0-9a-f]{16}\.tmp")
_LEFTOVER_NAME = re.compile(_RANDOM_NAME.pattern + r"|step_\d{8,}\.tmp(-old)?")  # the second is of earlier versions


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: its folder, and the content of state.json."""

    path: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps done when it was written."""
        return int(self.state["step"])


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    tensors: SavedTensors,
    model_config: Mapping[str, Any],
    state: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write `folder/step_…`, then delete checkpoints that are neither among the `keep` newest nor the best.

    Args:
        folder: The run's folder of checkpoints; created if missing.
        step: Number of steps done.
        tensors: Weights and the optimizer's moments.
        model_config: JSON data that rebuilds the model.
        state: Further JSON data; the lowest `validation_loss` that is not None marks the best checkpoint.
        keep: Number of newest checkpoints to keep.

    Raises:
        CheckpointError: The files cannot be written, for example on a full disk; older checkpoints still load.
    """
    from bytemill.model.weight_files import write_tensors  # imports torch; finding a checkpoint does not need it

    final = folder / f"step_{step:08d}"
    aside = _temporary(final)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        aside.mkdir()
        write_tensors(tensors.model, aside / "model.safetensors")
        write_tensors(tensors.optimizer, aside / "optimizer.safetensors")
        write_text(aside / "config.json", json.dumps(dict(model_config), indent=2) + "\n")
        files = {name: _measure(aside / name) for name in _PAYLOADS}
        text = _spell({**state, "step": step, "format_version": FORMAT_VERSION, "files": files})
        if _holds(final, files):  # its validation was still due: only state.json has new content
            write_text(final / "state.json", text)
        else:
            write_text(aside / "state.json", text)
            if final.exists() or final.is_symlink():  # damaged: a valid checkpoint is never replaced
                final.rename(_temporary(final))
            aside.rename(final)
        flush_folder(folder)
        tidy_checkpoints(folder, newest=step, keep=keep)
    except OSError as error:
        raise CheckpointError(
            f"{final}: the checkpoint could not be written: {error.strerror or error}; earlier checkpoints are intact"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return final


def newest_valid(
    run_dir: str | Path, *, verify: Callable[[Path], dict[str, Any]] | None = None
) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest valid checkpoint of a run, and one sentence per newer checkpoint that is damaged.

    Args:
        run_dir: The run's folder.
        verify: Called instead of `verify_checkpoint`.
    """
    skipped: list[str] = []
    for _, path in reversed(list(_checkpoints(Path(run_dir) / "checkpoints"))):
        try:
            return Checkpoint(path, (verify or verify_checkpoint)(path)), skipped
        except CheckpointError as error:
            skipped.append(str(error))
    return None, skipped


def all_checkpoints(run_dir: str | Path) -> Iterator[tuple[int, tuple[Path, float | None]]]:
    """Yield (step, (folder, validation loss or None)) of each checkpoint of a run, oldest first; none is verified."""
    for step, path in _checkpoints(Path(run_dir) / "checkpoints"):
        yield step, (path, _validation_loss(path))


def tidy_checkpoints(folder: Path, *, newest: int, keep: int) -> None:
    """Delete half-written checkpoints, and those that are neither among the `keep` newest nor the best.

    Args:
        folder: The run's folder of checkpoints.
        newest: Step of the newest valid checkpoint; later ones are damaged and stay until they are written again.
        keep: Number of newest valid checkpoints to keep.
    """
    old = [path for step, path in _checkpoints(folder) if step <= newest]
    losses = {path: loss for path in old if (loss := _validation_loss(path)) is not None}
    spared = {*old[-keep:], *([min(losses, key=lambda path: losses[path])] if losses else [])}
    for path in old:
        if path not in spared:  # rename first, so that a half-deleted checkpoint is never found
            path.rename(_temporary(path))
    _remove_leftovers(folder)


def verify_checkpoint(path: Path) -> dict[str, Any]:
    """Read every byte of a checkpoint and compare it with the checksums.

    Returns:
        The content of state.json.

    Raises:
        CheckpointError: A file is missing, truncated, changed or of an unknown version; the error names it.
    """
    try:
        state = _read_state(path / "state.json")
        for name in _PAYLOADS:
            want, got = state["files"].get(name), _measure(path / name)
            if not isinstance(want, dict) or want.keys() != got.keys():
                raise CheckpointError(f"{path / 'state.json'}: has no size and SHA-256 for {name}")
            if want != got:
                kind = "bytes" if want["bytes"] != got["bytes"] else "sha256"
                raise CheckpointError(f"{path / name}: damaged: {kind} is {got[kind]}, was {want[kind]} when written")
    except OSError as error:
        raise CheckpointError(f"{error.filename}: cannot be read: {error.strerror}") from None
    return state


def _holds(path: Path, files: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint is valid and has exactly these files."""
    try:
        return bool(verify_checkpoint(path)["files"] == files)
    except CheckpointError:
        return False


def _checkpoints(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield (step, path) of each checkpoint, oldest first."""
    found = ((_FOLDER_NAME.fullmatch(path.name), path) for path in folder.glob("step_*"))
    yield from sorted((int(match[1]), path) for match, path in found if match)


def _validation_loss(path: Path) -> float | None:
    try:
        return _read_state(path / "state.json").get("validation_loss")
    except (OSError, CheckpointError):
        return None


def _temporary(final: Path) -> Path:
    """Return an unused name, so that no file or link is in the way."""
    return final.with_name(f"{final.name}.{secrets.token_hex(8)}.tmp")


def _remove_leftovers(folder: Path) -> None:
    """Delete half-written and replaced checkpoints; files and links of a user with similar names stay."""
    for _, path in _checkpoints(folder):
        if not path.is_symlink():
            remove_leftovers(path, ["state.json"])  # the only file that is rewritten in place
    for path in folder.glob("step_*.tmp*"):
        if not _LEFTOVER_NAME.fullmatch(path.name):
            continue
        if path.is_symlink():  # a link to a replaced checkpoint in another folder: its target stays
            if _RANDOM_NAME.fullmatch(path.name):
                path.unlink(missing_ok=True)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _spell(state: Mapping[str, Any]) -> str:
    """Return the canonical text of state.json, including its own checksum."""
    body = json.dumps({**state, "sha256": ""}, indent=2, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({**state, "sha256": digest}, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _read_state(file: Path) -> dict[str, Any]:
    raw = read_regular_file(file, error=CheckpointError)
    try:
        state = parse_json(raw, file)
        intact = _spell(state).encode() == raw
    except (ValueError, TypeError):
        intact = False
    if not intact:
        raise CheckpointError(f"{file}: damaged: its content does not match its checksum")
    if state.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{file}: format version {state.get('format_version')}; this program reads version {FORMAT_VERSION}"
        )
    if not isinstance(state.get("step"), int) or not isinstance(state.get("files"), dict):
        raise CheckpointError(f"{file}: has no step or no files; expected both")
    return dict(state)


def _measure(file: Path) -> dict[str, int | str]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"bytes": stream.tell(), "sha256": digest}
